# shellcheck shell=bash
# Stand-ins for the two Node images that Dockerfile begins from, made without any image registry: Debian
# packages as they are installed on this machine, Node from its npm package, laid out as in the real ones.

SLIM_PACKAGES=(base-files coreutils dash libatomic1 libc6 libstdc++6)
BUILD_PACKAGES=("${SLIM_PACKAGES[@]}" bash g++ grep make python3 sed)
SLIM_ROOT="$WORK/slim"
BUILD_ROOT="$WORK/full"

make_base_images() {
  mkdir -p "$SLIM_ROOT" "$BUILD_ROOT"
  fetch_node "$(argument NODE_VERSION)"
  copy_packages "$SLIM_ROOT" "${SLIM_PACKAGES[@]}"
  copy_packages "$BUILD_ROOT" "${BUILD_PACKAGES[@]}"
  install -D "$WORK/node/bin/node" "$SLIM_ROOT/usr/local/bin/node"
  install -D "$WORK/node/bin/node" "$BUILD_ROOT/usr/local/bin/node"
  cp -a "$WORK/node/include" "$BUILD_ROOT/usr/local/"
  add_compilers
  add_npm
}

import_base_images() {
  local version debian
  version=$(argument NODE_VERSION)
  debian=$(argument DEBIAN)
  import_root "$SLIM_ROOT" "docker.io/library/node:$version-$debian-slim"
  import_root "$BUILD_ROOT" "docker.io/library/node:$version-$debian"
  rm -rf "$SLIM_ROOT" "$BUILD_ROOT"
}

# The program and the headers of the newest release of a line; where npm cannot bring it, this machine's own.
fetch_node() {
  local package own
  mkdir -p "$WORK/node"
  if package=$(cd "$WORK" && npm pack --silent "node-linux-$(node -p process.arch)@$1"); then
    tar -xzf "$WORK/$package" -C "$WORK/node" --strip-components=1
  else
    own=$(dirname "$(dirname "$(node -p process.execPath)")")
    mkdir "$WORK/node/bin" "$WORK/node/include"
    cp "$own/bin/node" "$WORK/node/bin/"
    cp -a "$own/include/node" "$WORK/node/include/"
  fi
  "$WORK/node/bin/node" --version
}

# copy_packages ROOT PACKAGE... — with everything that they depend on.
copy_packages() {
  local root=$1
  shift
  mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{tmp,etc}
  ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root"
  echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
  installed_packages "$@" | xargs dpkg --listfiles | sort -u |
    grep -vE '^/usr/share/(doc|man|locale)/|^/\.$|^$' |
    tar -c --no-recursion --ignore-failed-read -C / -T - 2>/dev/null |
    tar -x --keep-directory-symlink -C "$root"
}

# installed_packages PACKAGE... — these and what they depend on, as far as it is there.
installed_packages() {
  LC_ALL=C comm -12 \
    <(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \
      --no-replaces --no-enhances "$@" | grep '^[a-z0-9]' | LC_ALL=C sort -u) \
    <(dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' |
      awk '$1 == "ii" { print $2 }' | LC_ALL=C sort -u)
}

# Debian has these names from update-alternatives.
add_compilers() {
  ln -sf gcc "$BUILD_ROOT/usr/bin/cc"
  ln -sf g++ "$BUILD_ROOT/usr/bin/c++"
}

# npm with what it needs on this machine to reach its registry.
add_npm() {
  local modules="$BUILD_ROOT/usr/local/lib/node_modules" key value
  mkdir -p "$modules" "$BUILD_ROOT/usr/local/etc" "$BUILD_ROOT/etc/ssl/certs" "$BUILD_ROOT/root"
  cp -aL "$(npm root --global)/npm" "$modules/"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$BUILD_ROOT/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$BUILD_ROOT/usr/local/bin/npx"
  cp -L /etc/ssl/certs/ca-certificates.crt "$BUILD_ROOT/etc/ssl/certs/"
  {
    echo 'cafile=/etc/ssl/certs/ca-certificates.crt'
    for key in registry proxy https-proxy omit-lockfile-registry-resolved; do
      value=$(npm config get "$key")
      case $value in null | undefined | false) ;; *) echo "$key=$value" ;; esac
    done
  } >"$BUILD_ROOT/usr/local/etc/npmrc"
}

# import_root FOLDER NAME
import_root() {
  tar -c -C "$1" . | engine import --quiet --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin' - "$2"
}
