#!/usr/bin/env bash
# The mirror behind the proxies that deploy/ has examples for: nginx and HAProxy, with these very files.
#
#   test/front/run.sh
#
# Everything listens on 127.0.79.*. What is not installed is skipped. Exit status 0: nothing failed.
#
#   INTEROP_KEEP=1       keep the temporary folder, with all logs
set -Eeuo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$HERE/../.." && pwd)"
PATH="$PATH:/usr/sbin"
HOST=127.0.79.10
SLOW_BYTES=2097152
MIRROR= # host:port
FRONT=  # host:port
SLOW=   # host:port

# shellcheck source=test/interop/lib.sh
. "$HERE/../interop/lib.sh"
# shellcheck source=test/front/origin.sh
. "$HERE/origin.sh"
# shellcheck source=test/front/fronts.sh
. "$HERE/fronts.sh"
# shellcheck source=test/front/forwarding.sh
. "$HERE/forwarding.sh"
# shellcheck source=test/front/sockets.sh
. "$HERE/sockets.sh"
trap cleanup EXIT
trap report_error ERR
trap 'exit 130' INT
trap 'exit 143' TERM

main() {
  local missing front
  missing=$(missing_commands curl docker-registry jq node openssl skopeo)
  if [ -n "$missing" ]; then
    skip front "all of it: ${missing//$'\n'/, }"
  else
    make_certificate
    start mirror 'an origin with an image, and the mirror' start_servers || summarize
    for front in nginx haproxy; do
      if command -v "$front" >/dev/null; then try_front "$front"; else skip "$front" "all of it: no $front"; fi
    done
    prove_distrust
    try_sockets
  fi
  summarize
}

try_front() {
  FRONT="$HOST:$(free_port "$HOST")"
  start "$1" 'starts with the file from deploy/' "start_$1" || return 0
  check "$1" 'skopeo gets every byte' pull "$FRONT" "$WORK/pulled-$1"
  check "$1" 'a range of a layer is that range' passes_range
  check "$1" 'an encoded path reaches the mirror encoded' refused '/v2/docker.io/library/%2e%2e/busybox/manifests/v1' 'percent-encoded'
  check "$1" 'an encoded slash reaches the mirror encoded' refused '/v2/docker.io%2Flibrary/busybox/manifests/v1' 'percent-encoded'
  check "$1" 'a double slash reaches the mirror' refused '/v2/docker.io//library/busybox/manifests/v1' 'empty component'
  check "$1" 'dot segments reach the mirror' refused '/v2/docker.io/library/x/../busybox/manifests/v1' 'dot segments'
  check "$1" 'the name that the client used reaches the mirror' refused \
    /v2/library/busybox/manifests/v1 'slow.test/library/busybox:v1 is not allowed' --header 'Host: slow.mirror.test'
  check "$1" 'nothing is compressed, and HEAD says the length of GET' keeps_length
  check "$1" 'a layer arrives while upstream is still sending it' streams "$1"
  check "$1" 'a layer that turns out wrong never ends well' breaks_off "$1"
  check "$1" 'a refusal keeps its status and body' refuses_push
  check "$1" 'metrics are not to be had' hides_metrics
  check "$1" "its log has the mirror's request id" logs_request_id "$1"
  prove_forwarding "$1"
  stop "$1" || true
}

start_servers() {
  SLOW="$HOST:$(free_port "$HOST")"
  MIRROR="$HOST:$(free_port "$HOST")"
  [ -f "$ROOT/dist/main.js" ] || (cd "$ROOT" && npm run --silent build) || return 1
  start_origin "$HOST" || return 1
  spawn slow node "$HERE/slow-registry.mjs" "${SLOW%:*}" "${SLOW##*:}" "$SLOW_BYTES"
  mkdir -p "$WORK/mirror"
  {
    mirror_config "$MIRROR" 'docker.io/library/*' 'slow.test/slow/*'
    echo 'hosts: { slow.mirror.test: slow.test }'
    echo 'trustedProxies: [127.0.0.1]'
  } | sed "/^upstreams:/a\\  slow.test: { endpoints: [http://$SLOW], insecure: true, networks: [127.0.0.0/8] }" \
    >"$WORK/mirror/mirrors.yml"
  spawn mirror node "$ROOT/dist/main.js" serve --config "$WORK/mirror/mirrors.yml"
  wait_until 20 'the mirror is ready' curl -fs --noproxy '*' "http://$MIRROR/readyz" || return 1
  add_user
}

