#!/usr/bin/env bash
# What deploy/ has for others to install the mirror with: units of systemd, the Helm chart and the manifests, the
# npm package, cloud-init, Compose, and the list of what is in a release. Each is put to the test by the program
# that reads it, or by a schema, as far as this machine can have one; what cannot be tried is skipped, with the
# reason.
#
#   test/packages/run.sh
#
# Everything listens on 127.0.81.*. Exit status 0: nothing failed.
#
#   INTEROP_KEEP=1       keep the temporary folder, with all logs
set -Eeuo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$HERE/../.." && pwd)"
HOST=127.0.81.10
DEPLOY="$ROOT/deploy"

# shellcheck source=test/interop/lib.sh
. "$HERE/../interop/lib.sh"
# shellcheck source=test/packages/install.sh
. "$HERE/install.sh"
# shellcheck source=test/packages/systemd.sh
. "$HERE/systemd.sh"
# shellcheck source=test/packages/kubernetes.sh
. "$HERE/kubernetes.sh"
# shellcheck source=test/packages/npm.sh
. "$HERE/npm.sh"
# shellcheck source=test/packages/files.sh
. "$HERE/files.sh"
trap cleanup EXIT
trap report_error ERR
trap 'exit 130' INT
trap 'exit 143' TERM

main() {
  local missing
  missing=$(missing_commands curl node npm openssl python3)
  if [ -n "$missing" ]; then
    skip packages "all of it: ${missing//$'\n'/, }"
    summarize
    return
  fi
  # Takes a minute where it was never built, so the rest goes on beside it.
  begin_helm_render
  install_missing
  # What is packed is run by all that follows.
  start npm 'npm pack builds and packs' pack || summarize
  try_npm
  try_files
  try_systemd
  try_kubernetes
  summarize
}

entrepot() {
  deadline 30 node "$MAIN" "$@"
}

# accepts_config FILE — as the mirror reads it.
accepts_config() {
  entrepot check-config --config "$1"
}

ready() {
  curl -fsS --noproxy '*' --max-time 30 "$@"
}

fail() {
  echo "$*" >&2
  return 1
}

main
