#!/bin/sh
# What the release is made of, for those who have to know: every package that runs, with its version, licence and
# hash, as CycloneDX and as SPDX. Needs npm 10.
#
#   deploy/release/sbom.sh FOLDER     writes entrepot-VERSION.cdx.json and entrepot-VERSION.spdx.json there
#
# It reads package-lock.json, so it says what "npm ci" installs, whatever is installed here; Node itself, and the
# Debian packages of the image, are not in it.
set -eu

[ "$#" -eq 1 ] || {
  echo "usage: $0 FOLDER" >&2
  exit 2
}
mkdir -p "$1"
folder=$(cd "$1" && pwd)
source=$(cd "$(dirname "$0")/../.." && pwd)
# npm calls the whole what its folder is called.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/entrepot"
cd "$work/entrepot"
# "npm sbom --omit=dev" also leaves out what runs, where something for development asks for it as well; so what is
# for development only is taken out before.
version=$(node - "$source" <<'JS'
const { readFileSync, writeFileSync } = require('node:fs')
const read = (name) => JSON.parse(readFileSync(`${process.argv[2]}/${name}`, 'utf8'))
const manifest = read('package.json')
const lock = read('package-lock.json')
for (const [path, it] of Object.entries(lock.packages)) if (it.dev) delete lock.packages[path]
for (const it of [manifest, lock.packages['']]) delete it.devDependencies
writeFileSync('package.json', JSON.stringify(manifest))
writeFileSync('package-lock.json', JSON.stringify(lock))
console.log(manifest.version)
JS
)

write() {
  npm sbom --package-lock-only --sbom-type=application --sbom-format="$1" >"$work/sbom.json"
  mv "$work/sbom.json" "$folder/entrepot-$version.$2.json"
  echo "$folder/entrepot-$version.$2.json"
}

write cyclonedx cdx
write spdx spdx
