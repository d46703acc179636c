# shellcheck shell=bash
# Images in zstd:chunked: podman takes the table of contents of a layer, and of the rest only the files that it
# does not have, in one request with many ranges.

CHUNKED=slow.test/chunked

prove_chunked() {
  local missing
  [[ " ${LANES[*]} " = *' podman-prefix '* ]] || return 0
  missing=$(chunked_missing)
  if [ -n "$missing" ]; then
    skip podman "zstd:chunked: ${missing//$'\n'/, }"
    return 0
  fi
  check podman 'zstd:chunked: an image, cold, its end first' pull_chunked first
  check podman 'zstd:chunked: one that shares files with it, cold, by many ranges' pull_second_chunked
}

# Publishes, which tells whether this skopeo can make them; podman needs overlay to take layers in parts.
chunked_missing() {
  {
    node "$HERE/make-images.mjs" "$WORK/images" "$CHUNKED:first" "$CHUNKED:second"
    push_chunked first && push_chunked second
  } >"$WORK/logs/chunked.out" 2>&1 || echo 'skopeo cannot make it'
  write_chunked_storage
  chunked_podman info >>"$WORK/logs/chunked.out" 2>&1 || echo 'no overlay storage here'
}

push_chunked() {
  deadline 60 skopeo --insecure-policy copy --quiet --format oci --dest-compress-format zstd:chunked \
    --dest-tls-verify=false "dir:$(image_folder "$CHUNKED:$1")/dir" "docker://${ORIGIN[docker.io]}/${CHUNKED#*/}:$1"
}

write_chunked_storage() {
  cat >"$WORK/chunked-storage.conf" <<TOML
[storage]
driver = "overlay"
graphroot = "$WORK/chunked/root"
runroot = "$WORK/chunked/run"
[storage.options]
pull_options = { enable_partial_images = "true", use_hard_links = "false", ostree_repos = "" }
TOML
}

chunked_podman() {
  CONTAINERS_REGISTRIES_CONF="$WORK/registries.conf" CONTAINERS_STORAGE_CONF="$WORK/chunked-storage.conf" \
    deadline 90 podman --root "$WORK/chunked/root" --runroot "$WORK/chunked/run" --tmpdir "$WORK/chunked/tmp" \
    --cgroup-manager cgroupfs --events-backend file "$@"
}

# The files are compared: no layer arrives as it is at the registry.
pull_chunked() {
  local name=$MIRROR/$CHUNKED:$1 image mount
  image=$(image_folder "$CHUNKED:$1")
  chunked_podman pull --quiet "$name"
  mount=$(chunked_podman image mount "$name")
  mkdir -p "$WORK/chunked-$1"
  tar -xzf "$image/dir/$(tail -n 1 "$image/all" | cut -d : -f 2)" -C "$WORK/chunked-$1"
  diff -r "$WORK/chunked-$1" "$mount"
  chunked_podman image unmount "$name"
}

# Upstream sends little twice, although what is asked for first lies at the end.
pull_second_chunked() {
  local before layer digest size
  layer=$(origin_manifest second | jq -c '.layers[0]')
  digest=$(jq -r .digest <<<"$layer") size=$(jq .size <<<"$layer")
  before=$(link_bytes)
  pull_chunked second
  got_half "$digest" "$size"
  wait_until 20 'the whole layer is stored' test -f "$(stored_file "$digest")"
  at_most $(($(link_bytes) - before)) 105 "$size"
}

origin_manifest() {
  deadline 30 skopeo inspect --raw --tls-verify=false "docker://${ORIGIN[docker.io]}/${CHUNKED#*/}:$1"
}

# got_half DIGEST SIZE — by ranges: podman had the other half of the layer.
got_half() {
  local got
  got=$(jq -n --arg digest "$1" \
    '[inputs | select(.reference == $digest and .kind == "blob" and .status == 206) | .bytes] | add // 0' \
    "$WORK/logs/mirror.out")
  echo "podman got $got bytes of a layer of $2"
  [ "$got" -gt $(($2 / 4)) ] || fail 'too few'
  [ "$got" -lt $(($2 * 3 / 4)) ] || fail 'too many'
}
