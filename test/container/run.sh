#!/usr/bin/env bash
# The container image: built from Dockerfile, and run as it is meant to be run.
#
#   test/container/run.sh
#
# No image registry is needed: stand-ins for the two base images are put together from what this machine
# has. What cannot be tried here is skipped, with the reason. Exit status 0: nothing failed.
#
#   INTEROP_KEEP=1       keep the temporary folder, with all logs
set -Eeuo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$HERE/../.." && pwd)"
HOST=127.0.78.10
NAME=localhost/entrepot
USER_ID=10001

# shellcheck source=test/interop/lib.sh
. "$HERE/../interop/lib.sh"
# shellcheck source=test/front/origin.sh
. "$HERE/../front/origin.sh"
# shellcheck source=test/container/engine.sh
. "$HERE/engine.sh"
# shellcheck source=test/container/base-images.sh
. "$HERE/base-images.sh"
trap finish EXIT
trap report_error ERR
trap 'exit 130' INT
trap 'exit 143' TERM

main() {
  local missing
  missing=$(
    missing_root
    missing_commands apt-cache curl docker-registry dpkg jq node npm openssl podman skopeo tar
  )
  if [ -n "$missing" ]; then
    skip container "all of it: ${missing//$'\n'/, }"
  else
    make_base_images >"$WORK/logs/base-images.out" 2>&1
    if choose_engine >"$WORK/logs/engine.out" 2>&1; then
      import_base_images
      try_image
    else
      skip container "all of it: podman cannot run containers here: $(tail -n 1 "$WORK/logs/engine.out")"
    fi
  fi
  summarize
}

# argument NAME — its default in Dockerfile.
argument() {
  sed -n "s/^ARG $1=//p" "$ROOT/Dockerfile"
}

try_image() {
  start image 'Dockerfile builds' build_image || return 0
  check image 'it runs as a number that is not root' image_says '.Config.User' "$USER_ID:$USER_ID"
  check image 'it is stopped by SIGTERM' image_says '.Config.StopSignal' SIGTERM
  check image 'it holds no sources, tests and development packages' holds_only_what_runs
  check default 'starts on a read-only root filesystem, without a capability' starts_by_default
  check default 'is healthy' is_healthy by-default
  check default 'nothing but /data can be written' writes_only_data
  check default 'SQLite has a place for temporary files' sqlite_can_spill
  check default 'a mistake in the configuration is said, and ends it with 1' refuses_mistakes
  check default 'is healthy with certificates' is_healthy_with_tls
  try_pulls
}

try_pulls() {
  MIRROR="$HOST:$(free_port "$HOST")"
  start pull 'the origin holds an image' start_origin "$HOST" || return 0
  prepare_mirror
  check pull 'starts with configuration and data from the host' start_mirror
  check pull 'skopeo gets every byte' pull "$MIRROR" "$WORK/pulled"
  check pull "all files belong to user $USER_ID" belongs_to_user
  check pull 'a rule that is added to the file works within seconds' adds_rule
  check pull 'SIGTERM ends it with 0' ends_by_sigterm
  stop origin || true
  check pull 'starts again on the same data' start_mirror
  check pull 'skopeo gets every byte again, upstream is down' pull "$MIRROR" "$WORK/pulled-again"
}

build_image() {
  deadline 420 "${ENGINE[@]}" build --isolation=chroot --network=host --pull=never --format=docker --layers=false \
    --volume "$(npm config get cache):/root/.npm" --tag "$NAME" "$ROOT"
}

# image_says FIELD VALUE
image_says() {
  [ "$(engine inspect --format "{{$1}}" "$NAME")" = "$2" ] || fail "$(engine inspect --format "{{$1}}" "$NAME")"
}

holds_only_what_runs() {
  local found
  found=$(engine run --rm --network=none --entrypoint /bin/ls "$NAME" /app /app/node_modules)
  echo "$found"
  grep -qx better-sqlite3 <<<"$found" || fail 'no better-sqlite3'
  if grep -xE 'src|test|\.git|typescript|vitest|oxlint|mirrors\.yml|secrets' <<<"$found"; then fail 'too much'; fi
}

# run_confined NAME ARGUMENT... — nothing that the image does not need.
run_confined() {
  engine run --detach --name "$1" --read-only --read-only-tmpfs=false --cap-drop=all \
    --security-opt no-new-privileges "${@:2}"
}

