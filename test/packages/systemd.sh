# shellcheck shell=bash
# The units, read by systemd's own tools; and the program started as systemd starts it, with open sockets and a
# socket to tell that it is ready.

UNITS="$WORK/units"
# Tenths of what "systemd-analyze security" calls exposure: 0 nothing, 100 everything.
MOST_EXPOSED=14
REGISTRY= # host:port
API=      # host:port

try_systemd() {
  local missing
  missing=$(missing_commands systemd-analyze systemd-notify systemd-socket-activate)
  if [ -n "$missing" ]; then
    skip systemd "all of it: ${missing//$'\n'/, }"
    return
  fi
  REGISTRY="$HOST:$(free_port "$HOST")"
  API="$HOST:$(free_port "$HOST")"
  prepare_units
  check systemd 'systemd takes the units as they are' verifies_units
  check systemd 'the service is exposed to little' is_confined
  prepare_sockets
  start systemd 'the mirror waits for the first connection' activate || return 0
  check systemd 'a client that came before the mirror is answered' ready "https://$REGISTRY/v2/" --insecure
  check systemd 'the API answers on its own socket, and nowhere else' has_api_apart
  check systemd 'several processes serve on it' workers_serve
  stop activated || true
  check systemd 'a socket file is left to systemd' keeps_socket_file
  check systemd 'without a socket it says what to do' wants_socket
  check systemd 'it says that it is ready, and that it stops' notifies
}

# With the paths of this machine in place of those that they name.
prepare_units() {
  local unit
  mkdir -p "$UNITS"
  for unit in "$DEPLOY"/systemd/*; do
    sed -e "s|/usr/bin/node|$(command -v node)|" -e "s|/opt/entrepot|$ROOT|" "$unit" >"$UNITS/${unit##*/}"
  done
}

verifies_units() {
  local said
  said=$(systemd-analyze verify --man=no "$UNITS/entrepot.service" "$UNITS/entrepot.socket" 2>&1)
  # Whatever it does not know it ignores, and says so.
  [ -z "$said" ] || fail "$said"
}

is_confined() {
  systemd-analyze security --no-pager --offline=true --threshold="$MOST_EXPOSED" "$UNITS/entrepot.service"
}

prepare_sockets() {
  mkdir -p "$WORK/systemd"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=mirror.example' \
    -keyout "$WORK/systemd/tls.key" -out "$WORK/systemd/tls.crt" 2>"$WORK/logs/certificate.err"
  cat >"$WORK/systemd/mirrors.yml" <<YAML
listen: systemd:registry
api: systemd:api
tls: [{ certificate: tls.crt, key: tls.key }]
workers: 2
upstreams: { docker.io: {} }
offline: true
YAML
}

# Starts the program when somebody connects, and hands over both sockets.
activate() {
  spawn activated systemd-socket-activate --listen "$REGISTRY" --listen "$API" --fdname registry:api \
    node "$MAIN" serve --config "$WORK/systemd/mirrors.yml"
  wait_until 10 'systemd listens' grep -F "$API" "$WORK/logs/activated.err"
  if grep -F '"msg"' "$WORK/logs/activated.out"; then fail 'it has started without a client'; fi
}

has_api_apart() {
  ready --insecure "https://$API/healthz"
  ready --insecure "https://$API/metrics" >/dev/null
  [ "$(curl -s --insecure --noproxy '*' -o /dev/null -w '%{http_code}' "https://$REGISTRY/metrics")" = 404 ]
}

# Then the process that has the sockets answers nobody itself.
workers_serve() {
  local children
  children=$(grep -l "^PPid:[[:space:]]*$(cat "$WORK/pids/activated")$" /proc/[0-9]*/status 2>/dev/null | wc -l)
  [ "$children" -eq 2 ] || fail "$children processes"
}

# The program ends by itself, and does not remove what it has not made.
keeps_socket_file() {
  local file="$WORK/systemd/registry.sock"
  spawn by-file systemd-socket-activate --listen "$file" node "$MAIN" serve --config "$WORK/systemd/mirrors.yml" \
    --listen systemd --data "$WORK/systemd/by-file"
  sed -i -e '/^api/d' -e '/^workers/d' "$WORK/systemd/mirrors.yml"
  wait_until 10 'systemd listens' test -S "$file"
  ready --insecure --unix-socket "$file" https://mirror.example/readyz
  wait_until 10 'it says where it listens' grep -F "\"url\":\"unix:$file\"" "$WORK/logs/by-file.out"
  stop by-file || true
  [ -S "$file" ] || fail 'the socket file is gone'
}

wants_socket() {
  local status=0
  entrepot serve --config "$WORK/systemd/mirrors.yml" --listen systemd --data "$WORK/systemd/none" >"$WORK/wanted" 2>&1 || status=$?
  cat "$WORK/wanted"
  [ "$status" -eq 1 ]
  grep -F 'start it by its socket unit' "$WORK/wanted"
}

notifies() {
  deadline 60 python3 "$HERE/notified.py" "$WORK/notify.sock" node "$MAIN" serve \
    --config "$WORK/systemd/mirrors.yml" --listen "$REGISTRY" --data "$WORK/systemd/notify" >"$WORK/notified"
  cat "$WORK/notified"
  [ "$(grep -E '^(READY|STOPPING|exit)' "$WORK/notified" | tr '\n' ' ')" = 'READY=1 STOPPING=1 exit 0 ' ]
  grep -F "STATUS=Serving at https://$REGISTRY" "$WORK/notified"
}
