# shellcheck shell=bash
# The mirror on a Unix socket, as on one machine with its front: HAProxy that looks at the name a client asks for
# and passes the connection on, and nginx. A layer of 1 GiB goes through both.

LARGE_BYTES=1073741824
# So much a client has when its connection is cut.
CUT_AT=300000000
NAME=mirror.example
LARGE= # host:port
SOCKET="$WORK/mirror.sock"
SOCKET_MIRROR="$WORK/socket-mirror"

try_sockets() {
  command -v haproxy >/dev/null && command -v nginx >/dev/null || {
    skip sockets 'all of it: no haproxy, or no nginx'
    return
  }
  start large 'a registry has a layer of 1 GiB' start_large || return 0
  try_sni
  try_nginx_socket
  check large 'upstream has sent it once' was_sent_once
}

try_sni() {
  FRONT="$HOST:$(free_port "$HOST")"
  start sni 'the mirror speaks HTTPS on a Unix socket' start_socket_mirror "tls: [{ certificate: tls.crt, key: tls.key }]" || return 0
  start sni 'HAProxy starts with the file from deploy/' start_all_in_one || return 0
  check sni 'a name of the mirror leads to the mirror, with its own certificate' by_name "$NAME" /v2/
  check sni 'its other name too' by_name "quay.$NAME" /v2/
  check sni 'another name, and none, lead nowhere' others_lead_nowhere
  check sni 'a client that was cut goes on where it was, and has every byte' resumes
  check sni 'a certificate that is renewed on disk is shown to the next client' renews_certificate
  check sni 'everybody is the proxy: what a client says of itself counts for nothing' is_unix
  stop all-in-one || true
  stop socket-mirror || true
}

try_nginx_socket() {
  FRONT="$HOST:$(free_port "$HOST")"
  start nginx-unix 'the mirror speaks HTTP on a Unix socket' start_socket_mirror 'trustedProxies: [unix]' || return 0
  start nginx-unix 'nginx starts with the files from deploy/' start_nginx_socket || return 0
  check nginx-unix 'a layer of 1 GiB has every byte' passes_whole
  check nginx-unix "the client's own address is in the log" logs_own_address
  stop nginx-unix || true
  stop socket-mirror || true
}

start_large() {
  LARGE="$HOST:$(free_port "$HOST")"
  spawn large node "$HERE/large-registry.mjs" "${LARGE%:*}" "${LARGE##*:}" "$LARGE_BYTES"
  mkdir -p "$SOCKET_MIRROR"
  issue_certificate || return 1
  wait_until 60 'it knows the digest' grep -q sha256 "$WORK/logs/large.out"
}

large_path() {
  echo "/v2/large.test/big/layer/blobs/$(cat "$WORK/logs/large.out")"
}

# A new one each time, in place of the one before; the key and then the certificate, as programs that renew do.
issue_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$NAME" \
    -addext "subjectAltName=DNS:$NAME,DNS:quay.$NAME" \
    -keyout "$SOCKET_MIRROR/new.key" -out "$SOCKET_MIRROR/new.crt" 2>"$WORK/logs/certificate.err" || return 1
  mv "$SOCKET_MIRROR/new.key" "$SOCKET_MIRROR/tls.key"
  mv "$SOCKET_MIRROR/new.crt" "$SOCKET_MIRROR/tls.crt"
}

