# shellcheck shell=bash
# Users, tokens and requests, with the clients' own logins: who may pull what, changed while the mirror runs.
# Before it nobody is asked for a login, and in it only docker.io is for everybody. Afterwards everything is
# again, but users are left: every client is asked who it is, and has to be content with being nobody.

# With layers that every client can unpack.
PRIVATE_REPOSITORY=registry.suse.com/suse/private
PRIVATE_TAG=dockerd-access
PUBLIC_REPOSITORY=docker.io/library/busybox
PUBLIC_TAG=http
ACCESS_TAGS=(dockerd podman skopeo crane regctl ctr)
ACCESS_IMAGES=("$PRIVATE_REPOSITORY:$PRIVATE_TAG" "${ACCESS_TAGS[@]/#/$DENIED_REPOSITORY:asked-}")

# What must never be in the mirror's log, one a line.
SECRETS="$WORK/secrets"
declare -A PASSWORD # by user
# The first two are those of an htpasswd file.
USERS=(keeper guessed curl "${ACCESS_TAGS[@]}")
WRONG_PASSWORD=
ROBOT_TOKEN=
OPERATOR_TOKEN_FILE="$WORK/operator-token"
# Tags that operators have let in.
APPROVED="$WORK/approved"

prove_access() {
  local lane
  make_passwords
  ANONYMOUS=('docker.io/**')
  write_mirror_config 10m "${ALLOW[@]}"
  start access 'users and robots are added beside the running mirror' add_accounts || return 0
  check access 'a private image asks for a login, in the challenge that the specification has' challenges
  check access 'curl: a token works until its user is gone, and no longer' bearer_ends_with_user
  for lane in dockerd-prefix podman-prefix skopeo crane regctl ctr-login; do
    if has_lane "$lane"; then prove_login "${LANE_CLIENT[$lane]}" "$lane"; fi
  done
  prove_credentials
  check access 'a robot whose token was removed is refused by the next request' robot_ends
  check access 'the audit names who did what and failed logins, holds no secret, and is whole' audit_tells
  ANONYMOUS=('**')
}

# Of `foreign` no mirror knows anything.
make_passwords() {
  local user
  WRONG_PASSWORD=$(openssl rand -hex 12)
  : >"$APPROVED"
  echo "$WRONG_PASSWORD" >"$SECRETS"
  for user in foreign "${USERS[@]}"; do
    PASSWORD[$user]=$(openssl rand -hex 12)
    printf '%s\n' "${PASSWORD[$user]}" "$(basic "$user")" "$(basic "$user" "$WRONG_PASSWORD")" >>"$SECRETS"
  done
  for user in "${USERS[@]:0:2}"; do htpasswd -nbB "$user" "${PASSWORD[$user]}"; done >"$MIRROR_FOLDER/users.htpasswd"
}

# basic USER [PASSWORD] — as in an Authorization header.
basic() {
  printf '%s:%s' "$1" "${2:-${PASSWORD[$1]}}" | base64 -w 0
}

add_accounts() {
  local user
  wait_until 10 'not everything is for everybody' is_private || return 1
  for user in "${USERS[@]:2}"; do
    printf '%s' "${PASSWORD[$user]}" | entrepot users add "$user" --password-stdin || return 1
  done
  ROBOT_TOKEN=$(entrepot tokens add ci --for 1d) || return 1
  entrepot tokens add team --grant "operate=quay.io/**" >"$OPERATOR_TOKEN_FILE" || return 1
  {
    echo "$ROBOT_TOKEN"
    basic whoever "$ROBOT_TOKEN"
    cat "$OPERATOR_TOKEN_FILE"
  } >>"$SECRETS"
}

is_private() {
  [ "$(status_of_private)" = 401 ]
}

# status_of_private CURL-ARGUMENT...
status_of_private() {
  ask --output /dev/null --write-out '%{http_code}' "$@" "/v2/$PRIVATE_REPOSITORY/manifests/$PRIVATE_TAG"
}

