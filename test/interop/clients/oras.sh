# shellcheck shell=bash
# oras: the mirror in the image name. It takes the media type of every answer literally.

oras_lanes() {
  lane oras "${IMAGES[@]}"
}

oras_missing() { missing_commands oras; }

oras_start() { oras version; }

oras_pull() {
  deadline 90 oras cp --from-plain-http "$MIRROR/$(join_reference "$2" "$3")" \
    --to-oci-layout "$(storage "$1")/layout:pulled"
}

oras_holds() {
  holds_bytes "$(storage "$1")" "$(expected "$@")/all"
}

oras_wipe() {
  rm -rf "$(storage "$1")/layout"
}
