# shellcheck shell=bash
# What the mirror does for its operators: one download for many, rules that change while it runs, an outage
# that clients do not notice.

prove_operations() {
  check mirror 'four clients at once, one download' pull_as_a_herd
  check mirror 'a rule that is added to the file works within seconds' add_rule
  check mirror 'no layer was downloaded twice' no_layer_twice
}

prove_degraded() {
  check mirror 'what is not cached gets 503 within 5 s when upstream is down' uncached_is_unavailable
  check mirror 'a cached tag says that it is stale when upstream is down' cached_is_stale
}

# With the manifest cached and the registry halted, all four come to wait for the same cold layer before
# its first byte is there.
pull_as_a_herd() {
  local client pids=() pid before joined=0
  ask --fail --output /dev/null /v2/quay.io/coreos/etcd/manifests/herd
  before=$(joined_readers)
  kill -STOP "$(<"$WORK/pids/origin-quay.io")"
  for client in 1 2 3 4; do
    deadline 90 skopeo --insecure-policy copy --quiet --src-tls-verify=false \
      "docker://$MIRROR/quay.io/coreos/etcd:herd" "dir:$(storage "herd-$client")" &
    pids+=("$!")
  done
  wait_until 15 'three have joined the first' have_joined "$((before + 3))" || joined=$?
  kill -CONT "$(<"$WORK/pids/origin-quay.io")"
  for pid in "${pids[@]}"; do wait "$pid"; done
  for client in 1 2 3 4; do
    holds_bytes "$(storage "herd-$client")" "$(image_folder quay.io/coreos/etcd:herd)/all"
  done
  no_layer_twice
  return "$joined"
}

have_joined() {
  [ "$(joined_readers)" -ge "$1" ]
}

joined_readers() {
  ask --fail /metrics | awk '/^entrepot_fill_joined_readers_total/ { n += $2 } END { print n + 0 }'
}

add_rule() {
  [ "$(status_of_denied)" = 403 ] || fail "before: $(status_of_denied)"
  write_mirror_config 10m "${ALLOW[@]}" "$DENIED_REPOSITORY"
  wait_until 10 'the rule is in force' denied_is_allowed
  deadline 60 skopeo --insecure-policy copy --quiet --src-tls-verify=false \
    "docker://$MIRROR/$DENIED_REPOSITORY:v1" "dir:$(storage allowed)"
  holds_bytes "$(storage allowed)" "$(image_folder "$DENIED_REPOSITORY:v1")/all"
}

denied_is_allowed() {
  [ "$(status_of_denied)" = 200 ]
}

status_of_denied() {
  ask --output /dev/null --write-out '%{http_code}' "/v2/$DENIED_REPOSITORY/manifests/v1"
}

no_layer_twice() {
  local twice
  twice=$(blobs_read_twice)
  [ -z "$twice" ] || fail "$twice"
}

uncached_is_unavailable() {
  local status
  status=$(ask --max-time 5 --output "$WORK/refusal" --write-out '%{http_code}' /v2/docker.io/library/busybox/manifests/uncached)
  cat "$WORK/refusal"
  [ "$status" = 503 ] || fail "status $status"
  jq -e '.errors[0].code' "$WORK/refusal"
}

cached_is_stale() {
  wait_until 10 'the tag is out of date' answers_stale
}

answers_stale() {
  ask --fail --head --output "$WORK/headers" /v2/quay.io/coreos/etcd/manifests/http
  grep -qi '^warning: 299 ' "$WORK/headers" && grep -i '^cache-status:' "$WORK/headers"
}

no_secret_in_logs() {
  local secret
  for secret in "$QUAY_PASSWORD" "$SUSE_PASSWORD" "$(printf 'mirror:%s' "$QUAY_PASSWORD" | base64)"; do
    ! grep -lF "$secret" "$WORK"/logs/mirror.* || fail 'a password is in the log'
  done
  [ ! -f "$SECRETS" ] || ! grep -F -f "$SECRETS" "$WORK"/logs/mirror.* || fail 'what clients sent is in the log'
}
