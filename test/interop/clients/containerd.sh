# shellcheck shell=bash
# A containerd of our own, for ctr and for dockerd; never the one of the machine.

# start_containerd NAME — listens on the socket $WORK/NAME/containerd.sock
start_containerd() {
  local folder="$WORK/$1"
  mkdir -p "$folder"
  cat >"$folder/containerd.toml" <<TOML
version = 2
root = "$folder/containerd"
state = "$folder/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "$folder/containerd.sock"
TOML
  spawn "$1-containerd" containerd --config "$folder/containerd.toml"
  wait_until 20 "$1's containerd answers" ctr --address "$folder/containerd.sock" version
}
