# shellcheck shell=bash
# The commands of operators on the data of this run, while every upstream is down.

prove_commands() {
  check commands 'status names the mirror, the store and every upstream' status_tells
  check commands 'gc --dry-run beside the running mirror: nothing would go' gc_finds_nothing
  check commands 'gc --dry-run with a small budget tells what would go, and removes nothing' gc_would_remove
  check commands 'verify leaves the data of a running mirror alone' verify_refuses
  stop_mirror
  check commands 'verify finds everything right' verifies
  rm -f "$MIRROR_FOLDER"/data/catalog.sqlite*
  start_mirror || return 0
  check commands 'without its catalog it starts, and everything is pulled, upstream is down' pulls_everything
  stop_mirror
  check commands 'verify --rebuild finds everything right' verifies --rebuild
  start_mirror || return 0
  check commands 'with the catalog made anew everything is pulled, upstream is down' pulls_everything
  check commands 'and what was pulled from one repository is not given in another' keeps_apart
}

status_tells() {
  local upstream
  entrepot status >"$WORK/status"
  cat "$WORK/status"
  grep -E "^mirror +http://$MIRROR$" "$WORK/status"
  grep -E '^store +[0-9.]+ MiB' "$WORK/status"
  for upstream in "${UPSTREAMS[@]}"; do grep "^$upstream  " "$WORK/status"; done
  entrepot status --json | jq -e '.store.bytes > 0 and (.upstreams | length) == 4'
}

gc_finds_nothing() {
  entrepot gc --dry-run | tee /dev/stderr | grep -x 'Nothing would go.'
}

gc_would_remove() {
  local before
  before=$(stored_files)
  (
    cat "$MIRROR_CONFIG"
    echo 'budget: 30MiB'
  ) >"$MIRROR_FOLDER/small.yml"
  MIRROR_CONFIG="$MIRROR_FOLDER/small.yml" entrepot gc --dry-run >"$WORK/plan"
  tail -n 8 "$WORK/plan"
  grep -E '^sha256:[0-9a-f]{64} +(blob|manifest) .* the store is over its budget$' "$WORK/plan"
  grep -E '^[0-9]+ files?, [0-9.]+ MiB: would go\.$' "$WORK/plan"
  [ "$(stored_files)" = "$before" ] || fail 'files are gone'
}

stored_files() {
  find "$MIRROR_FOLDER/data/blobs-v1" -type f ! -name CACHEDIR.TAG | sort
}

verify_refuses() {
  if entrepot verify >"$WORK/refusal" 2>&1; then fail 'it ran'; fi
  cat "$WORK/refusal"
  grep -F 'stop it first' "$WORK/refusal"
}

# A layer is given only where upstream has confirmed that it belongs there.
keeps_apart() {
  local layer
  layer=$(tail -n 1 "$(image_folder quay.io/coreos/etcd:http)/all")
  ask --fail --output /dev/null "/v2/quay.io/coreos/etcd/blobs/$layer"
  if ask --fail --output /dev/null "/v2/docker.io/library/busybox/blobs/$layer"; then fail 'another repository gives it'; fi
}

# verifies OPTION... — every file, and none is unknown to the catalog, save to one that was made anew.
verifies() {
  entrepot verify "$@" >"$WORK/report" || fail "$(<"$WORK/report")"
  cat "$WORK/report"
  grep -E "^checked +$(stored_files | wc -l) files, " "$WORK/report"
  grep -Ex 'damaged +0' "$WORK/report"
  grep -Ex 'rows without files +0' "$WORK/report"
  grep -Ex "files without rows +${1:+[0-9]+, entered|files without rows +}0" "$WORK/report"
  grep -Fx 'All that is stored is right.' "$WORK/report"
}

pulls_everything() {
  local name
  for name in "${HTTP_IMAGES[@]}" "$LATE_IMAGE" "$KILLED_IMAGE"; do copies "$name" all; done
  copies "$PARTIAL_IMAGE" host
  if [[ " ${LANES[*]} " = *' podman-mirror '* ]]; then
    for name in ${LANE_IMAGES[podman-mirror]}; do pull_anew podman-mirror "$name" podman-mirror; done
  fi
}
