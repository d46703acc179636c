# shellcheck shell=bash
# The mirror under test, as users start it.

MIRROR_HOST=127.0.77.10
MIRROR= # host:port
MIRROR_FOLDER="$WORK/mirror"
MIRROR_CONFIG="$MIRROR_FOLDER/mirrors.yml"
# What is pulled without a user.
ANONYMOUS=('**')

# Builds where there is no build, or one that is older than the source.
build_mirror() {
  [ -f "$ROOT/dist/main.js" ] && [ -z "$(find "$ROOT/src" -newer "$ROOT/dist/main.js" -print -quit)" ] && return
  (cd "$ROOT" && npm run --silent build) >"$WORK/logs/build.out" 2>&1
}

# write_mirror_config TAG_TTL ALLOW... — replaced in one step, so that no half-written file is read.
write_mirror_config() {
  mkdir -p "$MIRROR_FOLDER"
  cp "$PKI/ca.crt" "$MIRROR_FOLDER/quay-ca.pem"
  (umask 077 && echo "$QUAY_PASSWORD" >"$MIRROR_FOLDER/quay-password")
  mirror_config "$@" >"$MIRROR_CONFIG.new"
  mv "$MIRROR_CONFIG.new" "$MIRROR_CONFIG"
}

mirror_config() {
  local tag_ttl=$1
  shift
  cat <<YAML
listen: $MIRROR
data: ./data
defaultUpstream: docker.io
upstreams:
  docker.io:
    endpoints: [http://${ORIGIN[docker.io]}]
    insecure: true
    networks: [127.0.0.0/8]
    tagTtl: $tag_ttl
  quay.io:
    endpoints: [https://${ORIGIN[quay.io]}]
    ca: quay-ca.pem
    networks: [127.0.0.0/8]
    credentials: [{ username: mirror, passwordFile: quay-password }]
    tagTtl: $tag_ttl
  registry.suse.com:
    endpoints: [http://${ORIGIN[registry.suse.com]}]
    insecure: true
    realms: [$TOKEN_SERVER]
    networks: [127.0.0.0/8]
    credentials: [{ username: mirror, password: "\${INTEROP_SUSE_PASSWORD}" }]
    tagTtl: $tag_ttl
  slow.test:
    endpoints: [http://$SLOW_LINK]
    insecure: true
    networks: [127.0.0.0/8]
    tagTtl: $tag_ttl
timeouts: { connect: 20s } # a registry is halted for a while, to make clients meet
hosts:
  quay.mirror.test: quay.io
anonymous:
YAML
  printf "  - '%s'\n" "${ANONYMOUS[@]}"
  [ ! -f "$MIRROR_FOLDER/users.htpasswd" ] || echo 'htpasswd: users.htpasswd'
  echo 'allow:'
  printf '  - %s\n' "$@"
}

start_mirror() {
  start mirror 'starts and is ready' spawn_mirror || {
    show "$WORK"/logs/mirror.*
    return 1
  }
}

spawn_mirror() {
  INTEROP_SUSE_PASSWORD=$SUSE_PASSWORD spawn mirror node "$ROOT/dist/main.js" serve --config "$MIRROR_CONFIG"
  wait_until 20 'the mirror is ready' curl -fs --noproxy '*' "http://$MIRROR/readyz"
}

stop_mirror() {
  local status=0
  stop mirror || status=$?
  check mirror 'SIGTERM ends it with exit status 0' test "$status" -eq 0
}

# SIGKILL, as when memory runs out; the caller's `stop` collects it.
kill_mirror() {
  local pid
  pid=$(<"$WORK/pids/mirror")
  kill -KILL "$pid"
  wait_until 10 'it is dead' has_ended "$pid"
}

# entrepot COMMAND ARGUMENT... — what operators type.
entrepot() {
  INTEROP_SUSE_PASSWORD=$SUSE_PASSWORD deadline 60 node "$ROOT/dist/main.js" "$@" --config "$MIRROR_CONFIG"
}

# No download runs or waits for its turn.
mirror_is_calm() {
  ask --fail /metrics | awk '/^entrepot_(fills_running|prefetches_waiting) / { n += $2; seen++ } END { exit !(seen == 2 && n == 0) }'
}

# ask CURL-ARGUMENT... PATH — one request to the mirror.
ask() {
  curl -sS --noproxy '*' --max-time 20 --path-as-is "${@:1:$#-1}" "http://$MIRROR${*: -1}"
}

# The sentence that the mirror has for a repository that no rule allows.
denied_sentence() {
  ask "/v2/$DENIED_REPOSITORY/manifests/v1" | jq -er '.errors[0].message'
}
