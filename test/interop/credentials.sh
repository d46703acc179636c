# shellcheck shell=bash
# Credentials that no login has stored: on the command line, in pull secrets as Kubernetes has them, in the
# files of nodes; and those of other registries, which clients show to a mirror as well.

prove_credentials() {
  if has_lane skopeo; then
    check skopeo 'credentials: copy, inspect and list-tags with --creds' skopeo_creds
    check skopeo 'credentials: a pull secret, as kubectl writes it and with auth alone' with_pull_secrets skopeo skopeo
  fi
  if has_lane podman-mirror; then
    check podman 'credentials: a pull secret, as kubectl writes it and with auth alone' with_pull_secrets podman podman-prefix
    check podman 'credentials: those of the mirror count where registries.conf leads to it' with_pull_secrets podman podman-mirror
  fi
  if has_lane crane; then
    check crane 'credentials: a pull secret with user and password alone' with_user_and_password crane crane
  fi
  if has_lane dockerd-mirror; then
    check dockerd 'credentials: a pull secret with user and password alone' with_user_and_password dockerd dockerd-prefix
    check dockerd 'credentials: a login at Docker Hub is shown to registry-mirrors, and breaks no pull' dockerd_foreign
    check dockerd 'login: after five wrong passwords even the right one has to wait, and the answer says so' dockerd_held_back
  fi
  if has_lane ctr-override; then
    check ctr 'credentials: an API token as Bearer in hosts.toml' ctr_token
    check ctr 'credentials: --user, and hosts.toml, as CRI does with pull secrets' ctr_user
    check ctr 'credentials: those of another registry break no pull of a public image' ctr_foreign
  fi
}

skopeo_creds() {
  local name="docker://$MIRROR/$PRIVATE_REPOSITORY"
  skopeo_wipe skopeo
  deadline 60 skopeo --insecure-policy copy --quiet --all --src-tls-verify=false --src-creds "keeper:${PASSWORD[keeper]}" \
    "$name:$PRIVATE_TAG" "dir:$(storage skopeo)/image"
  skopeo_holds skopeo "$PRIVATE_REPOSITORY" "$PRIVATE_TAG"
  [ "$(skopeo_asks inspect "$name:$PRIVATE_TAG" | jq -r .Digest)" = \
    "$(<"$(image_folder "$PRIVATE_REPOSITORY:$PRIVATE_TAG")/digest")" ] || fail 'inspect gives something else'
  skopeo_asks list-tags "$name" | jq -e --arg tag "$PRIVATE_TAG" '.Tags | index($tag)'
}

skopeo_asks() {
  deadline 30 skopeo "$1" --tls-verify=false --creds "keeper:${PASSWORD[keeper]}" "$2"
}

# with_pull_secrets CLIENT LANE
with_pull_secrets() {
  local auth
  auth=$(basic keeper)
  pull_secret "$(jq -n --arg user keeper --arg password "${PASSWORD[keeper]}" --arg auth "$auth" \
    '{username: $user, password: $password, email: "someone@example.test", auth: $auth}')"
  REGISTRY_AUTH_FILE="$WORK/secret/config.json" pull_private "$2"
  pull_secret "$(jq -n --arg auth "$auth" '{auth: $auth}')"
  REGISTRY_AUTH_FILE="$WORK/secret/config.json" pull_private "$2"
  pull_secret "$(jq -n --arg auth "$(basic keeper "$WRONG_PASSWORD")" '{auth: $auth}')"
  REGISTRY_AUTH_FILE="$WORK/secret/config.json" fails_to pull_private "$2"
  shows 'not accepted here|invalid username/password'
}

# pull_secret ENTRY [HOST] — a .dockerconfigjson, where clients look for their own file.
pull_secret() {
  mkdir -p "$WORK/secret"
  jq -n --arg host "${2:-$MIRROR}" --argjson entry "$1" '{auths: {($host): $entry}}' >"$WORK/secret/config.json"
}

with_user_and_password() {
  pull_secret "$(jq -n --arg user keeper --arg password "${PASSWORD[keeper]}" '{username: $user, password: $password}')"
  DOCKER_CONFIG="$WORK/secret" pull_private "$2"
}

dockerd_foreign() {
  local before
  before=$(rejected_logins)
  pull_secret "$(jq -n --arg auth "$(basic foreign)" '{auth: $auth}')" https://index.docker.io/v1/
  DOCKER_CONFIG="$WORK/secret" pull_public dockerd-mirror
  [ "$(rejected_logins)" -gt "$before" ] || fail 'the engine has not shown it'
}

rejected_logins() {
  ask --fail /metrics | awk '/^entrepot_logins_total\{result="rejected"\}/ { print $2 }'
}

dockerd_held_back() {
  local guess
  for guess in 1 2 3 4 5; do
    ask --output /dev/null --user "guessed:$guess$WRONG_PASSWORD" /token
  done
  fails_to dockerd_login guessed "${PASSWORD[guessed]}"
  shows 'toomanyrequests'
}

ctr_token() {
  ctr_header ctr-token "Bearer $ROBOT_TOKEN"
  pull_private ctr-token
  ctr_wipe ctr-token
}

ctr_user() {
  ctr_logout
  ctr_wipe ctr-login
  ctr_pull_as "keeper:${PASSWORD[keeper]}" "$PRIVATE_REPOSITORY:$PRIVATE_TAG" --hosts-dir "$WORK/ctr/hosts/ctr-login"
  ctr_holds ctr-login "$PRIVATE_REPOSITORY" "$PRIVATE_TAG"
  ctr_wipe ctr-login
  ctr_pull_as "keeper:${PASSWORD[keeper]}" "$MIRROR/$PRIVATE_REPOSITORY:$PRIVATE_TAG" --plain-http
  ctr_wipe ctr-login
  fails_to ctr_pull_as "keeper:$WRONG_PASSWORD" "$MIRROR/$PRIVATE_REPOSITORY:$PRIVATE_TAG" --plain-http
  shows '401 Unauthorized|not accepted here'
}

ctr_foreign() {
  ctr_logout
  ctr_pull_as "foreign:${PASSWORD[foreign]}" "$PUBLIC_REPOSITORY:$PUBLIC_TAG" --hosts-dir "$WORK/ctr/hosts/ctr-login"
  ctr_holds ctr-login "$PUBLIC_REPOSITORY" "$PUBLIC_TAG"
  ctr_wipe ctr-login
  ctr_login foreign "${PASSWORD[foreign]}"
  pull_public ctr-login
  ctr_wipe ctr-login
}

# ctr_pull_as USER:PASSWORD NAME OPTION...
ctr_pull_as() {
  ctr_in ctr-login images pull --user "$1" --snapshotter native "${@:3}" "$2"
}
