#!/usr/bin/env bash
# Real clients pull through the mirror from real registries.
#
#   test/interop/run.sh
#
# Three docker-registry processes stand in for docker.io, quay.io and registry.suse.com; skopeo, podman,
# dockerd, containerd's ctr, crane, regctl and oras pull from them through `node dist/main.js serve`.
# Everything listens on 127.0.77.*, lies in one temporary folder and is gone at the end. What cannot be
# tried here is skipped, with the reason. Exit status 0: nothing failed.
#
#   INTEROP_INSTALL=no   install nothing, use what is there
#   INTEROP_KEEP=1       keep the temporary folder, with all logs
#   INTEROP_CLIENTS=...  only these clients, e.g. "skopeo podman"
set -Eeuo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$HERE/../.." && pwd)"
GO_BIN="${XDG_CACHE_HOME:-$HOME/.cache}/entrepot-interop/bin"
# Nothing listens here: where a client would go around the mirror.
CLOSED=127.0.77.99:9
ALLOW=('docker.io/library/*' quay.io/coreos/etcd 'registry.suse.com/**' 'slow.test/*')
read -ra CLIENTS <<<"${INTEROP_CLIENTS:-skopeo podman dockerd ctr crane regctl oras}"

# shellcheck source=test/interop/lib.sh
. "$HERE/lib.sh"
trap cleanup EXIT
trap report_error ERR
trap 'exit 130' INT
trap 'exit 143' TERM
# shellcheck source=test/interop/registries.sh
. "$HERE/registries.sh"
# shellcheck source=test/interop/mirror.sh
. "$HERE/mirror.sh"
# shellcheck source=test/interop/proofs.sh
. "$HERE/proofs.sh"
# shellcheck source=test/interop/http.sh
. "$HERE/http.sh"
# shellcheck source=test/interop/operations.sh
. "$HERE/operations.sh"
# shellcheck source=test/interop/endurance.sh
. "$HERE/endurance.sh"
# shellcheck source=test/interop/commands.sh
. "$HERE/commands.sh"
# shellcheck source=test/interop/chunked.sh
. "$HERE/chunked.sh"
# shellcheck source=test/interop/access.sh
. "$HERE/access.sh"
# shellcheck source=test/interop/credentials.sh
. "$HERE/credentials.sh"
# shellcheck source=test/interop/generated.sh
. "$HERE/generated.sh"
# shellcheck source=/dev/null
for file in "$HERE"/clients/*.sh; do . "$file"; done

main() {
  local missing
  [ "${INTEROP_INSTALL:-}" = no ] || "$HERE/install.sh" "$GO_BIN"
  PATH="$PATH:$GO_BIN"
  missing=$(missing_commands node docker-registry skopeo openssl htpasswd jq curl)
  if [ -n "$missing" ]; then
    skip interop "all of it: ${missing//$'\n'/, }"
  else
    build_mirror
    fence_off
    register_lanes
    start_origins
    try_mirror
  fi
  summarize
}

# Ends early where going on makes no sense; what failed is counted by then.
try_mirror() {
  local lane
  MIRROR="$MIRROR_HOST:$(free_port "$MIRROR_HOST")"
  write_mirror_config 10m "${ALLOW[@]}"
  start_mirror || return 0
  prove_http
  start_clients
  for lane in "${LANES[@]}"; do prove_pulls "$lane"; done
  prove_generated
  prove_operations
  prove_completion
  prove_offline
  prove_kill
  prove_chunked
  prove_access

  # From here on only the cache is left, also right after a start, and every tag is out of date at once.
  stop_mirror
  stop_registries
  write_mirror_config 1s "${ALLOW[@]}"
  start_mirror || return 0
  prove_degraded
  for lane in "${LANES[@]}"; do prove_outage "$lane"; done
  prove_completed
  prove_commands
  prove_access_kept
  check mirror 'its output holds no password' no_secret_in_logs
}

# Clients see neither the credentials of whoever runs this nor the outside: a proxy that is a closed port
# takes what is not loopback.
fence_off() {
  export HOME="$WORK/home" DOCKER_CONFIG="$WORK/home/docker" REGISTRY_AUTH_FILE="$WORK/home/auth.json"
  export XDG_CONFIG_HOME="$WORK/home/config" XDG_DATA_HOME="$WORK/home/data"
  export HTTP_PROXY="http://$CLOSED" HTTPS_PROXY="http://$CLOSED" NO_PROXY=127.0.0.0/8
  unset http_proxy https_proxy no_proxy ALL_PROXY all_proxy DOCKER_HOST CONTAINER_HOST
  echo '{}' >"$REGISTRY_AUTH_FILE"
}

register_lanes() {
  local missing
  for CLIENT in "${CLIENTS[@]}"; do
    missing=$("${CLIENT}_missing")
    if [ -n "$missing" ]; then
      skip "$CLIENT" "all of it: ${missing//$'\n'/, }"
    else
      "${CLIENT}_lanes"
    fi
  done
}

# A client whose daemon does not come up is a failure, and loses its lanes.
start_clients() {
  local client lane started=()
  for client in "${CLIENTS[@]}"; do
    [[ " ${LANE_CLIENT[*]} " = *" $client "* ]] || continue
    start "$client" 'starts' "${client}_start" || continue
    for lane in "${LANES[@]}"; do
      [ "${LANE_CLIENT[$lane]}" != "$client" ] || started+=("$lane")
    done
  done
  LANES=("${started[@]}")
}

start_origins() {
  local names
  make_secrets
  start_registries
  mapfile -t names < <(lane_tags)
  names+=("${HTTP_IMAGES[@]}" "$DENIED_REPOSITORY:v1" quay.io/coreos/etcd:herd "${ENDURANCE_IMAGES[@]}" "${ACCESS_IMAGES[@]}" "${GENERATED_IMAGES[@]}")
  publish "${names[@]}"
  check origins 'the registries hold the images as they were made' origins_hold "${names[@]}"
  check origins 'quay.io wants a password' origin_refuses quay.io coreos/etcd:http
  check origins 'registry.suse.com wants a token' origin_refuses registry.suse.com suse/private:skopeo
  mark_origin_logs
}

origins_hold() {
  local name
  for name in "$@"; do
    [ "$(origin_digest "$name")" = "$(<"$(image_folder "$name")/digest")" ] || fail "$name differs"
  done
}

origin_refuses() {
  local status
  status=$(curl -sk --noproxy '*' -o /dev/null -w '%{http_code}' "$(origin_url "$1")/v2/${2%:*}/manifests/${2#*:}")
  [ "$status" = 401 ] || fail "status $status"
}

main
