# shellcheck shell=bash
# crane (go-containerregistry, as in kaniko and ko): the mirror in the image name.

crane_lanes() {
  lane crane "${IMAGES[@]}"
}

crane_missing() { missing_commands crane; }

crane_start() { crane version; }

crane_pull() {
  deadline 90 crane pull --insecure --format=oci "$MIRROR/$(join_reference "$2" "$3")" "$(storage "$1")/layout"
}

crane_holds() {
  holds_bytes "$(storage "$1")" "$(expected "$@")/all"
}

crane_wipe() {
  rm -rf "$(storage "$1")/layout"
}

# Asks nobody: what is wrong shows with the next pull.
crane_login() {
  echo "$2" | deadline 30 crane auth login "$MIRROR" --username "$1" --password-stdin
}

crane_logout() {
  deadline 30 crane auth logout "$MIRROR"
}
