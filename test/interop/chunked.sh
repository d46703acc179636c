# shellcheck shell=bash
# Images in zstd:chunked: podman takes the table of contents of a layer, and of the rest only the files that it
# does not have, in one request with many ranges.

CHUNKED=docker.io/library/chunked

prove_chunked() {
  local missing
  [[ " ${LANES[*]} " = *' podman-prefix '* ]] || return 0
  missing=$(chunked_missing)
  if [ -n "$missing" ]; then
    skip podman "zstd:chunked: ${missing//$'\n'/, }"
    return 0
  fi
  check podman 'zstd:chunked: an image, cold' pull_chunked first
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

pull_second_chunked() {
  local layer size digest got
  ask --fail --output "$WORK/manifest" "/v2/$CHUNKED/manifests/second"
  layer=$(jq -c '.layers[0]' "$WORK/manifest")
  digest=$(jq -r .digest <<<"$layer") size=$(jq .size <<<"$layer")
  pull_chunked second
  got=$(jq -n --arg digest "$digest" \
    '[inputs | select(.reference == $digest and .kind == "blob" and .status == 206) | .bytes] | add // 0' \
    "$WORK/logs/mirror.out")
  echo "podman got $got bytes of a layer of $size"
  [ "$got" -gt $((size / 4)) ] && [ "$got" -lt $((size * 3 / 4)) ] || fail 'not the half that it lacked'
  wait_until 20 'the whole layer is stored' test -f "$(stored_file "$digest")"
  sent=$(origin_requests | grep -F "/blobs/$digest " | awk '{ n += $10 } END { print n + 0 }')
  echo "upstream sent $sent"
  [ $((sent * 100)) -le $((size * 105)) ] || fail 'upstream sent more than 1.05 times the layer'
}
