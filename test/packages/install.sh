# shellcheck shell=bash
# What reads the packages: Debian packages, a validator with the schemas of Kubernetes, and Helm's own code.

VALIDATOR=kubernetes-validate==1.37.0
VALIDATOR_NEEDS=(importlib_resources jsonschema packaging pyyaml referencing typing_extensions)
# The oldest that the chart takes, and the newest that there is a schema of.
KUBERNETES=(1.25 1.37)
VALIDATOR_FOLDER="$WORK/validator"
HELM_RENDER="$WORK/helm-render"
HELM_BUILD= # process that builds it

install_missing() {
  install_debian systemd-analyze:systemd shellcheck:shellcheck
  install_validator >"$WORK/logs/validator.log" 2>&1 || rm -rf "$VALIDATOR_FOLDER"
}

# Of the schemas only what is asked for: there are some 17,000 files for all versions.
install_validator() {
  local pip=(deadline 60 python3 -m pip --quiet --disable-pip-version-check)
  "${pip[@]}" install --root-user-action=ignore --target "$VALIDATOR_FOLDER" "${VALIDATOR_NEEDS[@]}" || return 1
  "${pip[@]}" download --no-deps --only-binary=:all: --dest "$WORK/wheel" "$VALIDATOR" || return 1
  python3 - "$VALIDATOR_FOLDER" "$WORK"/wheel/*.whl "${KUBERNETES[@]}" <<'PYTHON'
import sys
import zipfile

folder, wheel, *versions = sys.argv[1:]
schemas = "kubernetes_validate/kubernetes-json-schema/"
wanted = tuple(f"{schemas}v{version}.0-" for version in versions)
with zipfile.ZipFile(wheel) as archive:
    names = [name for name in archive.namelist() if not name.startswith(schemas) or name.startswith(wanted)]
    archive.extractall(folder, names)
PYTHON
}

# install_debian COMMAND:PACKAGE...
install_debian() {
  local entry missing=()
  for entry in "$@"; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
  done
  [ "${#missing[@]}" -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 0
  {
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  } >"$WORK/logs/apt.log" 2>&1 || true
}

# Without optimization and symbols: it is run a few times.
begin_helm_render() {
  command -v go >/dev/null || return 0
  (cd "$HERE/helm-render" && GOFLAGS='' deadline 600 go build -gcflags='all=-N -l' -ldflags='-s -w' -o "$HELM_RENDER" .) \
    >"$WORK/logs/helm-render.log" 2>&1 &
  HELM_BUILD=$!
}

end_helm_render() {
  [ -n "$HELM_BUILD" ] && wait "$HELM_BUILD"
}
