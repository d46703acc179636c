# shellcheck shell=bash
# The upstreams: three docker-registry processes on loopback addresses of their own, which stand in for
#   docker.io          open, plain HTTP
#   quay.io            htpasswd over TLS, the certificate signed by a private CA
#   registry.suse.com  token auth; the token server has another address than the registry
# and slow.test, which is docker.io's stand-in at the end of a slow link.

UPSTREAMS=(docker.io quay.io registry.suse.com)
# Exists at quay.io, but no rule of the mirror allows it.
DENIED_REPOSITORY=quay.io/coreos/flannel

declare -A ORIGIN_HOST=(
  [docker.io]=127.0.77.1
  [quay.io]=127.0.77.2
  [registry.suse.com]=127.0.77.3
)
declare -A ORIGIN # upstream → host:port
SLOW_HOST=127.0.77.5
SLOW_LINK= # host:port
SLOW_RATE=8388608 # bytes in a second
TOKEN_HOST=127.0.77.4
TOKEN_SERVER=
TOKEN_SERVICE=interop-suse
PKI="$WORK/pki"
# What the mirror may use; `publisher` with PUBLISHER_PASSWORD is who pushes.
QUAY_PASSWORD=
SUSE_PASSWORD=
PUBLISHER_PASSWORD=

make_secrets() {
  QUAY_PASSWORD=$(openssl rand -hex 12)
  SUSE_PASSWORD=$(openssl rand -hex 12)
  PUBLISHER_PASSWORD=$(openssl rand -hex 12)
  mkdir -p "$PKI/trusted"
  (
    cd "$PKI"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
      -subj '/CN=interop private CA' -keyout ca.key -out ca.crt
    cp ca.crt trusted/
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
      -subj '/CN=interop quay' -keyout quay.key -out quay.csr
    openssl x509 -req -days 2 -in quay.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out quay.crt \
      -extfile <(echo "subjectAltName=IP:${ORIGIN_HOST[quay.io]}")
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
      -subj '/CN=interop token server' -keyout token.key -out token.crt
    htpasswd -nbB mirror "$QUAY_PASSWORD" >quay.htpasswd
    htpasswd -nbB publisher "$PUBLISHER_PASSWORD" >>quay.htpasswd
  ) >"$WORK/logs/pki.out" 2>&1
}

start_registries() {
  local upstream
  TOKEN_SERVER="$TOKEN_HOST:$(free_port "$TOKEN_HOST")"
  TOKEN_PASSWORD_MIRROR=$SUSE_PASSWORD TOKEN_PASSWORD_PUBLISHER=$PUBLISHER_PASSWORD \
    spawn token-server node "$HERE/token-server.mjs" "${TOKEN_SERVER%:*}" "${TOKEN_SERVER##*:}" \
    "$PKI/token.key" "$PKI/token.crt" "$TOKEN_SERVICE"
  for upstream in "${UPSTREAMS[@]}"; do
    ORIGIN[$upstream]="${ORIGIN_HOST[$upstream]}:$(free_port "${ORIGIN_HOST[$upstream]}")"
    registry_config "$upstream" >"$WORK/origin-$upstream.yml"
    # docker-registry takes every REGISTRY_* variable for a setting, podman's REGISTRY_AUTH_FILE too.
    spawn "origin-$upstream" env -i PATH="$PATH" docker-registry serve "$WORK/origin-$upstream.yml"
  done
  for upstream in "${UPSTREAMS[@]}"; do
    wait_until 20 "the $upstream stand-in answers" curl -ks --noproxy '*' "$(origin_url "$upstream")/v2/"
  done
  start_slow_link
}

# Images are pushed past the link.
start_slow_link() {
  local to=${ORIGIN[docker.io]}
  ORIGIN[slow.test]=$to
  SLOW_LINK="$SLOW_HOST:$(free_port "$SLOW_HOST")"
  spawn slow-link node "$HERE/slow-link.mjs" "${SLOW_LINK%:*}" "${SLOW_LINK##*:}" "${to%:*}" "${to##*:}" "$SLOW_RATE"
  wait_until 20 'the slow link is there' curl -s --noproxy '*' "http://$SLOW_LINK/v2/"
}

stop_registries() {
  local upstream
  for upstream in "${UPSTREAMS[@]}"; do
    stop "origin-$upstream" || true
  done
  stop token-server || true
  stop slow-link || true
}

