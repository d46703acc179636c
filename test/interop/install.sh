#!/usr/bin/env bash
# Installs the registries and clients that the interop run needs and this machine lacks.
#
#   install.sh FOLDER     programs that come from source (crane, regctl, oras) go to FOLDER
#
# Debian packages need root and apt; the Go programs need Go and a module proxy that answers. What
# cannot be had is said, not an error: run.sh skips what needs it.
set -euo pipefail

GO_BIN=$1
# command → Debian package
PACKAGES=(
  docker-registry:docker-registry skopeo:skopeo podman:podman containerd:containerd ctr:containerd
  dockerd:docker.io docker:docker-cli htpasswd:apache2-utils jq:jq openssl:openssl curl:curl
  nginx:nginx haproxy:haproxy busybox:busybox
)
# command → module version; pinned, so that a run means the same tomorrow
GO_PROGRAMS=(
  crane:github.com/google/go-containerregistry/cmd/crane@v0.21.9
  regctl:github.com/regclient/regclient/cmd/regctl@v0.11.7
  oras:oras.land/oras/cmd/oras@v1.3.0
)
POLICY=/usr/sbin/policy-rc.d

main() {
  install_packages
  install_go_programs
}

install_packages() {
  local pair missing=()
  for pair in "${PACKAGES[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("$pair")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "install: missing ${missing[*]%%:*}; installing them needs root and apt"
    return 0
  fi
  keep_services_stopped
  timeout 180 apt-get update -q >/dev/null || echo 'install: apt-get update failed, trying with the lists at hand'
  # One at a time: a package that is not to be had must not cost the others. The ones before may have
  # brought the command already (docker is in docker.io until Debian 12, in docker-cli since).
  for pair in "${missing[@]}"; do
    command -v "${pair%%:*}" >/dev/null && continue
    echo "install: ${pair#*:}"
    DEBIAN_FRONTEND=noninteractive timeout 600 \
      apt-get install -q -y --no-install-recommends "${pair#*:}" >/dev/null ||
      echo "install: no package ${pair#*:} to be had"
  done
}

# Debian starts the services that it installs; here nothing may listen on the well-known ports.
keep_services_stopped() {
  [ -e "$POLICY" ] && return 0
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod +x "$POLICY"
  trap 'rm -f "$POLICY"' EXIT
}

install_go_programs() {
  local pair name module
  if ! command -v go >/dev/null; then
    echo 'install: no Go, so no crane, regctl and oras'
    return 0
  fi
  if ! mkdir -p "$GO_BIN" 2>/dev/null; then
    echo "install: cannot write $GO_BIN, so no crane, regctl and oras"
    return 0
  fi
  for pair in "${GO_PROGRAMS[@]}"; do
    name=${pair%%:*} module=${pair#*:}
    # The version is remembered beside the program: a new pin installs anew.
    [ -x "$GO_BIN/$name" ] && [ "$(cat "$GO_BIN/$name.version" 2>/dev/null)" = "$module" ] && continue
    echo "install: $module"
    if GOBIN=$GO_BIN GOFLAGS='' timeout 600 go install "$module" >"$GO_BIN/$name.log" 2>&1; then
      echo "$module" >"$GO_BIN/$name.version"
    else
      echo "install: not to be had: $(tail -n 1 "$GO_BIN/$name.log")"
    fi
  done
}

main
