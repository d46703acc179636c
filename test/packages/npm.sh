# shellcheck shell=bash
# The npm package: what is in it, and that it runs where nothing else of this folder is.

STAGE="$WORK/stage"
# The program as it was built for the package.
MAIN="$STAGE/dist/main.js"
ELSEWHERE="$WORK/elsewhere"

try_npm() {
  check npm 'it has the program, the example and the licence, and nothing else' holds_what_runs
  check npm 'it installs into an empty folder, with the versions that were tested' installs
  check npm 'npx entrepot says what it can do' says_help
  check npm 'it serves by its own example' serves
}

# In a copy: packing builds. A test and a password in it would show.
pack() {
  local file
  mkdir -p "$STAGE/test" "$STAGE/secrets"
  for file in package.json package-lock.json README.md LICENSE CHANGELOG.md SECURITY.md mirrors.example.yml \
    tsconfig.json tsconfig.build.json src docs; do
    [ ! -e "$ROOT/$file" ] || cp -a "$ROOT/$file" "$STAGE/"
  done
  echo secret | tee "$STAGE/test/own.test.ts" "$STAGE/secrets/hub" "$STAGE/mirrors.yml" >/dev/null
  ln -s "$ROOT/node_modules" "$STAGE/node_modules"
  (cd "$STAGE" && deadline 120 npm pack --silent --pack-destination "$WORK") || return 1
  [ ! -e "$STAGE/npm-shrinkwrap.json" ]
}

package() {
  find "$WORK" -maxdepth 1 -name 'entrepot-*.tgz'
}

holds_what_runs() {
  local found sources
  tar -tzf "$(package)" | sed 's|^package/||' | LC_ALL=C sort >"$WORK/packed"
  found=$(grep -vE '^dist/.*\.js$' "$WORK/packed" | tr '\n' ' ')
  # What is not there is not packed.
  found=${found/CHANGELOG.md /}
  found=${found/SECURITY.md /}
  [ "$found" = 'LICENSE README.md mirrors.example.yml npm-shrinkwrap.json package.json ' ] || fail "$found"
  sources=$(cd "$ROOT" && find src -name '*.ts' | sed -e 's|^src|dist|' -e 's|\.ts$|.js|' | LC_ALL=C sort)
  diff <(echo "$sources") <(grep '^dist/' "$WORK/packed")
}

# The one native module is taken from here: compiling it again would take longer than everything else.
installs() {
  mkdir -p "$ELSEWHERE"
  (
    cd "$ELSEWHERE"
    npm init --yes >/dev/null
    deadline 120 npm install --silent --no-audit --no-fund --prefer-offline --ignore-scripts "$(package)"
  )
  mkdir -p "$ELSEWHERE/node_modules/better-sqlite3/build/Release"
  cp "$ROOT/node_modules/better-sqlite3/build/Release/better_sqlite3.node" \
    "$ELSEWHERE/node_modules/better-sqlite3/build/Release/"
  node "$HERE/versions.mjs" "$ROOT" "$ELSEWHERE"
}

says_help() {
  (cd "$ELSEWHERE" && deadline 30 npx --no-install entrepot --help) >"$WORK/help"
  grep -F 'entrepot serve' "$WORK/help"
}

serves() {
  local address status=0
  address="$HOST:$(free_port "$HOST")"
  spawn installed env -C "$ELSEWHERE" node_modules/.bin/entrepot serve --listen "$address" --data "$WORK/installed-data"
  wait_until 20 'it is ready' ready "http://$address/readyz"
  grep -F 'node_modules/entrepot/mirrors.example.yml' "$WORK/logs/installed.out"
  stop installed || status=$?
  # Of a check in a subshell it is no child, so only its log tells how it ended.
  grep -F 'stopping: no new requests' "$WORK/logs/installed.out"
}