origin_url() {
  case $(has_tls "$1") in
    true) echo "https://${ORIGIN[$1]}" ;;
    false) echo "http://${ORIGIN[$1]}" ;;
  esac
}

has_tls() {
  [ "$1" = quay.io ] && echo true || echo false
}

registry_config() {
  local upstream=$1
  cat <<YAML
version: 0.1
log: { level: warn }
storage:
  filesystem: { rootdirectory: $WORK/storage/$upstream }
http:
  addr: ${ORIGIN[$upstream]}
  secret: interop
YAML
  case $upstream in
    quay.io)
      cat <<YAML
  tls: { certificate: $PKI/quay.crt, key: $PKI/quay.key }
auth:
  htpasswd: { realm: interop quay, path: $PKI/quay.htpasswd }
YAML
      ;;
    registry.suse.com)
      cat <<YAML
auth:
  token:
    realm: http://$TOKEN_SERVER/token
    service: $TOKEN_SERVICE
    issuer: interop-token-server
    rootcertbundle: $PKI/token.crt
YAML
      ;;
  esac
}

# publish UPSTREAM/REPOSITORY:TAG... — makes the images and pushes them to where they belong.
publish() {
  local name
  node "$HERE/make-images.mjs" "$WORK/images" "$@"
  for name in "$@"; do
    push "$name"
  done
}

push() {
  local upstream=${1%%/*} image
  image=$(image_folder "$1")
  deadline 60 skopeo --insecure-policy copy --quiet --all --preserve-digests \
    --dest-tls-verify="$(has_tls "$upstream")" \
    --dest-cert-dir "$PKI/trusted" --dest-creds "publisher:$PUBLISHER_PASSWORD" \
    "dir:$image/dir" "docker://${ORIGIN[$upstream]}/${1#*/}"
}

# origin_digest UPSTREAM/REPOSITORY:TAG — what the tag means at the registry itself.
origin_digest() {
  local upstream=${1%%/*}
  echo "sha256:$(deadline 30 skopeo inspect --raw \
    --tls-verify="$(has_tls "$upstream")" \
    --cert-dir "$PKI/trusted" --creds "publisher:$PUBLISHER_PASSWORD" \
    "docker://${ORIGIN[$upstream]}/${1#*/}" | sha256sum | cut -d ' ' -f 1)"
}

# image_folder UPSTREAM/REPOSITORY:TAG — where make-images.mjs put it, with its digest lists.
image_folder() {
  echo "$WORK/images/${1%:*}/${1##*:}"
}

# From here on, origin_requests tells only of what comes after.
mark_origin_logs() {
  local upstream
  for upstream in "${UPSTREAMS[@]}"; do
    wc -l <"$WORK/logs/origin-$upstream.out" >"$WORK/origin-$upstream.mark"
  done
}

# Access log lines of all registries since the mark.
origin_requests() {
  local upstream
  for upstream in "${UPSTREAMS[@]}"; do
    tail -n "+$(($(<"$WORK/origin-$upstream.mark") + 1))" "$WORK/logs/origin-$upstream.out"
  done
}

# How many manifests and blobs were asked for, GET and HEAD. A registry writes its line when the answer
# is out, which can be just after the client has it: counted again until nothing moves. Nothing of what was
# pulled before may still be on its way in the background.
count_origin_reads() {
  local before=-1 now
  wait_until 20 'nothing is fetched in the background' mirror_is_calm
  now=$(origin_reads)
  while [ "$before" != "$now" ]; do
    before=$now
    sleep 0.15
    now=$(origin_reads)
  done
  echo "$now"
}

origin_reads() {
  origin_requests | grep -cE '"(GET|HEAD) /v2/[^" ]+/(manifests|blobs)/' || true
}

# Bytes that have come back over the slow link so far.
link_bytes() {
  tail -n 1 "$WORK/logs/slow-link.out"
}

count_token_requests() {
  wc -l <"$WORK/logs/token-server.out"
}

# Blobs that were downloaded more than once, with their counts.
blobs_read_twice() {
  origin_requests | sed -nE 's|.*"GET /v2/[^" ]+/blobs/(sha256:[0-9a-f]+)[^"]*" 20[06] .*|\1|p' |
    sort | uniq -c | awk '$1 > 1'
}