challenges() {
  local token="realm=\"http://$MIRROR/token\",service=\"$MIRROR\""
  has_challenge "Bearer $token" /v2/
  has_challenge "Bearer $token,scope=\"repository:$PRIVATE_REPOSITORY:pull\"" \
    "/v2/$PRIVATE_REPOSITORY/manifests/$PRIVATE_TAG"
}

# has_challenge TEXT PATH
has_challenge() {
  ask --dump-header "$WORK/headers" "$2"
  [ "$(header www-authenticate "$WORK/headers" | tr -d '\r')" = "$1" ] || fail "$(<"$WORK/headers")"
}

bearer_ends_with_user() {
  local token
  token=$(ask --fail --user "curl:${PASSWORD[curl]}" "/token?scope=repository:$PRIVATE_REPOSITORY:pull" | jq -er .token)
  [ "$(status_of_private --header "Authorization: Bearer $token")" = 200 ] || fail 'it does not work'
  entrepot users remove curl
  [ "$(status_of_private --header "Authorization: Bearer $token" --dump-header "$WORK/headers")" = 401 ] || fail 'it still works'
  header www-authenticate "$WORK/headers" | grep -F 'error="invalid_token"'
}

# prove_login CLIENT LANE — the mirror in the image name; the user is called as the client.
prove_login() {
  check "$1" 'login: a wrong password is refused' refuses_wrong_password "$@"
  check "$1" 'login: with the right one, private and public images are what the origin has' pulls_logged_in "$@"
  check "$1" 'login: after logout private images are refused, and the answer tells how to log in' refuses_logged_out "$@"
  check "$1" 'login: an API token is a password for any user name' pulls_by_token "$@"
  check "$1" 'login: what is refused gets the id of a request, and is pulled once that is approved' pulls_approved "$@"
  check "$1" 'login: a user who was removed is refused at the next pull, public images are pulled' refuses_removed "$@"
}

# Some clients only keep what they are told, and learn at the next pull that it is wrong.
refuses_wrong_password() {
  fails_to login_and_pull "$@"
  shows 'not accepted here|invalid username/password|nauthorized|may require authorization'
  "$1_logout" || true
}

login_and_pull() {
  "$1_login" "$1" "$WRONG_PASSWORD"
  pull_private "$2"
}

pulls_logged_in() {
  "$1_login" "$1" "${PASSWORD[$1]}"
  pull_private "$2"
  pull_public "$2"
}

refuses_logged_out() {
  "$1_logout"
  fails_to pull_private "$2"
  case $1 in
    dockerd) shows "may require 'docker login'" ;; # the engine has a sentence of its own
    *) shows "$(sentence_or_status "$1" "needs a login at this mirror: docker login $MIRROR" 401)" ;;
  esac
}

pulls_by_token() {
  "$1_login" whoever "$ROBOT_TOKEN"
  pull_private "$2"
  "$1_logout"
}

pulls_approved() {
  local request
  "$1_login" "$1" "${PASSWORD[$1]}"
  fails_to pull_anew "$2" "$DENIED_REPOSITORY" "asked-$1"
  wait_until 10 'operators see the request' find_request "$1" "$DENIED_REPOSITORY:asked-$1"
  request=$(<"$WORK/request")
  shows "$(sentence_or_status "$1" "is not allowed through this mirror\. .* request $request" 403)"
  approve "$request"
  echo "asked-$1" >>"$APPROVED"
  pull_anew "$2" "$DENIED_REPOSITORY" "asked-$1"
}

refuses_removed() {
  entrepot users remove "$1"
  fails_to pull_private "$2"
  shows "$(sentence_or_status "$1" 'not accepted here' 401)"
  pull_public "$2"
  "$1_logout"
}

pull_private() {
  pull_anew "$1" "$PRIVATE_REPOSITORY" "$PRIVATE_TAG"
}

