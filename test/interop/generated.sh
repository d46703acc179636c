# shellcheck shell=bash
# What `entrepot client-config` writes, put below a root folder of its own, and read by the real client, for which
# that folder lies over /etc. There the names of the registries lead to an address where nobody serves
# anything, but who comes is counted: that is the way around the mirror.

ITSELF_HOST=127.0.77.6
ITSELF_NAMES=(docker.io index.docker.io registry-1.docker.io auth.docker.io quay.io)
# No rule allows them, at any time of the run.
declare -A GENERATED_DENIED=([docker]=docker.io/nobody/app:v1)
GENERATED_CLIENTS=(docker podman ctr skopeo)
GENERATED_IMAGES=()
for client in "${GENERATED_CLIENTS[@]}"; do
  for fallback in yes no; do
    GENERATED_IMAGES+=("docker.io/library/busybox:written-$client-$fallback")
    # docker has mirrors for docker.io only.
    [ "$client" = docker ] || GENERATED_IMAGES+=("quay.io/coreos/etcd:written-$client-$fallback")
  done
done

prove_generated() {
  local missing client fallback
  prove_install_script
  missing=$(generated_missing)
  if [ -n "$missing" ]; then
    skip written "what clients do with it: ${missing//$'\n'/, }"
    return
  fi
  spawn registry-itself node "$HERE/registry-itself.mjs" "$ITSELF_HOST" 443
  check written 'the registries themselves can be seen to be asked' \
    wait_until 10 'it listens' grep -q listening "$WORK/logs/registry-itself.out"
  for client in "${GENERATED_CLIENTS[@]}"; do
    missing=$("generated_${client}_missing")
    if [ -n "$missing" ]; then
      skip written "$client: ${missing//$'\n'/, }"
      continue
    fi
    for fallback in yes no; do prove_generated_client "$client" "$fallback"; done
  done
  check written 'containerd reads its own file with our part in it' containerd_reads_its_file
  stop registry-itself || true
}

# A proof of its own for each fallback, yes or no: the folder, the pull, and what a refusal leads to.
prove_generated_client() {
  local client=$1 fallback=$2 group=written text="$1, fallback $2"
  check "$group" "$text: is written" write_generated "$client" "$fallback"
  start "$group" "$text: starts" "generated_${client}_start" "$client-$fallback" || return 0
  check "$group" "$text: pulls through the mirror" generated_pull "$client" "$fallback"
  if [ "$client" = docker ] && [ "$fallback" = no ]; then
    # The older image store: the text says so.
    check "$group" "$text: what cannot be forbidden is told" docker_is_told
  else
    check "$group" "$text: what the mirror refuses leads around it: $fallback" generated_denied "$client" "$fallback"
  fi
  "generated_${client}_stop" || true
}

generated_missing() {
  missing_root
  missing_commands unshare mount
  [ "$(id -u)" -ne 0 ] || ! command -v unshare >/dev/null ||
    in_root "$(generated_root probe)" true 2>/dev/null || echo 'no overlay over /etc to be had'
}

# generated_root NAME — a folder, with what hosts have there already
generated_root() {
  local root="$WORK/written/$1"
  if [ ! -d "$root" ]; then
    mkdir -p "$root/etc/containerd"
    printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
    printf '%s\n' "${ITSELF_NAMES[@]/#/$ITSELF_HOST }" >>"$root/etc/hosts"
    printf 'version = 2\r\n# of the host\r\n[grpc]\r\n  address = "%s/none.sock"\r\n' "$WORK" >"$root/etc/containerd/config.toml"
  fi
  echo "$root"
}

# enter_root ROOT COMMAND... — takes the place of this shell, with the folder's etc over that of the machine, for this
# command alone; without the proxy that holds all others back
enter_root() {
  # shellcheck disable=SC2016
  exec env -u HTTP_PROXY -u HTTPS_PROXY -u CONTAINERS_REGISTRIES_CONF unshare --mount --propagation private \
    sh -c 'mount -t overlay overlay -o "lowerdir=$0/etc:/etc" /etc && exec "$@"' "$@"
}

