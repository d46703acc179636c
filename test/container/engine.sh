# shellcheck shell=bash
# podman with storage of its own, gone at the end.

ENGINE=() # podman and its global options

engine() {
  deadline 120 "${ENGINE[@]}" "$@"
}

# Tries what this machine lets podman do, the best first.
choose_engine() {
  local driver runtime
  write_runtime
  for driver in overlay vfs; do
    for runtime in '' "$WORK/bin/runc"; do
      ENGINE=(podman --root "$WORK/storage-$driver" --runroot "$WORK/run-$driver" --storage-driver "$driver")
      [ -z "$runtime" ] || ENGINE+=(--runtime "$runtime")
      can_run && return 0
    done
  done
  return 1
}

can_run() {
  engine image exists localhost/probe || tar -c -C "$SLIM_ROOT" . | engine import --quiet - localhost/probe || return 1
  engine run --rm --network=none --read-only localhost/probe /usr/local/bin/node --version
}

# podman raises limits that a sandbox may not let it raise. This runtime leaves them as they are.
write_runtime() {
  mkdir -p "$WORK/bin"
  cat >"$WORK/bin/runc" <<'SH'
#!/bin/sh
previous=
for argument in "$@"; do
  case $previous in
    --bundle | -b) file=$argument/config.json filter='del(.process.rlimits)' ;;
    --process | -p) file=$argument filter='del(.rlimits)' ;;
    *) file= ;;
  esac
  if [ -n "$file" ]; then
    changed=$(jq "$filter" "$file") && printf '%s\n' "$changed" >"$file"
  fi
  previous=$argument
done
exec runc "$@"
SH
  chmod +x "$WORK/bin/runc"
}

# Ends the containers before the folder under them is removed.
finish() {
  local status=$?
  trap - ERR
  set +e
  [ "${#ENGINE[@]}" -eq 0 ] || engine rm --all --force --volumes --time 10 >/dev/null 2>&1
  (exit "$status")
  cleanup
}
