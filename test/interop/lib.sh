# shellcheck shell=bash
# What every part of the run stands on: one temporary folder, checks that are counted, processes
# that are ended by the id they were started with, and waits that have a deadline.

# A short path: sockets and podman's run folder must stay under 100 and 50 characters.
WORK="$(mktemp -d /tmp/entrepot.XXXXXX)"
RESULTS="$WORK/results.tsv"
mkdir -p "$WORK"/{logs,pids,home}
: >"$RESULTS"

# check GROUP TEXT COMMAND... — passes when COMMAND exits 0; its output is shown when it does not.
# COMMAND runs in a subshell: what it assigns is lost.
# Never call it inside `if`, `&&` or `||`: there bash would ignore `set -e` within COMMAND.
check() {
  local group=$1 text=$2 output="$WORK/check.log" status
  shift 2
  set +e
  (
    set -euo pipefail
    "$@"
  ) >"$output" 2>&1 </dev/null
  status=$?
  set -e
  if [ "$status" -eq 0 ]; then
    record passed "$group" "$text"
  else
    record FAILED "$group" "$text"
    show "$output"
  fi
}

# start GROUP TEXT COMMAND... — as check, but in this shell, so that what COMMAND spawns can be waited for
# at the end; here the last status counts, not `set -e`.
start() {
  local group=$1 text=$2 output="$WORK/start.log"
  shift 2
  if "$@" >"$output" 2>&1; then
    record passed "$group" "$text"
  else
    record FAILED "$group" "$text"
    show "$output"
    return 1
  fi
}

# skip GROUP TEXT — something that could not be tried, and why.
skip() {
  record skipped "$1" "$2"
}

show() {
  tail -n 25 "$@" | cat -v | cut -c 1-500 | sed 's/^/        | /'
}

record() {
  printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$RESULTS"
  printf '%4ds  %-8s %-10s %s\n' "$SECONDS" "$1" "$2" "$3"
}

count_results() {
  awk -F '\t' -v status="$1" '$1 == status { n++ } END { print n + 0 }' "$RESULTS"
}

# The table of all groups, then the closing line that CI reads; exits with 1 when a check failed.
summarize() {
  echo
  awk -F '\t' '
    !($2 in seen) { seen[$2] = 1; order[++groups] = $2 }
    { n[$2, $1]++ }
    END {
      printf "%-12s %8s %8s %8s\n", "", "passed", "failed", "skipped"
      for (i = 1; i <= groups; i++) {
        g = order[i]
        printf "%-12s %8d %8d %8d\n", g, n[g, "passed"], n[g, "FAILED"], n[g, "skipped"]
      }
    }' "$RESULTS"
  awk -F '\t' '$1 != "passed" { printf "%s: %s: %s\n", $1, $2, $3 }' "$RESULTS"
  echo
  touch "$WORK/summarized"
  echo "$(count_results passed) passed, $(count_results FAILED) failed, $(count_results skipped) skipped"
  [ "$(count_results FAILED)" -eq 0 ] || exit 1
}

# For `trap … ERR`: names the command that ended a check, or the whole run.
report_error() {
  local status=$?
  [[ $- != *e* ]] || echo "${BASH_SOURCE[1]##*/}:${BASH_LINENO[0]}: exit status $status of: $BASH_COMMAND" >&2
}

# wait_until SECONDS WHAT COMMAND... — fails, and says what it waited for, at the deadline.
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "waited in vain until $what" >&2
      return 1
    fi
    sleep 0.1
  done
}

# deadline SECONDS COMMAND... — no client may hang the run.
deadline() {
  local seconds=$1
  shift
  timeout --kill-after=5 "$seconds" "$@"
}

# spawn NAME COMMAND... — in the background, output in logs/NAME.out and logs/NAME.err (appended to).
spawn() {
  local name=$1
  shift
  "$@" >>"$WORK/logs/$name.out" 2>>"$WORK/logs/$name.err" </dev/null &
  echo "$!" >"$WORK/pids/$name"
}

# stop NAME — SIGTERM, then SIGKILL after 20 s; returns the exit status of the process.
stop() {
  local pid_file="$WORK/pids/$1" pid status=0
  [ -f "$pid_file" ] || return 0
  pid=$(<"$pid_file")
  rm -f "$pid_file"
  kill -TERM "$pid" 2>/dev/null || true
  wait_until 20 "$1 has ended" has_ended "$pid" || kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || status=$?
  return "$status"
}

# Gone, or a zombie that nobody has waited for yet.
has_ended() {
  ! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

# Ends what was started, removes the folder with what daemons left mounted there (INTEROP_KEEP=1 keeps it).
# A run that broke off shows how its logs end.
cleanup() {
  local status=$? pid_file
  trap - EXIT ERR
  [ -f "$WORK/summarized" ] || tail -n 5 "$WORK"/logs/* >&2 || true
  for pid_file in "$WORK"/pids/*; do
    [ -f "$pid_file" ] && { stop "$(basename "$pid_file")" || true; }
  done
  unmount_all
  if [ "${INTEROP_KEEP:-}" = 1 ]; then
    echo "kept: $WORK" >&2
  else
    # podman may still be tidying up after a container, and mounts its storage for that.
    wait_until 10 "$WORK can be removed" remove_all || true
  fi
  exit "$status"
}

remove_all() {
  unmount_all
  rm -rf --one-file-system "$WORK"
}

unmount_all() {
  local mount
  while read -r mount; do
    umount "$mount" || true
  done < <(awk -v root="$WORK/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r)
}

# A port that is free on the given address at this moment.
free_port() {
  node -e '
    const server = require("node:net").createServer()
    server.listen(0, process.argv[1], () => { console.log(server.address().port); server.close() })
  ' "$1"
}

# Says which of the commands are not there; nothing when all are.
missing_commands() {
  local command
  for command in "$@"; do
    command -v "$command" >/dev/null || echo "no $command"
  done
}

missing_root() {
  [ "$(id -u)" -eq 0 ] || echo 'needs root'
}