pull_public() {
  pull_anew "$1" "$PUBLIC_REPOSITORY" "$PUBLIC_TAG"
}

# find_request USER REPOSITORY:TAG — leaves the id under which operators find it in $WORK/request.
find_request() {
  entrepot requests --json | jq -er --arg user "$1" --arg image "$2" \
    '.requests[] | select(.user == $user and "\(.name):\(.tag)" == $image) | .id' >"$WORK/request"
}

robot_ends() {
  local id
  [ "$(status_of_private --header "Authorization: Bearer $ROBOT_TOKEN")" = 200 ] || fail 'it does not work'
  id=$(entrepot tokens list --json | jq -er '.tokens[] | select(.name == "ci") | .id')
  entrepot tokens remove "$id"
  [ "$(status_of_private --header "Authorization: Bearer $ROBOT_TOKEN")" = 401 ] || fail 'it still works'
}

audit_tells() {
  local what
  entrepot audit >"$WORK/audit"
  tail -n 3 "$WORK/audit"
  for what in user.add user.remove token.add token.remove request.approve login.failed; do
    jq -se --arg what "$what" 'any(.[]; .action == $what)' "$WORK/audit" || fail "nothing of $what"
  done
  jq -se 'any(.[]; .action == "request.approve" and .actor == "robot:team" and .address == "127.0.0.1")' "$WORK/audit"
  if grep -F -f "$SECRETS" "$WORK/audit"; then fail 'a secret is in it'; fi
  entrepot audit --verify
}

# After the mirror was stopped and started again, with a catalog that was made anew.
prove_access_kept() {
  check access 'users and what was approved outlast the catalog of what is stored' keeps_decisions
  if has_lane dockerd-mirror; then
    check access 'logins that were held back are in the audit' audit_tells_held_back
  fi
}

keeps_decisions() {
  local tag
  ask --fail --user "keeper:${PASSWORD[keeper]}" --output /dev/null /token
  ! ask --fail --user "keeper:$WRONG_PASSWORD" --output /dev/null /token || fail 'a wrong password is accepted'
  ! ask --fail --user "curl:${PASSWORD[curl]}" --output /dev/null /token || fail 'a removed user is accepted'
  while read -r tag; do
    ask --fail --output /dev/null "/v2/$DENIED_REPOSITORY/manifests/$tag"
  done <"$APPROVED"
}

audit_tells_held_back() {
  entrepot audit | jq -se 'any(.[]; .action == "login.held-back" and .after.count > 0)'
}

# fails_to COMMAND... — what it says is in $WORK/answer.
fails_to() {
  local status
  set +e
  (
    set -e
    "$@"
  ) >"$WORK/answer" 2>&1
  status=$?
  set -e
  cat "$WORK/answer"
  [ "$status" -ne 0 ] || fail 'it succeeded'
}

# shows PATTERN — in the client's own output; some print a message as a quoted string.
shows() {
  sed 's/\\"/"/g' "$WORK/answer" | grep -E "$1" || fail "the client does not show: $1"
}

# has_lane NAME — its client has started, too.
has_lane() {
  [[ " ${LANES[*]} " = *" ${1/ctr-login/ctr-override} "* ]]
}

# sentence_or_status CLIENT SENTENCE STATUS — what the client shows: those that ask with HEAD have no sentence.
sentence_or_status() {
  case $1 in
    ctr) [ "$3" = 401 ] && echo 'may require authorization' || echo "$3 Forbidden" ;;
    regctl) echo "http $3|unauthorized" ;;
    *) echo "$2" ;;
  esac
}

# By whoever operates the registry, over the API: the mirror does not let everybody approve.
approve() {
  deadline 20 node "$ROOT/dist/main.js" requests approve "$1" --for 1h \
    --server "http://$MIRROR" --token-file "$OPERATOR_TOKEN_FILE"
}
