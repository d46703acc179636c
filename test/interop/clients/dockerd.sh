# shellcheck shell=bash
# The docker engine, with a data folder, socket and containerd of its own.
#   dockerd-prefix  the mirror in the image name, for every registry
#   dockerd-mirror  `registry-mirrors`, which the engine uses for docker.io only

dockerd_lanes() {
  lane dockerd-prefix "${IMAGES[@]}"
  lane dockerd-mirror docker.io/library/busybox
}

dockerd_missing() {
  missing_commands dockerd docker containerd ctr
  missing_root
}

dockerd_start() {
  local folder="$WORK/dockerd"
  start_containerd dockerd
  echo '{}' >"$folder/daemon.json"
  spawn dockerd dockerd --config-file "$folder/daemon.json" --data-root "$folder/data" \
    --exec-root "$folder/exec" --host "unix://$folder/docker.sock" --pidfile "$folder/docker.pid" \
    --containerd "$folder/containerd.sock" --iptables=false --ip6tables=false --bridge=none \
    --storage-driver=vfs --registry-mirror "http://$MIRROR"
  wait_until 40 'dockerd answers' docker_cli version
}

dockerd_pull() {
  docker_cli pull --quiet "$(dockerd_name "$1" "$2" "$3")"
}

dockerd_holds() {
  holds_unpacked "$(expected "$@")" \
    "$(docker_cli image inspect "$(dockerd_name "$1" "$2" "$3")")"
}

dockerd_wipe() {
  local ids
  mapfile -t ids < <(docker_cli image ls --quiet --no-trunc | sort -u)
  [ "${#ids[@]}" -eq 0 ] || docker_cli image rm --force "${ids[@]}"
}

docker_cli() {
  deadline 90 docker --host "unix://$WORK/dockerd/docker.sock" "$@"
}

dockerd_name() {
  case $1 in
    dockerd-mirror) join_reference "$2" "$3" ;;
    *) echo "$MIRROR/$(join_reference "$2" "$3")" ;;
  esac
}

dockerd_login() {
  echo "$2" | docker_cli login --username "$1" --password-stdin "$MIRROR"
}

dockerd_logout() {
  docker_cli logout "$MIRROR"
}