# start_socket_mirror LINE — one more of the configuration; the data is the same each time.
start_socket_mirror() {
  cat >"$SOCKET_MIRROR/mirrors.yml" <<YAML
listen: unix:$SOCKET
upstreams:
  large.test: { endpoints: [http://$LARGE], insecure: true, networks: [127.0.0.0/8] }
allow: ['**']
$1
YAML
  spawn socket-mirror node "$ROOT/dist/main.js" serve --config "$SOCKET_MIRROR/mirrors.yml"
  wait_until 20 'the socket is there' test -S "$SOCKET"
}

start_all_in_one() {
  replaced "$ROOT/deploy/haproxy/all-in-one.cfg" "$WORK/all-in-one.cfg" \
    -e "s|bind :443|bind $FRONT|" -e "s|/run/entrepot/registry.sock|$SOCKET|"
  spawn all-in-one haproxy -f "$WORK/all-in-one.cfg"
  wait_until 20 'it answers' by_name "$NAME" /readyz
}

# As start_nginx, with the mirror behind a socket file.
start_nginx_socket() {
  local own="$WORK/nginx-unix"
  mkdir -p "$own"
  {
    sed "s|/run/entrepot/registry.sock|$SOCKET|" "$ROOT/deploy/nginx/unix-socket.conf"
    sed '/^upstream/,/^}/d' "$ROOT/deploy/nginx/entrepot.conf"
  } >"$own/example.conf"
  write_nginx_conf "$own/example.conf" "$own"
  spawn nginx-unix nginx -c "$own/nginx.conf" -e stderr
  front_answers
}

# by_name NAME CURL-ARGUMENT... PATH — with the certificate that the mirror has now, and no other.
by_name() {
  curl -fsS --noproxy '*' --max-time 120 --cacert "$SOCKET_MIRROR/tls.crt" --resolve "$1:${FRONT##*:}:${FRONT%:*}" \
    "${@:2:$#-2}" "https://$1:${FRONT##*:}${*: -1}"
}

others_lead_nowhere() {
  local name
  for name in www.example "not$NAME"; do
    if curl -sS --insecure --noproxy '*' --max-time 20 --resolve "$name:${FRONT##*:}:${FRONT%:*}" \
      "https://$name:${FRONT##*:}/v2/"; then fail "$name is answered"; fi
  done
  if curl -sS --insecure --noproxy '*' --max-time 20 "https://$FRONT/v2/"; then fail 'no name is answered'; fi
}

# The first is cut while the mirror still downloads; it comes again with what it has.
resumes() {
  local path
  path=$(large_path)
  by_name "$NAME" "$path" | head -c "$CUT_AT" >"$WORK/large" || true
  [ "$(stat -c %s "$WORK/large")" = "$CUT_AT" ]
  by_name "$NAME" --continue-at - --output "$WORK/large" --dump-header "$WORK/headers" "$path"
  grep -E '^HTTP/[0-9.]+ 206' "$WORK/headers"
  grep -i "^content-range: bytes $CUT_AT-$((LARGE_BYTES - 1))/$LARGE_BYTES" "$WORK/headers"
  [ "sha256:$(sha256sum <"$WORK/large" | cut -d ' ' -f 1)" = "${path##*/}" ]
  rm "$WORK/large"
}

passes_whole() {
  local path
  path=$(large_path)
  [ "sha256:$(ask --max-time 120 --fail "$path" | sha256sum | cut -d ' ' -f 1)" = "${path##*/}" ]
}

# Within a piece or two: what was on its way when the first client was cut may have been sent twice.
was_sent_once() {
  local sent
  sent=$(curl -fsS --noproxy '*' "http://$LARGE/sent")
  echo "$sent bytes"
  [ "$sent" -ge "$LARGE_BYTES" ] && [ "$sent" -le $((LARGE_BYTES + LARGE_BYTES / 10)) ]
}

renews_certificate() {
  by_name "$NAME" /v2/
  cp "$SOCKET_MIRROR/tls.crt" "$WORK/earlier.crt"
  issue_certificate
  wait_until 15 'the new one is shown' by_name "$NAME" /v2/
  if curl -fsS --noproxy '*' --cacert "$WORK/earlier.crt" --resolve "$NAME:${FRONT##*:}:${FRONT%:*}" \
    "https://$NAME:${FRONT##*:}/v2/"; then fail 'the earlier one is still shown'; fi
}

is_unix() {
  by_name "$NAME" --header 'X-Forwarded-For: 198.51.100.7' --dump-header "$WORK/headers" /v2/
  wait_until 5 "the mirror's log has the request" grep -F "$(request_id)" "$WORK/logs/socket-mirror.out"
  grep -F "$(request_id)" "$WORK/logs/socket-mirror.out" | jq -e '.client == "unix"'
}

logs_own_address() {
  ask --interface "$CLIENT_ADDRESS" "${LIES[@]}" --dump-header "$WORK/headers" /v2/
  wait_until 5 "the mirror's log has the request" grep -F "$(request_id)" "$WORK/logs/socket-mirror.out"
  grep -F "$(request_id)" "$WORK/logs/socket-mirror.out" | jq -e --arg client "$CLIENT_ADDRESS" '.client == $client'
}
