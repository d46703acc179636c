# shellcheck shell=bash
# One registry with one image, library/busybox:v1, that the mirror knows as docker.io.

ORIGIN= # host:port
IMAGE="$WORK/images/docker.io/library/busybox/v1"
ORIGIN_STORAGE="$WORK/origin"

# start_origin HOST
start_origin() {
  ORIGIN="$1:$(free_port "$1")"
  node "$ROOT/test/interop/make-images.mjs" "$WORK/images" docker.io/library/busybox:v1
  cat >"$WORK/origin.yml" <<YAML
version: 0.1
log: { level: warn }
storage:
  filesystem: { rootdirectory: $ORIGIN_STORAGE }
http: { addr: $ORIGIN, secret: test }
YAML
  spawn origin env -i PATH="$PATH" docker-registry serve "$WORK/origin.yml"
  wait_until 20 'the origin answers' curl -fs --noproxy '*' "http://$ORIGIN/v2/"
  deadline 60 skopeo --insecure-policy copy --quiet --all --preserve-digests --dest-tls-verify=false \
    "dir:$IMAGE/dir" "docker://$ORIGIN/library/busybox:v1"
}

# mirror_config LISTEN RULE... — what the mirror needs to know to serve it.
mirror_config() {
  cat <<YAML
listen: $1
data: ./data
upstreams:
  docker.io:
    endpoints: [http://$ORIGIN]
    insecure: true
    networks: [127.0.0.0/8]
    tagTtl: 1s
allow:
YAML
  printf '  - %s\n' "${@:2}"
}

# pull HOST:PORT FOLDER — every platform, by way of the mirror; fails unless each byte is what was pushed.
pull() {
  rm -rf "$2"
  deadline 60 skopeo --insecure-policy copy --quiet --all --src-tls-verify=false \
    "docker://$1/docker.io/library/busybox:v1" "dir:$2"
  diff -r "$IMAGE/dir" "$2"
}

# The largest layer: its digest, and where the bytes are as they were made.
layer_digest() {
  echo "sha256:$(basename "$(layer_file)")"
}

layer_file() {
  find "$IMAGE/dir" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-
}
