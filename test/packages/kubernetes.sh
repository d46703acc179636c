# shellcheck shell=bash
# The chart, rendered by Helm's own code for several sets of values, and the plain manifests: right by the schemas
# of Kubernetes, and fitting together.

CHART="$DEPLOY/helm/entrepot"

try_kubernetes() {
  if [ ! -d "$VALIDATOR_FOLDER" ]; then
    skip kubernetes "all of it: no $VALIDATOR: $(tail -n 1 "$WORK/logs/validator.log")"
    return
  fi
  check kubernetes 'the schemas refuse what is wrong' refuses_unknown_field
  check kubernetes 'the plain manifests are right and fit together' is_right plain \
    'ConfigMap Deployment Ingress Namespace PersistentVolumeClaim Service' plain_manifests
  check kubernetes 'chart, image and package have one version' has_one_version
  if end_helm_render; then
    try_chart
  else
    skip helm "all of it: Helm's code could not be built: $(tail -n 1 "$WORK"/logs/helm-render.log 2>/dev/null)"
  fi
}

try_chart() {
  check helm 'as it comes: one pod with a volume' is_right default \
    'ConfigMap Deployment PersistentVolumeClaim Service ServiceAccount' render
  check helm 'with everything: several pods with a volume each' is_right everything \
    'Ingress NetworkPolicy PodDisruptionBudget Secret Service Service ServiceAccount ServiceMonitor StatefulSet' \
    render "$HERE/values/everything.yaml"
  check helm 'several pods without volumes' is_right passing \
    'ConfigMap Deployment Ingress NetworkPolicy PodDisruptionBudget Service ServiceMonitor' \
    render "$HERE/values/passing.yaml"
  check helm 'what is given as config is all there is' keeps_config_apart
  check helm 'the notes say where it answers' says_notes
  check helm 'an unknown value is refused' refuses_values 'replica: 2' 'replica'
  check helm 'a kind that there is not is refused' refuses_values 'kind: DaemonSet' 'kind'
  check helm 'two pods on one volume are refused' refuses_values 'replicas: 2' 'replicas'
  check helm 'an address in config is refused' refuses_values 'config: { upstreams: {}, listen: 127.0.0.1:1 }' 'listen'
}

# is_right NAME KINDS COMMAND... — what COMMAND prints has these kinds, and nothing to be said against it.
is_right() {
  local name=$1 kinds=$2 folder="$WORK/manifests/$1" version
  mkdir -p "$folder"
  "${@:3}" >"$folder/all.yaml"
  for version in "${KUBERNETES[@]}"; do validate "$version" "$folder/all.yaml"; done
  node "$HERE/manifests.mjs" "$folder/all.yaml" "$folder" >"$folder/kinds"
  diff <(echo "$kinds") "$folder/kinds"
  if [ -s "$folder/monitors.yaml" ]; then "$HELM_RENDER" monitors <"$folder/monitors.yaml"; fi
  # Secrets and certificates are in the pod alone.
  if ! grep -qE '/run/entrepot/' "$folder/mirrors.yml"; then accepts_config "$folder/mirrors.yml"; fi
}

# validate VERSION FILE — what it has no schema for it warns of; that is looked at otherwise.
validate() {
  PYTHONPATH="$VALIDATOR_FOLDER" deadline 60 python3 -m kubernetes_validate --strict --quiet -k "$1" "$2"
}

refuses_unknown_field() {
  sed 's/replicas:/replicaz:/' "$DEPLOY/kubernetes/entrepot.yaml" >"$WORK/unknown.yaml"
  sed 's/  selector:/  zelector:/' "$DEPLOY/kubernetes/entrepot.yaml" >"$WORK/missing.yaml"
  validate 1.37 "$DEPLOY/kubernetes/entrepot.yaml"
  if validate 1.37 "$WORK/unknown.yaml"; then fail 'an unknown field passes'; fi
  if validate 1.37 "$WORK/missing.yaml"; then fail 'a missing field passes'; fi
}

plain_manifests() {
  cat "$DEPLOY/kubernetes/entrepot.yaml"
  echo ---
  cat "$DEPLOY/kubernetes/ingress.yaml"
}

has_one_version() {
  local version
  version=$(node -p 'require(process.argv[1]).version' "$ROOT/package.json")
  grep -Fx "version: $version" "$CHART/Chart.yaml"
  grep -Fx "appVersion: '$version'" "$CHART/Chart.yaml"
  grep -F "image: registry.example/entrepot:$version" "$DEPLOY/kubernetes/entrepot.yaml"
  grep -F "Image=registry.example/entrepot:$version" "$DEPLOY/cloud-init/mirror.yaml"
}

# render VALUES...
render() {
  "$HELM_RENDER" render "$CHART" "$@"
}

keeps_config_apart() {
  echo 'config: { upstreams: { quay.io: {} } }' >"$WORK/own.yaml"
  render "$WORK/own.yaml" >"$WORK/own.out"
  grep -F 'quay.io: {}' "$WORK/own.out"
  if grep -E 'docker\.io|budget' "$WORK/own.out"; then fail 'something else is in it'; fi
}

says_notes() {
  "$HELM_RENDER" notes "$CHART" "$HERE/values/everything.yaml" >"$WORK/notes"
  cat "$WORK/notes"
  grep -F 'https://mirror.registry.svc:443' "$WORK/notes"
  grep -F 'https://quay.mirror.example' "$WORK/notes"
  grep -F '/client/install.sh' "$WORK/notes"
}

# refuses_values YAML WORD — and the message has the word.
refuses_values() {
  local status=0
  echo "$1" >"$WORK/wrong.yaml"
  render "$WORK/wrong.yaml" >"$WORK/refusal" 2>&1 || status=$?
  cat "$WORK/refusal"
  [ "$status" -eq 1 ] && grep -F "$2" "$WORK/refusal"
}