in_root() {
  (enter_root "$1" timeout --kill-after=5 90 "${@:2}")
}

write_generated() {
  local client=$1 fallback=$2 root options=()
  root=$(generated_root "$client-$fallback")
  [ "$fallback" = yes ] || options+=(--no-fallback)
  entrepot client-config "$(generated_name "$client")" --url "http://$MIRROR" --upstream docker.io --upstream quay.io \
    --write --root "$root" --home /root "${options[@]}"
}

generated_name() {
  case $1 in
    ctr) echo containerd ;;
    *) echo "$1" ;;
  esac
}

generated_pull() {
  local client=$1 lane="$1-$2" repository before came
  for repository in $("generated_${client}_repositories"); do
    before=$(count_origin_reads) came=$(count_came)
    "generated_${client}_do" "$lane" "$repository:written-$lane"
    [ "$(count_origin_reads)" -gt "$before" ] || fail 'the mirror did not ask upstream: the pull went elsewhere'
    [ "$(count_came)" -eq "$came" ] || fail 'the registry itself was asked'
    "generated_${client}_holds" "$lane" "$repository:written-$lane"
  done
}

generated_denied() {
  local client=$1 fallback=$2 image=${GENERATED_DENIED[$1]:-quay.io/nobody/app:v1} came reads
  came=$(count_came) reads=$(count_origin_reads)
  if "generated_${client}_do" "$client-$fallback" "$image"; then fail 'the pull succeeded'; fi
  [ "$(count_origin_reads)" -eq "$reads" ] || fail 'the mirror asked upstream'
  if [ "$fallback" = yes ]; then
    [ "$(count_came)" -gt "$came" ] || fail 'nobody came to the registry itself: this proves nothing'
  else
    [ "$(count_came)" -eq "$came" ] || fail 'the registry itself was asked'
  fi
}

count_came() {
  grep -c came "$WORK/logs/registry-itself.out" || true
}

docker_is_told() {
  entrepot client-config docker --url "http://$MIRROR" --upstream docker.io --no-fallback |
    grep -F 'no setting forbids it'
}

containerd_reads_its_file() {
  local root
  root=$(generated_root ctr-yes)
  containerd --config "$root/etc/containerd/config.toml" config dump | grep -F 'config_path = "/etc/containerd/certs.d"'
  entrepot client-config containerd --url "http://$MIRROR" --remove --root "$root" --home /root
  cmp "$root/etc/containerd/config.toml" "$(generated_root probe)/etc/containerd/config.toml"
}

# By the shells of small hosts, from the mirror, the same files as the command writes.
prove_install_script() {
  local shell
  check written 'install.sh: the command writes what it is compared with' write_for_script
  for shell in dash 'busybox sh'; do
    if command -v "${shell%% *}" >/dev/null; then
      check written "install.sh by $shell: the files of the command, and none afterwards" install_script_agrees "$shell"
    else
      skip written "install.sh by $shell: no ${shell%% *}"
    fi
  done
}

SCRIPT_ENGINES=(docker containerd podman)

write_for_script() {
  local engine
  for engine in "${SCRIPT_ENGINES[@]}"; do
    entrepot client-config "$engine" --url "http://$MIRROR" --no-fallback --write --root "$WORK/written/command"
  done
  ask --fail /client/install.sh >"$WORK/install.sh"
}

install_script_agrees() {
  local shell options ours root="$WORK/written/script-${1%% *}"
  read -ra shell <<<"$1"
  options=(--yes --no-fallback --only "$(IFS=, && echo "${SCRIPT_ENGINES[*]}")")
  mkdir -p "$root"
  run_script "$root" "${shell[@]}" -s -- "${options[@]}"
  diff -r "$root" "$WORK/written/command"
  run_script "$root" "${shell[@]}" -s -- --remove "${options[@]}"
  ours=$(find "$root" -type f)
  [ -z "$ours" ] || fail "left: $ours"
}

