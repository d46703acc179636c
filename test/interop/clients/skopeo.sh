# shellcheck shell=bash
# skopeo: the mirror in the image name; every platform is copied.

skopeo_lanes() {
  lane skopeo "${IMAGES[@]}"
}

skopeo_missing() { missing_commands skopeo; }

skopeo_start() { skopeo --version; }

skopeo_pull() {
  deadline 90 skopeo --insecure-policy copy --quiet --all --src-tls-verify=false \
    "docker://$MIRROR/$(join_reference "$2" "$3")" "dir:$(storage "$1")/image"
}

skopeo_holds() {
  holds_bytes "$(storage "$1")" "$(expected "$@")/all"
}

skopeo_wipe() {
  rm -rf "$(storage "$1")/image"
}

skopeo_login() {
  echo "$2" | deadline 30 skopeo login --tls-verify=false --username "$1" --password-stdin "$MIRROR"
}

skopeo_logout() {
  deadline 30 skopeo logout "$MIRROR"
}