# ask CURL-ARGUMENT... PATH — one request through the proxy, the path as it stands.
ask() {
  curl -sS --insecure --noproxy '*' --max-time 20 --path-as-is "${@:1:$#-1}" "https://$FRONT${*: -1}"
}

passes_range() {
  ask --range 1000-1999 --dump-header "$WORK/headers" --output "$WORK/range" \
    "/v2/docker.io/library/busybox/blobs/$(layer_digest)"
  grep -E '^HTTP/[0-9.]+ 206' "$WORK/headers"
  grep -i "^content-range: bytes 1000-1999/$(stat -c %s "$(layer_file)")" "$WORK/headers"
  cmp "$WORK/range" <(tail -c +1001 "$(layer_file)" | head -c 1000)
}

# refused PATH TEXT CURL-ARGUMENT... — by the mirror itself, with this text.
refused() {
  ask "${@:3}" "$1" >"$WORK/refusal"
  cat "$WORK/refusal"
  jq -er '.errors[0].message' "$WORK/refusal" | grep -F "$2"
}

keeps_length() {
  local path=/v2/docker.io/library/busybox/manifests/v1
  ask --fail --header 'Accept-Encoding: gzip' --dump-header "$WORK/get" --output "$WORK/body" "$path"
  ask --fail --head --header 'Accept-Encoding: gzip' --output "$WORK/head" "$path"
  cat "$WORK/get" "$WORK/head"
  cmp "$WORK/body" "$IMAGE/dir/manifest.json"
  grep -i "^content-length: $(stat -c %s "$WORK/body")" "$WORK/get"
  grep -i "^content-length: $(stat -c %s "$WORK/body")" "$WORK/head"
  if grep -i '^content-encoding' "$WORK/get"; then fail 'it was encoded'; fi
}

# Through each proxy another repository, whose blobs are its name over and over.
streams() {
  local digest client
  rm -f "$WORK/streamed"
  digest="sha256:$(repeated "$1" | sha256sum | cut -d ' ' -f 1)"
  ask --fail --no-buffer --output "$WORK/streamed" "/v2/slow.test/slow/$1/blobs/$digest" &
  client=$!
  # Half is out, and the last 64 KiB of a blob are held back until it is known to be right.
  wait_until 10 'half of the layer is there' has_bytes "$WORK/streamed" $((SLOW_BYTES / 2))
  go_on
  wait "$client"
  cmp "$WORK/streamed" <(repeated "$1")
}

repeated() {
  node -e 'process.stdout.write(Buffer.alloc(Number(process.argv[1]), process.argv[2]))' "$SLOW_BYTES" "$1"
}

go_on() {
  curl -fsS --noproxy '*' "http://$SLOW/go-on"
}

has_bytes() {
  [ "$(stat -c %s "$1")" -ge "$2" ]
}

breaks_off() {
  local digest client status=0
  rm -f "$WORK/wrong"
  digest="sha256:$(echo "$1" | sha256sum | cut -d ' ' -f 1)"
  ask --output "$WORK/wrong" --dump-header "$WORK/headers" "/v2/slow.test/slow/$1/blobs/$digest" &
  client=$!
  wait_until 10 'it has begun' has_bytes "$WORK/wrong" 1000
  go_on
  wait "$client" || status=$?
  # curl: 18 a part of the body is missing, 92 the HTTP/2 stream was not closed cleanly.
  [ "$status" = 18 ] || [ "$status" = 92 ] || fail "curl ends with $status"
  if has_bytes "$WORK/wrong" "$SLOW_BYTES"; then fail 'it is complete'; fi
}

refuses_push() {
  ask --request POST --dump-header "$WORK/headers" /v2/docker.io/library/busybox/blobs/uploads/ >"$WORK/refusal"
  cat "$WORK/headers" "$WORK/refusal"
  grep -E '^HTTP/[0-9.]+ 405' "$WORK/headers"
  [ "$(jq -r '.errors[0].code' "$WORK/refusal")" = UNSUPPORTED ]
}

hides_metrics() {
  [ "$(ask --output /dev/null --write-out '%{http_code}' /metrics)" = 404 ]
}

logs_request_id() {
  local id
  ask --dump-header "$WORK/headers" --output /dev/null /v2/
  id=$(request_id)
  wait_until 5 'both logs have it' grep -rlF "$id" "$WORK/logs/$1.out" "$WORK/logs/$1.access"
  wait_until 5 "the mirror's log has it" grep -F "$id" "$WORK/logs/mirror.out"
}

fail() {
  echo "$*" >&2
  return 1
}

main