run_script() {
  ENTREPOT_ROOT=$1 deadline 30 "${@:2}" <"$WORK/install.sh"
}

# The engine with nothing but its own files; its containerd is that of the other lanes.
generated_docker_missing() { dockerd_missing; }

generated_docker_repositories() { echo docker.io/library/busybox; }

generated_docker_start() {
  local folder="$WORK/$1"
  mkdir -p "$folder"
  [ -S "$WORK/dockerd/containerd.sock" ] || start_containerd dockerd
  spawn "written-$1" enter_root "$(generated_root "$1")" dockerd --data-root "$folder/data" --exec-root "$folder/exec" \
    --host "unix://$folder/docker.sock" --pidfile "$folder/docker.pid" --containerd "$WORK/dockerd/containerd.sock" \
    --containerd-namespace "$1" --containerd-plugins-namespace "plugins-$1" \
    --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs
  GENERATED_DOCKER=$1
  wait_until 40 'dockerd answers' generated_docker_cli "$1" version
}

generated_docker_stop() { stop "written-$GENERATED_DOCKER"; }

generated_docker_cli() { deadline 90 docker --host "unix://$WORK/$1/docker.sock" "${@:2}"; }

generated_docker_do() { generated_docker_cli "$1" pull --quiet "$2"; }

generated_docker_holds() {
  holds_unpacked "$(image_folder "$2")" "$(generated_docker_cli "$1" image inspect "$2")"
}

generated_podman_missing() { podman_missing; }

generated_podman_repositories() { echo docker.io/library/busybox quay.io/coreos/etcd; }

generated_podman_start() { generated_podman_in "$1" --version; }

generated_podman_stop() { true; }

generated_podman_do() { generated_podman_in "$1" pull --quiet "$2"; }

generated_podman_holds() {
  holds_unpacked "$(image_folder "$2")" "$(generated_podman_in "$1" image inspect "$2")"
}

generated_podman_in() {
  local folder="$WORK/podman-written"
  in_root "$(generated_root "$1")" podman --root "$folder/root" --runroot "$folder/run" --tmpdir "$folder/tmp" \
    --storage-driver vfs --cgroup-manager cgroupfs --events-backend file "${@:2}"
}

# Without options for TLS: what is plain HTTP is said by the file.
generated_skopeo_missing() { skopeo_missing; }

generated_skopeo_repositories() { echo docker.io/library/busybox quay.io/coreos/etcd; }

generated_skopeo_start() { skopeo --version; }

generated_skopeo_stop() { true; }

generated_skopeo_do() {
  rm -rf "$WORK/skopeo-written"
  in_root "$(generated_root "$1")" skopeo --insecure-policy copy --quiet --all "docker://$2" "dir:$WORK/skopeo-written"
}

generated_skopeo_holds() {
  holds_bytes "$WORK/skopeo-written" "$(image_folder "$2")/all"
}

generated_ctr_missing() { ctr_missing; }

generated_ctr_repositories() { echo docker.io/library/busybox quay.io/coreos/etcd; }

generated_ctr_start() { [ -S "$WORK/ctr/containerd.sock" ] || start_containerd ctr; }

generated_ctr_stop() { true; }

generated_ctr_do() {
  in_root "$(generated_root "$1")" ctr --address "$WORK/ctr/containerd.sock" --namespace "$1" \
    images pull --hosts-dir /etc/containerd/certs.d --snapshotter native "$2"
}

generated_ctr_holds() {
  ctr_in "$1" images ls | awk -v name="$2" '$1 == name { print $3 }' | grep -Fx "$(<"$(image_folder "$2")/digest")"
  holds_bytes "$WORK/ctr/containerd/io.containerd.content.v1.content" "$(image_folder "$2")/host"
}