starts_by_default() {
  run_confined by-default --network=none "$NAME"
  wait_until 20 'it says that it is ready' says by-default '"url":"http://0.0.0.0:5000"'
  engine exec by-default /bin/cat /proc/1/status >"$WORK/status"
  grep -P "^Uid:\t$USER_ID\t" "$WORK/status"
  grep -P '^CapEff:\t0+$' "$WORK/status"
}

# says CONTAINER TEXT
says() {
  engine logs "$1" 2>&1 | grep -F -- "$2"
}

is_healthy() {
  wait_until 15 "$1 is healthy" engine healthcheck run "$1"
}

writes_only_data() {
  local path
  for path in /written /app/written /etc/entrepot/written /tmp/written; do
    ! engine exec by-default /bin/dash -c ": >$path" || fail "$path can be written"
  done
  engine exec by-default /bin/dash -c ': >/data/written'
}

# Sorting more than its cache holds makes SQLite open a temporary file.
sqlite_can_spill() {
  engine exec --workdir /app by-default node -e '
    const sql = new (require("better-sqlite3"))("/data/spill.sqlite")
    sql.pragma("cache_size = 10")
    sql.pragma("cache_spill = 10")
    sql.exec("CREATE TEMP TABLE t AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000) SELECT i, hex(randomblob(64)) AS h FROM n")
    console.log(sql.prepare("SELECT count(*) AS n FROM (SELECT DISTINCT h FROM t ORDER BY h)").get())
  '
}

refuses_mistakes() {
  local status=0
  mkdir -p "$WORK/broken"
  echo 'upstream: { docker.io: {} }' >"$WORK/broken/mirrors.yml"
  engine run --rm --network=none --volume "$WORK/broken:/etc/entrepot:ro" "$NAME" >"$WORK/refusal" 2>&1 || status=$?
  cat "$WORK/refusal"
  [ "$status" -eq 1 ] || fail "exit status $status"
  grep -F 'did you mean upstreams?' "$WORK/refusal"
}

is_healthy_with_tls() {
  mkdir -p "$WORK/tls"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=mirror.example' \
    -addext subjectAltName=DNS:mirror.example -keyout "$WORK/tls/tls.key" -out "$WORK/tls/tls.crt"
  chmod 644 "$WORK/tls/tls.key"
  printf '%s\n' 'upstreams: { docker.io: {} }' 'tls: [{ certificate: tls.crt, key: tls.key }]' >"$WORK/tls/mirrors.yml"
  run_confined with-tls --network=none --volume "$WORK/tls:/etc/entrepot:ro" "$NAME"
  wait_until 20 'it says that it is ready' says with-tls '"url":"https://0.0.0.0:5000"'
  is_healthy with-tls
}

prepare_mirror() {
  mkdir -p "$WORK/config" "$WORK/data"
  chown "$USER_ID:$USER_ID" "$WORK/data"
  chmod 700 "$WORK/data"
  mirror_config "$MIRROR" 'docker.io/library/busybox' >"$WORK/config/mirrors.yml"
}

# The folder is mounted, not the file: editors replace files.
start_mirror() {
  run_confined mirror --network=host --volume "$WORK/config:/etc/entrepot:ro" --volume "$WORK/data:/data" \
    "$NAME" serve --config /etc/entrepot/mirrors.yml --listen "$MIRROR" --data /data
  wait_until 20 'the mirror is ready' curl -fs --noproxy '*' "http://$MIRROR/readyz"
}

belongs_to_user() {
  local others
  others=$(find "$WORK/data" ! -uid "$USER_ID")
  [ -z "$others" ] || fail "$others"
  find "$WORK/data/blobs-v1" -type f ! -name CACHEDIR.TAG | grep .
}

adds_rule() {
  status_of_other_is 403
  mirror_config "$MIRROR" 'docker.io/library/*' >"$WORK/config/mirrors.yml.new"
  mv "$WORK/config/mirrors.yml.new" "$WORK/config/mirrors.yml"
  wait_until 10 'the rule is in force' status_of_other_is 404
}

# The image that is asked for does not exist: 403 while no rule allows it, 404 from then on.
status_of_other_is() {
  [ "$(curl -s --noproxy '*' -o /dev/null -w '%{http_code}' "http://$MIRROR/v2/docker.io/library/other/manifests/v1")" = "$1" ]
}

ends_by_sigterm() {
  engine stop --time 20 mirror
  engine logs mirror 2>&1 | tail -n 2
  [ "$(engine inspect --format '{{.State.ExitCode}}' mirror)" = 0 ] || fail 'another exit status'
  engine rm mirror
}

fail() {
  echo "$*" >&2
  return 1
}

main
