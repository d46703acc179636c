# shellcheck shell=bash
# podman, which pulls as CRI-O and buildah do.
#   podman-prefix  the mirror in the image name
#   podman-mirror  the real name; registries.conf sends each registry to a `location` below the mirror

podman_lanes() {
  lane podman-prefix "${IMAGES[@]}"
  lane podman-mirror "${IMAGES[@]}"
}

podman_missing() {
  missing_commands podman
  missing_root
}

podman_start() {
  registries_conf >"$WORK/registries.conf"
}

# The registries' own locations are a closed port: a pull that the mirror does not answer must fail.
registries_conf() {
  local upstream
  printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$MIRROR"
  for upstream in "${UPSTREAMS[@]}"; do
    cat <<TOML
[[registry]]
prefix = "$upstream"
location = "$CLOSED/$upstream"
insecure = true
[[registry.mirror]]
location = "$MIRROR/$upstream"
insecure = true
TOML
  done
}

podman_pull() {
  podman_in pull --quiet "$(podman_name "$1" "$2" "$3")"
}

podman_holds() {
  holds_unpacked "$(expected "$@")" \
    "$(podman_in image inspect "$(podman_name "$1" "$2" "$3")")"
}

podman_wipe() {
  podman_in image rm --all --force
}

podman_in() {
  local folder="$WORK/podman"
  CONTAINERS_REGISTRIES_CONF="$WORK/registries.conf" deadline 90 \
    podman --root "$folder/root" --runroot "$folder/run" --tmpdir "$folder/tmp" --storage-driver vfs \
    --cgroup-manager cgroupfs --events-backend file "$@"
}

podman_name() {
  case $1 in
    podman-mirror) join_reference "$2" "$3" ;;
    *) echo "$MIRROR/$(join_reference "$2" "$3")" ;;
  esac
}

podman_login() {
  echo "$2" | podman_in login --tls-verify=false --username "$1" --password-stdin "$MIRROR"
}

podman_logout() {
  podman_in logout "$MIRROR"
}
