# shellcheck shell=bash
# What is proven for every client. A client is a file in clients/ with six functions:
#   <client>_missing                        why it cannot be tried; nothing when it can
#   <client>_lanes                          registers its lanes (below)
#   <client>_start                          writes its configuration, starts its daemon
#   <client>_pull LANE REPOSITORY REFERENCE pulls into storage of its own
#   <client>_holds LANE REPOSITORY REFERENCE  fails unless the storage holds what the origin has
#   <client>_wipe LANE                      empties the storage
# and <client>_denial where it shows something else than the mirror's sentence when it is refused.
#
# A lane is one way to point a client at the mirror. Each pulls tags that are named after it, so that
# each lane finds the mirror cold.

IMAGES=(
  docker.io/library/busybox
  quay.io/coreos/etcd
  registry.suse.com/bci/base
  registry.suse.com/suse/private
)
LANES=()
declare -A LANE_CLIENT LANE_IMAGES

# lane NAME REPOSITORY... — called by <client>_lanes, with CLIENT set.
lane() {
  LANES+=("$1")
  LANE_CLIENT[$1]=$CLIENT
  LANE_IMAGES[$1]="${*:2}"
}

# Prints REPOSITORY:TAG of all lanes, for publish.
lane_tags() {
  local lane repository
  for lane in "${LANES[@]}"; do
    for repository in ${LANE_IMAGES[$lane]}; do
      echo "$repository:$lane"
    done
  done
}

prove_pulls() {
  local lane=$1 client=${LANE_CLIENT[$1]} repository
  check "$client" "$lane: what curl has pulled by another name, upstream is not asked" \
    pull_cached "$lane" docker.io/library/busybox http
  for repository in ${LANE_IMAGES[$lane]}; do
    check "$client" "$lane: $repository, cold, is what the origin has" pull_cold "$lane" "$repository"
    check "$client" "$lane: $repository again, upstream is not asked" pull_cached "$lane" "$repository" "$lane"
  done
  case ${LANE_IMAGES[$lane]} in
    *quay.io*) check "$client" "$lane: $DENIED_REPOSITORY is refused, upstream is not asked" pull_denied "$lane" ;;
  esac
}

prove_outage() {
  local lane=$1 client=${LANE_CLIENT[$1]} repository
  for repository in ${LANE_IMAGES[$lane]}; do
    check "$client" "$lane: $repository by tag, upstream is down" pull_anew "$lane" "$repository" "$lane"
    check "$client" "$lane: $repository by digest, upstream is down" \
      pull_anew "$lane" "$repository" "$(<"$(image_folder "$repository:$lane")/digest")"
  done
}

pull_cold() {
  local before
  before=$(count_origin_reads)
  pull_anew "$1" "$2" "$1"
  [ "$(count_origin_reads)" -gt "$before" ] || fail 'upstream was not asked: the pull went elsewhere'
}

pull_cached() {
  local before after
  before=$(count_origin_reads)
  pull_anew "$@"
  after=$(count_origin_reads)
  [ "$after" -eq "$before" ] || {
    origin_requests | tail -n "$((after - before))"
    fail "$((after - before)) requests for manifests and blobs went upstream"
  }
}

pull_anew() {
  local client=${LANE_CLIENT[$1]}
  "${client}_wipe" "$1"
  "${client}_pull" "$@"
  "${client}_holds" "$@"
}

pull_denied() {
  local client=${LANE_CLIENT[$1]} reads tokens output="$WORK/denied.log" expected
  expected=$("$(type -t "${client}_denial" >/dev/null && echo "${client}_denial" || echo denied_sentence)")
  reads=$(count_origin_reads) tokens=$(count_token_requests)
  if "${client}_pull" "$1" "$DENIED_REPOSITORY" v1 >"$output" 2>&1; then
    fail 'the pull succeeded'
  fi
  cat "$output"
  # Some clients print it as a quoted string.
  sed 's/\\"/"/g' "$output" | grep -F "$expected" >/dev/null || fail "the client does not show: $expected"
  [ "$(count_origin_reads)" -eq "$reads" ] || fail 'upstream was asked'
  [ "$(count_token_requests)" -eq "$tokens" ] || fail 'the token server was asked'
}

fail() {
  echo "$*"
  exit 1
}

# storage LANE — a folder for what the lane's client stores.
storage() {
  mkdir -p "$WORK/storage/$1"
  echo "$WORK/storage/$1"
}

# join_reference REPOSITORY TAG-OR-DIGEST
join_reference() {
  case $2 in
    sha256:*) echo "$1@$2" ;;
    *) echo "$1:$2" ;;
  esac
}

# expected LANE REPOSITORY TAG-OR-DIGEST — the folder of the image that this means; a digest is that of the
# lane's own tag.
expected() {
  case $3 in
    sha256:*) image_folder "$2:$1" ;;
    *) image_folder "$2:$3" ;;
  esac
}

# holds_bytes FOLDER LIST — every digest of the list is the hash of a file in the folder.
holds_bytes() {
  local missing
  missing=$(comm -13 <(find "$1" -type f -exec sha256sum {} + | sed -E 's/^([0-9a-f]+) .*/sha256:\1/' | sort -u) \
    <(sort -u "$2"))
  [ -z "$missing" ] || fail "not stored: $missing"
}

# holds_unpacked IMAGE-FOLDER TEXT — the text, from the client's own inspection, names the digest that the
# image was pulled by and every layer, which the client has hashed after unpacking.
holds_unpacked() {
  local digest
  for digest in $(cat "$1/digest" "$1/diff-ids"); do
    grep -qF "$digest" <<<"$2" || fail "the client does not have $digest, but: $2"
  done
}
