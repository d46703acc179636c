# shellcheck shell=bash
# What an operator can count on: an image is whole although its first client took a part of it, the mirror
# goes offline and back by command, and a download goes on after SIGKILL.

PARTIAL_IMAGE=docker.io/library/busybox:partial
LATE_IMAGE=docker.io/library/busybox:late
KILLED_IMAGE=slow.test/large:killed
SWITCHED_IMAGE=slow.test/large:switched
ENDURANCE_IMAGES=("$PARTIAL_IMAGE" "$LATE_IMAGE" "$KILLED_IMAGE" "$SWITCHED_IMAGE")

# The client is curl here: it takes the manifest of one platform, and one layer.
prove_completion() {
  check mirror 'the rest of an image comes after its manifest, without a client' completes_image
  check mirror 'nothing is fetched for a platform that nobody asked for' leaves_other_platform
}

# With upstream down.
prove_completed() {
  check skopeo 'an image of which only one layer was pulled, upstream is down' \
    copies "$PARTIAL_IMAGE" host
  [[ " ${LANES[*]} " != *' podman-prefix '* ]] ||
    check podman 'an image of which only one layer was pulled, upstream is down' podman_pulls_partial
}

prove_offline() {
  check mirror 'offline on, in the middle of a download' switches_offline
  check mirror 'offline, cached images are pulled, upstream is not asked' pulls_offline
  check mirror 'offline, what is not cached gets 503, upstream is not asked' refuses_offline
  check mirror 'offline off: what is new is pulled again' switches_online
}

prove_kill() {
  check mirror 'SIGKILL in the middle of a layer' kills_during_pull 2>/dev/null # where bash says "Killed"
  stop mirror 2>/dev/null || true
  start_mirror || return 0
  check mirror 'the same pull afterwards: upstream sends at most 1.2 times the layer' goes_on_after_kill
}

completes_image() {
  local folder=/v2/${PARTIAL_IMAGE%:*} image manifest layer
  image=$(image_folder "$PARTIAL_IMAGE")
  manifest=$(sed -n 2p "$image/host")
  layer=$(sed -n 4p "$image/host")
  ask --fail --output "$WORK/index" "$folder/manifests/${PARTIAL_IMAGE##*:}"
  ask --fail --output "$WORK/manifest" "$folder/manifests/$manifest"
  ask --fail --output "$WORK/layer" "$folder/blobs/$layer"
  wait_until 20 'everything of this platform is stored' stores_all "$image/host"
}

# stores_all LIST — each digest of the list is a file of the store.
stores_all() {
  local digest
  while read -r digest; do
    [ -f "$(stored_file "$digest")" ] || return 1
  done <"$1"
}

stored_file() {
  echo "$MIRROR_FOLDER/data/blobs-v1/sha256/${1:7:2}/${1#sha256:}"
}

leaves_other_platform() {
  local image digest
  image=$(image_folder "$PARTIAL_IMAGE")
  # What this tag alone has; the other platform's base layer came with another tag.
  digest=$(tail -n 1 "$image/all")
  ! grep -qxF "$digest" "$image/host" || fail "$digest is of this platform"
  [ ! -e "$(stored_file "$digest")" ] || fail "$digest is stored"
  if origin_requests | grep -F "$digest"; then fail 'upstream was asked for it'; fi
}

# copies UPSTREAM/REPOSITORY:TAG all|host — by skopeo, every platform or this one.
copies() {
  local folder
  folder=$(storage endurance)
  rm -rf "$folder"
  copy_image "$1" "$folder" "$2"
  holds_bytes "$folder" <(copied "$(image_folder "$1")" "$2")
}

# copied IMAGE-FOLDER all|host — what skopeo has then: of one platform it keeps the manifest, not the index.
copied() {
  if [ "$2" = host ] && grep -q '"manifests"' "$1/dir/manifest.json"; then
    grep -vxFf "$1/digest" "$1/host"
  else
    cat "$1/$2"
  fi
}

# copy_image UPSTREAM/REPOSITORY:TAG FOLDER all|host
copy_image() {
  local platforms=system
  [ "$3" != all ] || platforms=all
  deadline 60 skopeo --insecure-policy copy --quiet --multi-arch "$platforms" --src-tls-verify=false \
    "docker://$MIRROR/$1" "dir:$2"
}

podman_pulls_partial() {
  local name=$MIRROR/$PARTIAL_IMAGE
  podman_wipe
  podman_in pull --quiet "$name"
  holds_unpacked "$(image_folder "$PARTIAL_IMAGE")" "$(podman_in image inspect "$name")"
}

# The download that runs may end or break off. Whatever it does, the client never has a wrong layer: skopeo
# compares digests.
switches_offline() {
  local before client
  before=$(link_bytes)
  copy_image "$SWITCHED_IMAGE" "$(storage switched)" all &
  client=$!
  wait_until 10 'some of the layer is there' link_passed $((before + SLOW_RATE / 2))
  entrepot offline on
  wait_until 10 'status says so' says_offline
  wait "$client" || echo "skopeo ended with $?"
}

link_passed() {
  [ "$(link_bytes)" -ge "$1" ]
}

says_offline() {
  entrepot status | grep -F 'offline: no upstream is asked'
}

pulls_offline() {
  local before name
  before=$(count_origin_reads)
  for name in "${HTTP_IMAGES[@]}"; do copies "$name" all; done
  [ "$(count_origin_reads)" -eq "$before" ] || fail 'upstream was asked'
}

refuses_offline() {
  local before
  before=$(count_origin_reads)
  if copy_image "$LATE_IMAGE" "$(storage refused)" all; then fail 'skopeo got it'; fi
  [ "$(status_of_late)" = 503 ] || fail "status $(status_of_late)"
  [ "$(count_origin_reads)" -eq "$before" ] || fail 'upstream was asked'
}

status_of_late() {
  ask --output /dev/null --write-out '%{http_code}' "/v2/${LATE_IMAGE%:*}/manifests/${LATE_IMAGE##*:}"
}

switches_online() {
  entrepot offline off
  wait_until 10 'a new image can be had' late_is_there
  copies "$LATE_IMAGE" all
  copies "$SWITCHED_IMAGE" all
}

late_is_there() {
  [ "$(status_of_late)" = 200 ]
}

kills_during_pull() {
  local client
  link_bytes >"$WORK/link-before-kill"
  copy_image "$KILLED_IMAGE" "$(storage killed)" all &
  client=$!
  wait_until 10 'half of the layer is there' link_passed $(($(<"$WORK/link-before-kill") + $(killed_size) / 2))
  kill_mirror
  if wait "$client"; then fail 'the layer was complete already'; fi
}

goes_on_after_kill() {
  copies "$KILLED_IMAGE" all
  at_most $(($(link_bytes) - $(<"$WORK/link-before-kill"))) 120 "$(killed_size)"
}

# at_most SENT PERCENT SIZE
at_most() {
  echo "$1 bytes came from upstream for a layer of $3"
  [ $(($1 * 100)) -le $(($2 * $3)) ] || fail 'too many'
}

killed_size() {
  local image
  image=$(image_folder "$KILLED_IMAGE")
  stat -c %s "$image/dir/$(tail -n 1 "$image/all" | cut -d : -f 2)"
}
