# shellcheck shell=bash
# containerd with hosts.toml, in the three ways that lead to a mirror:
#   ctr-override  url with the upstream after /v2, and override_path  → /v2/quay.io/coreos/etcd/…?ns=quay.io
#   ctr-ns        bare url                                            → /v2/coreos/etcd/…?ns=quay.io
#   ctr-path      url with a path, to which containerd appends /v2    → /quay.io/v2/coreos/etcd/…?ns=quay.io

ctr_lanes() {
  lane ctr-override "${IMAGES[@]}"
  lane ctr-ns "${IMAGES[@]}"
  lane ctr-path "${IMAGES[@]}"
}

ctr_missing() {
  missing_commands containerd ctr
  missing_root
}

ctr_start() {
  local upstream
  for upstream in "${UPSTREAMS[@]}"; do
    hosts_toml ctr-override "$upstream" "http://$MIRROR/v2/$upstream" 'override_path = true'
    hosts_toml ctr-ns "$upstream" "http://$MIRROR" ''
    hosts_toml ctr-path "$upstream" "http://$MIRROR/$upstream" ''
  done
  # Of later proofs; not proven like the others, as it pulls what they have pulled.
  LANE_CLIENT[ctr-login]=ctr
  LANE_CLIENT[ctr-token]=ctr
  start_containerd ctr
}

# The registry's own address is a closed port: a pull that the mirror does not answer must fail.
hosts_toml() {
  local folder="$WORK/ctr/hosts/$1/$2"
  mkdir -p "$folder"
  cat >"$folder/hosts.toml" <<TOML
server = "http://$CLOSED"
[host."$3"]
  capabilities = ["pull", "resolve"]
  $4
TOML
}

# containerd 1.6 asks with HEAD and reports the status alone, later ones the sentence too.
ctr_denial() { echo '403 Forbidden'; }

ctr_pull() {
  ctr_in "$1" images pull --hosts-dir "$WORK/ctr/hosts/$1" --snapshotter native "$(join_reference "$2" "$3")"
}

# The content store keeps what was downloaded as it was.
ctr_holds() {
  local digest
  digest=$(ctr_in "$1" images ls | awk -v name="$(join_reference "$2" "$3")" '$1 == name { print $3 }')
  [ "$digest" = "$(<"$(expected "$@")/digest")" ] || {
    echo "containerd says $digest"
    return 1
  }
  holds_bytes "$WORK/ctr/containerd/io.containerd.content.v1.content" "$(expected "$@")/host"
}

ctr_wipe() {
  local names
  mapfile -t names < <(ctr_in "$1" images ls -q)
  [ "${#names[@]}" -eq 0 ] || ctr_in "$1" images rm --sync "${names[@]}"
}

ctr_in() {
  deadline 90 ctr --address "$WORK/ctr/containerd.sock" --namespace "$1" "${@:2}"
}

# It has no login; what a node is given is a header in hosts.toml. For the lane ctr-login.
ctr_login() {
  ctr_header ctr-login "Basic $(printf '%s:%s' "$1" "$2" | base64 -w 0)"
}

ctr_logout() {
  local upstream
  for upstream in "${UPSTREAMS[@]}"; do
    hosts_toml ctr-login "$upstream" "http://$MIRROR/v2/$upstream" 'override_path = true'
  done
}

# ctr_header LANE AUTHORIZATION
ctr_header() {
  local upstream url
  for upstream in "${UPSTREAMS[@]}"; do
    url="http://$MIRROR/v2/$upstream"
    hosts_toml "$1" "$upstream" "$url" "override_path = true
  [host.\"$url\".header]
    Authorization = [\"$2\"]"
  done
}
