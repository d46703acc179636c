# shellcheck shell=bash
# What is only data, or a script: parsed, and its parts given to whoever reads them.

try_files() {
  check files 'scripts of deploy/ are right by sh' scripts_parse
  if command -v shellcheck >/dev/null; then
    check files 'and by shellcheck' scripts_are_clean
  else
    skip files 'scripts of deploy/: no shellcheck'
  fi
  check sbom 'it lists what runs, twice' lists_packages
  check sbom 'it wants a folder' wants_folder
  check image 'build-image.sh builds for both processors, by what is there' builds_for_both
  check files 'cloud-init, Compose and Traefik name what there is' node "$HERE/data-files.mjs" "$ROOT" "$WORK/data-files"
  check cloud-init 'the mirror takes its configuration' accepts_config "$WORK/data-files/mirrors.yml"
  check cloud-init 'what it runs is right by sh' commands_parse
  if [ -x /usr/libexec/podman/quadlet ]; then
    check cloud-init 'podman makes a service of it' makes_service
  else
    skip cloud-init 'that podman makes a service of it: this podman knows no .container files'
  fi
}

scripts_parse() {
  local script
  for script in "$DEPLOY"/release/*.sh; do
    [ -x "$script" ] || fail "$script cannot be run"
    sh -n "$script"
  done
}

scripts_are_clean() {
  shellcheck "$DEPLOY"/release/*.sh
  (cd "$ROOT" && shellcheck --external-sources test/packages/run.sh)
}

lists_packages() {
  deadline 60 "$DEPLOY/release/sbom.sh" "$WORK/sbom" >"$WORK/sbom-files"
  cat "$WORK/sbom-files"
  [ "$(wc -l <"$WORK/sbom-files")" = 2 ]
  node "$HERE/sbom.mjs" "$ROOT" "$WORK"/sbom/*.cdx.json "$WORK"/sbom/*.spdx.json
}

wants_folder() {
  local status=0
  "$DEPLOY/release/sbom.sh" || status=$?
  [ "$status" -eq 2 ]
}

# With stand-ins that say how they were called.
builds_for_both() {
  local bin="$WORK/stand-ins" program status=0
  mkdir -p "$bin/docker" "$bin/podman"
  for program in docker podman; do
    printf '#!/bin/sh\necho "%s $*"\n' "$program" >"$bin/$program/$program"
    chmod +x "$bin/$program/$program"
  done
  PATH="$bin/docker:/usr/bin:/bin" "$DEPLOY/release/build-image.sh" registry.lan/entrepot:1 |
    grep -Fx "docker buildx build --platform linux/amd64,linux/arm64 --tag registry.lan/entrepot:1 --load $ROOT"
  printf '#!/bin/sh\nexit 1\n' >"$bin/docker/docker"
  PATH="$bin/docker:$bin/podman:/usr/bin:/bin" "$DEPLOY/release/build-image.sh" entrepot linux/arm64 |
    grep -Fx "podman build --format docker --platform linux/arm64 --manifest entrepot $ROOT"
  "$DEPLOY/release/build-image.sh" --help 2>"$WORK/usage" || status=$?
  [ "$status" -eq 2 ] && grep -F 'NAME[:TAG]' "$WORK/usage"
}

commands_parse() {
  local script
  for script in "$WORK"/data-files/*.sh; do sh -n "$script"; done
}

makes_service() {
  mkdir -p "$WORK/quadlet"
  cp "$WORK/data-files/entrepot.container" "$WORK/quadlet/"
  QUADLET_UNIT_DIRS="$WORK/quadlet" deadline 30 /usr/libexec/podman/quadlet -dryrun | tee "$WORK/service"
  grep -F -- '--read-only' "$WORK/service"
}
