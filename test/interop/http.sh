# shellcheck shell=bash
# The mirror as curl sees it: pings, the shapes of names, and the answers that clients rely on.

HTTP_IMAGES=(docker.io/library/busybox:http quay.io/coreos/etcd:http)

prove_http() {
  local path
  for path in /v2/ /v2 /quay.io/v2/ /v2/quay.io/; do
    check http "GET $path is a ping" answers_ping "$path"
  done
  check http 'prefix, namespace, path before v2 and host name give the same manifest' same_in_every_shape
  check http 'a bare name means docker.io, with and without library/' bare_means_docker_io
  check http 'every manifest and blob by digest is what the origin has' serves_all docker.io/library/busybox:http
  check http 'HEAD of a manifest has the headers of GET' head_like_get
  check http 'a range of a blob' serves_range
  check http 'the tags are those of the origin' lists_tags
  check http 'an unknown registry is NAME_UNKNOWN' refuses /v2/registry.invalid/some/image/manifests/v1 404 NAME_UNKNOWN
  check http 'an upper-case name is NAME_INVALID' refuses /v2/quay.io/Coreos/etcd/manifests/v1 400 NAME_INVALID
  check http 'a repository without a rule is DENIED' refuses "/v2/$DENIED_REPOSITORY/manifests/v1" 403 DENIED
  check http 'a missing tag is MANIFEST_UNKNOWN' refuses /v2/quay.io/coreos/etcd/manifests/missing 404 MANIFEST_UNKNOWN
  check http 'a cached blob of one repository is unknown in another' refuses \
    "/v2/docker.io/library/busybox/blobs/$(tail -n 1 "$(image_folder quay.io/coreos/etcd:http)/all")" 404 BLOB_UNKNOWN
  check http '/healthz, /readyz and /metrics answer' answers_operators
}

answers_ping() {
  ask --dump-header "$WORK/headers" --fail "$1"
  head -n 1 "$WORK/headers" | grep -q ' 200 ' || fail "$(head -n 1 "$WORK/headers")"
  grep -qi '^docker-distribution-api-version: registry/2.0' "$WORK/headers" || fail 'no API version'
}

same_in_every_shape() {
  gives_manifest quay.io/coreos/etcd:http /v2/quay.io/coreos/etcd/manifests/http
  gives_manifest quay.io/coreos/etcd:http '/v2/coreos/etcd/manifests/http?ns=quay.io'
  gives_manifest quay.io/coreos/etcd:http '/v2/quay.io/coreos/etcd/manifests/http?ns=quay.io'
  gives_manifest quay.io/coreos/etcd:http /quay.io/v2/coreos/etcd/manifests/http
  gives_manifest quay.io/coreos/etcd:http /v2/coreos/etcd/manifests/http --header 'Host: quay.mirror.test'
  gives_manifest quay.io/coreos/etcd:http /v2/coreos/etcd/manifests/http --header 'Host: quay.mirror.test:5000'
}

bare_means_docker_io() {
  gives_manifest docker.io/library/busybox:http /v2/library/busybox/manifests/http
  gives_manifest docker.io/library/busybox:http /v2/busybox/manifests/http
  gives_manifest docker.io/library/busybox:http '/v2/busybox/manifests/http?ns=registry-1.docker.io'
}

# gives_manifest UPSTREAM/REPOSITORY:TAG PATH CURL-ARGUMENT...
gives_manifest() {
  local digest
  ask --fail "${@:3}" --output "$WORK/manifest" "$2"
  digest="sha256:$(sha256sum <"$WORK/manifest" | cut -d ' ' -f 1)"
  [ "$digest" = "$(<"$(image_folder "$1")/digest")" ] || fail "${*:2} gives $digest"
}

# serves_all UPSTREAM/REPOSITORY:TAG — by digest; every client finds this image cached later.
serves_all() {
  local folder digest kind
  folder=$(image_folder "$1")
  while read -r digest; do
    kind=blobs
    if [ "$digest" = "$(<"$folder/digest")" ] || [ -f "$folder/dir/${digest#sha256:}.manifest.json" ]; then
      kind=manifests
    fi
    ask --fail --output "$WORK/content" "/v2/${1%:*}/$kind/$digest"
    [ "sha256:$(sha256sum <"$WORK/content" | cut -d ' ' -f 1)" = "$digest" ] || fail "$digest is something else"
  done <"$folder/all"
}

head_like_get() {
  local path=/v2/quay.io/coreos/etcd/manifests/http name
  ask --head --fail --output "$WORK/head" "$path"
  ask --fail --dump-header "$WORK/get" --output "$WORK/body" "$path"
  for name in content-length content-type docker-content-digest; do
    [ -n "$(header "$name" "$WORK/get")" ] || fail "GET: no $name"
    [ "$(header "$name" "$WORK/head")" = "$(header "$name" "$WORK/get")" ] || fail "$name differs"
  done
}

# header NAME FILE — the value, whatever the case of the name (RFC 9110, 5.1).
header() {
  sed -nE "s/^$1:[[:space:]]*//Ip" "$2"
}

serves_range() {
  local folder digest
  folder=$(image_folder quay.io/coreos/etcd:http)
  digest=$(tail -n 1 "$folder/all")
  ask --fail --range 100-299 --dump-header "$WORK/headers" --output "$WORK/range" \
    "/v2/quay.io/coreos/etcd/blobs/$digest"
  head -n 1 "$WORK/headers" | grep ' 206 ' || fail 'not 206'
  cmp "$WORK/range" <(tail -c +101 "$folder/dir/${digest#sha256:}" | head -c 200)
}

lists_tags() {
  cmp <(ask --fail /v2/docker.io/library/busybox/tags/list | jq -S '.tags | sort') \
    <(curl -sS --noproxy '*' "$(origin_url docker.io)/v2/library/busybox/tags/list" | jq -S '.tags | sort')
}

# refuses PATH STATUS CODE — with an OCI error body, and unless it is about content, without asking upstream.
refuses() {
  local status before
  before=$(count_origin_reads)
  status=$(ask --output "$WORK/refusal" --write-out '%{http_code}' "$1")
  cat "$WORK/refusal"
  [ "$status" = "$2" ] || fail "status $status"
  [ "$(jq -r '.errors[0].code' "$WORK/refusal")" = "$3" ] || fail "not $3"
  [[ $3 = *_UNKNOWN && $3 != NAME_* ]] || [ "$(count_origin_reads)" -eq "$before" ] || fail 'upstream was asked'
}

answers_operators() {
  ask --fail /healthz
  ask --fail /readyz
  ask --fail --output "$WORK/metrics" /metrics
  grep -q '^# TYPE ' "$WORK/metrics"
}
