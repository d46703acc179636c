#!/bin/sh
# The image for several processors under one name, with docker buildx or with podman.
#
#   deploy/release/build-image.sh NAME[:TAG] [PLATFORM...]
#
# Without platforms: linux/amd64 linux/arm64. Each is built on this machine; for another processor than its own,
# the kernel must know an emulator (binfmt_misc, the package qemu-user-static). Nothing is pushed:
#
#   docker push NAME:TAG, or podman manifest push --all NAME:TAG
#
# With docker the images need a place for several platforms: its containerd image store.
set -eu

usage() {
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
  exit 2
}

main() {
  case ${1:-} in '' | -*) usage ;; esac
  name=$1
  shift
  [ "$#" -gt 0 ] || set -- linux/amd64 linux/arm64
  platforms=$(echo "$*" | tr ' ' ',')
  source=$(cd "$(dirname "$0")/../.." && pwd)
  if docker buildx version >/dev/null 2>&1; then
    exec docker buildx build --platform "$platforms" --tag "$name" --load "$source"
  elif command -v podman >/dev/null; then
    # Debian's podman does as Docker does with instructions such as HEALTHCHECK only in this format.
    exec podman build --format docker --platform "$platforms" --manifest "$name" "$source"
  fi
  echo "$0: needs docker with buildx, or podman" >&2
  exit 1
}

main "$@"
