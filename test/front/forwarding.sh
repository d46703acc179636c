# shellcheck shell=bash
# Who asks, and what the client calls the mirror, behind a front: from the headers that deploy/ sets, and from
# nobody else's. The front itself comes from 127.0.0.1, which the mirror trusts; clients from other addresses.

CLIENT_ADDRESS=127.0.79.50
OTHER_ADDRESS=127.0.79.51
USER_PASSWORD=
# What a client may say of itself to be taken for somebody else.
LIES=(
  --header 'X-Forwarded-For: 198.51.100.7'
  --header 'X-Forwarded-For: 198.51.100.8, 127.0.0.1'
  --header 'X-Forwarded-Proto: http'
  --header 'X-Forwarded-Host: elsewhere.example'
  --header 'Forwarded: for=198.51.100.9;proto=http;host=elsewhere.example'
  --header 'X-Real-IP: 198.51.100.10'
)

# Somebody can log in, so clients are asked to, and told where.
add_user() {
  USER_PASSWORD=$(openssl rand -hex 12)
  printf '%s' "$USER_PASSWORD" | entrepot users add someone --password-stdin
  wait_until 10 'logins are asked for' asks_for_login
}

asks_for_login() {
  [ "$(curl -s --noproxy '*' -o /dev/null -w '%{http_code}' "http://$MIRROR/v2/")" = 401 ]
}

entrepot() {
  deadline 30 node "$ROOT/dist/main.js" "$@" --config "$WORK/mirror/mirrors.yml"
}

# prove_forwarding FRONT
prove_forwarding() {
  check "$1" 'clients are sent to its own address for tokens, with https' tells_realm
  check "$1" 'skopeo logs in, and not with a wrong password' logs_in
  check "$1" "the client's own address is in the log and with the request for access" knows_client "$1-client"
  check "$1" 'what a client says of itself in such headers counts for nothing' tells_realm "${LIES[@]}"
  check "$1" 'nor for whose address it is' knows_client "$1-liar" "${LIES[@]}"
  check "$1" 'guesses from one address hold back nobody elsewhere' holds_back_one "$1"
}

# prove_distrust — past every front, from an address that is not trusted.
prove_distrust() {
  check mirror 'without a front, such headers count for nothing' distrusts
}

tells_realm() {
  ask --interface "$CLIENT_ADDRESS" "$@" --dump-header "$WORK/headers" /v2/
  cat "$WORK/headers"
  has_realm "https://$FRONT"
}

# has_realm BASE
has_realm() {
  tr -d '\r' <"$WORK/headers" | grep -ixF "www-authenticate: Bearer realm=\"$1/token\",service=\"${1#*://}\""
}

logs_in() {
  export REGISTRY_AUTH_FILE="$WORK/auth.json"
  echo "$USER_PASSWORD" | skopeo_login
  rm "$REGISTRY_AUTH_FILE"
  if echo "not $USER_PASSWORD" | skopeo_login; then fail 'a wrong password is accepted'; fi
}

skopeo_login() {
  deadline 30 skopeo login --tls-verify=false --username someone --password-stdin "$FRONT"
}

# knows_client REPOSITORY CURL-ARGUMENT... — no rule allows the repository.
knows_client() {
  ask --interface "$CLIENT_ADDRESS" "${@:2}" --dump-header "$WORK/headers" "/v2/docker.io/denied/$1/manifests/v1" >"$WORK/refusal"
  cat "$WORK/refusal"
  logs_client "$CLIENT_ADDRESS"
  wait_until 5 'operators see the request' requested_by "$(jq -er '.errors[0].detail.request' "$WORK/refusal")" "$CLIENT_ADDRESS"
}

# requested_by ID ADDRESS
requested_by() {
  entrepot requests --json | jq -e --arg id "$1" --arg address "$2" 'any(.requests[]; .id == $id and .address == $address)'
}

# logs_client ADDRESS — with the request whose answer has the headers in $WORK/headers.
logs_client() {
  local id
  id=$(request_id)
  wait_until 5 "the mirror's log has the request" grep -F "$id" "$WORK/logs/mirror.out"
  grep -F "$id" "$WORK/logs/mirror.out" | jq -e --arg client "$1" '.client == $client' || fail "$(grep -F "$id" "$WORK/logs/mirror.out")"
}

# As a front hands it on, in whatever case.
request_id() {
  sed -n 's/^x-request-id: \([0-9a-f-]*\).*/\1/pI' "$WORK/headers"
}

holds_back_one() {
  local guess
  for guess in 1 2 3 4 5 6; do
    status_of_login "$CLIENT_ADDRESS" "$1$guess" "${LIES[@]}"
  done | tail -n 1 | grep -x 429
  [ "$(status_of_login "$OTHER_ADDRESS" "$USER_PASSWORD")" = 200 ] || fail 'others are held back'
}

# status_of_login ADDRESS PASSWORD CURL-ARGUMENT...
status_of_login() {
  ask --interface "$1" --user "someone:$2" "${@:3}" --output /dev/null --write-out '%{http_code}\n' /token
}

distrusts() {
  curl -sS --noproxy '*' --interface "$CLIENT_ADDRESS" "${LIES[@]}" --dump-header "$WORK/headers" "http://$MIRROR/v2/"
  cat "$WORK/headers"
  has_realm "http://$MIRROR"
  logs_client "$CLIENT_ADDRESS"
}
