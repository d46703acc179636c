# shellcheck shell=bash
# regctl (regclient): the mirror in the image name. It asks for referrers and resumes with Range.

regctl_lanes() {
  lane regctl "${IMAGES[@]}"
}

regctl_missing() { missing_commands regctl; }

regctl_start() {
  regctl_in registry set --skip-check --tls disabled "$MIRROR"
}

# It asks with HEAD, whose answer has no sentence.
regctl_denial() { echo 'http 403'; }

regctl_pull() {
  regctl_in image copy "$MIRROR/$(join_reference "$2" "$3")" "ocidir://$(storage "$1")/layout:pulled"
}

regctl_holds() {
  holds_bytes "$(storage "$1")" "$(expected "$@")/all"
}

regctl_wipe() {
  rm -rf "$(storage "$1")/layout"
}

regctl_in() {
  REGCTL_CONFIG="$WORK/home/regctl.json" deadline 90 regctl "$@"
}

regctl_login() {
  echo "$2" | regctl_in registry login "$MIRROR" --user "$1" --pass-stdin
}

regctl_logout() {
  regctl_in registry logout "$MIRROR"
}
