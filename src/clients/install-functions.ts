/**
 * What the script for hosts consists of, whatever the mirror. Written for any POSIX shell, with what Debian,
 * Alpine and the like have in their smallest installations.
 */
export const INSTALL_FUNCTIONS = String.raw`
usage() {
  cat <<'USAGE'
Points the container engines of this host at a mirror.

  curl -fsSL MIRROR/client/install.sh | sudo sh
  curl -fsSL MIRROR/client/install.sh | sudo sh -s -- OPTION...

  --only NAME,...   these engines, found here or not, and no others
  --no-fallback     they must not ask a registry itself when the mirror says no
  --remove          take it out again
  --dry-run         only show what would be done
  --yes             do not ask about files; services are left alone
  --restart         with --yes: reload and restart services, too
  --help            this text

What was there before is kept beside it, ending in .entrepot-backup.
Exit status: 0 done, 1 something failed, 2 called wrongly, and nothing was changed.
USAGE
  printf '\nThe mirror is %s; the engines are: %s.\n' "$MIRROR" "$ENGINES"
}

wrong() {
  printf '%s\n' "$1" >&2
  exit 2
}

main() {
  set -f
  umask 022
  ROOT=$ENTREPOT_ROOT ONLY='' YES='' REMOVE='' DRY_RUN='' RESTART='' FALLBACK=yes FOUND='' FAILED=0
  while [ $# -gt 0 ]; do
    case $1 in
      --only)
        [ -n "$2" ] || wrong '--only needs names, such as docker,containerd'
        ONLY=$(printf '%s' "$2" | tr ',' ' ')
        shift
        ;;
      --no-fallback) FALLBACK=no ;;
      --remove) REMOVE=1 ;;
      --dry-run) DRY_RUN=1 ;;
      --yes) YES=1 ;;
      --restart) RESTART=1 ;;
      --help | -h)
        usage
        return 0
        ;;
      *) wrong "There is no option $1; --help tells which there are." ;;
    esac
    shift
  done
  for engine in $ONLY; do
    among "$engine" "$ENGINES" || wrong "There is no engine $engine here; there are: $ENGINES."
  done
  if [ -z "$DRY_RUN" ]; then
    if [ -z "$ROOT" ] && [ "$(id -u)" -ne 0 ]; then
      wrong 'This changes files of the host, so it must be run as root, by sudo sh, or with --dry-run to look only.'
    fi
    if [ -z "$YES" ] && ! (: </dev/tty) 2>/dev/null; then
      wrong 'There is no terminal to ask at: say --yes to have it done, or --dry-run to look only.'
    fi
  fi
  for engine in $ENGINES; do
    if among "$engine" "$ONLY" || { [ -z "$ONLY" ] && is_here "$engine"; }; then
      FOUND=1
      configure "$engine"
    fi
  done
  [ -n "$FOUND" ] || printf 'None of these was found here: %s. --only names those to configure all the same.\n' "$ENGINES"
  return "$FAILED"
}

# among WORD LIST
among() {
  case " $2 " in
    *" $1 "*) return 0 ;;
    *) return 1 ;;
  esac
}

is_here() {
  case $1 in
    docker) has dockerd ;;
    cri-o) has crio ;;
    podman) has podman || has buildah ;;
    buildkit) has buildkitd ;;
    k3s | rke2) has "$1" || [ -d "$ROOT/etc/rancher/$1" ] ;;
    *) has "$1" ;;
  esac
}

# Where programs are, on this host or below another root.
has() {
  for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin /opt/bin; do
    [ ! -x "$ROOT$folder/$1" ] || return 0
  done
  return 1
}

# All files of an engine, after one question.
configure() {
  printf '%s:\n' "$1"
  CHANGES=0
  PHASE=show
  engine_files "$1" "$FALLBACK"
  [ "$CHANGES" -gt 0 ] && [ -z "$DRY_RUN" ] || return 0
  if ! ask "Change this for $1?"; then
    printf '  left alone\n'
    return 0
  fi
  PHASE=act
  engine_files "$1" "$FALLBACK"
  [ -n "$ROOT" ] || engine_services "$1"
}

ask() {
  [ -z "$YES" ] || return 0
  printf '%s [y/N] ' "$1" >/dev/tty
  read -r answer </dev/tty || return 1
  among "$answer" 'y Y yes Yes YES'
}

# service ACTION UNIT
service() {
  systemctl is-active --quiet "$2" 2>/dev/null || return 0
  if [ -n "$YES" ] && [ -z "$RESTART" ]; then
    printf '  still to be done: systemctl %s %s\n' "$1" "$2"
  elif ask "Run systemctl $1 $2?"; then
    systemctl "$1" "$2" || failed "systemctl $1 $2"
  fi
}

# file KIND PATH MODE TEXT — says what would become of it, or does it
#   own       read beside others: replaced as a whole, unless what it was could not be kept
#   shared    of the host, for many things: left to people, unless all of it is ours
#   json      merged key by key
#   optional  of the host as well, and not needed where it is missing
#   former    goes, if it is ours
file() {
  kind=$1 target=$ROOT$2 mode=$3 text=$4 new='' backup=$ROOT$2.entrepot-backup
  if [ -n "$REMOVE" ] || [ "$kind" = former ]; then plan_removal; else plan_change; fi
  if [ "$PHASE" = show ]; then show; else act; fi
}

plan_change() {
  new=$text
  if is_odd; then
    action=hand
  elif [ ! -e "$target" ]; then
    action='write'
    [ "$kind" != optional ] || action=none
  elif [ "$kind" = optional ] && grep -q '^[^#]*config_path.*/etc/containerd/certs\.d' "$target"; then
    action=none
  elif holds "$target" "$text"; then
    action=none
  elif [ "$kind" = json ]; then
    action=hand
    if now=$(json show "$target") && merged=$(json merge "$target"); then
      action=change
      [ "$now" != "$merged" ] || action=none
      new="$merged
"
    fi
  elif is_ours "$target"; then
    action='write'
  elif [ "$kind" = own ] && is_keepable; then
    action=change
  else
    action=hand
  fi
}

plan_removal() {
  action=none
  if [ ! -e "$target" ] && [ ! -h "$target" ]; then
    return
  elif [ "$kind" = former ] && ! is_ours "$target"; then
    return
  elif is_odd; then
    action=hand
  elif holds "$target" "$text" || is_ours "$target"; then
    action=delete
    [ ! -f "$backup" ] || action=restore
  elif [ "$kind" = json ]; then
    plan_json_removal
  elif grep -q '^[[:space:]]*# entrepot: begin' "$target"; then
    action=clean
    # But for line ends at the end, which awk makes and the shell takes away.
    [ ! -f "$backup" ] || [ "$(without_ours "$target")" != "$(cat "$backup")" ] || action=restore
  fi
}

plan_json_removal() {
  action=hand
  now=$(json show "$target") && rest=$(json remove "$target") || return 0
  new="$rest
"
  if [ "$now" = "$rest" ]; then
    action=none
  elif [ -f "$backup" ] && was_kept; then
    action=restore
  elif [ "$rest" = '{}' ]; then
    action=delete
  else
    action=change
  fi
}

# What is kept says the same as what is left, or has become what is there by us alone.
was_kept() {
  [ "$(json show "$backup")" = "$rest" ] || [ "$(json merge "$backup")" = "$now" ]
}

show() {
  case $action in
    none) [ ! -e "$target" ] || printf '  as it should be: %s\n' "$target" ;;
    write) printf '  would write:     %s\n' "$target" ;;
    change | clean) printf '  would change:    %s\n' "$target" ;;
    restore) printf '  would restore:   %s\n' "$target" ;;
    delete) printf '  would delete:    %s\n' "$target" ;;
    hand) by_hand ;;
  esac
  among "$action" 'none hand' || CHANGES=$((CHANGES + 1))
}

by_hand() {
  if [ -n "$REMOVE" ]; then
    printf '  left alone:      %s; what is below has to be taken out by hand\n' "$target"
  else
    printf '  left alone:      %s; what is below has to be put in by hand\n' "$target"
  fi
  printf '%s\n' "$text" | sed 's/^/    | /'
}

act() {
  case $action in
    write) put ;;
    change) keep && put ;;
    clean) put ;;
    restore) mv -f "$backup" "$target" ;;
    delete) rm -f "$target" && tidy ;;
  esac || failed "$target"
}

failed() {
  printf '  FAILED: %s\n' "$1" >&2
  FAILED=1
}

# Whole or not at all: what is kept is taken for what was there.
keep() {
  [ ! -e "$backup" ] || return 0
  temporary=$(dirname "$target")/.entrepot-$$
  rm -f "$temporary"
  cp -p "$target" "$temporary" && mv -f "$temporary" "$backup" && return 0
  rm -f "$temporary"
  return 1
}

# Nothing is kept yet, or just this: an earlier run got no further.
is_keepable() {
  [ ! -e "$backup" ] || cmp -s "$target" "$backup"
}

# Whole at any time: written beside the old one, which keeps its owner and mode.
put() {
  folder=$(dirname "$target")
  mkdir -p "$folder" || return 1
  temporary=$folder/.entrepot-$$
  rm -f "$temporary"
  if [ -e "$target" ]; then
    cp -p "$target" "$temporary"
  else
    (umask 077 && : >"$temporary") && chmod "$mode" "$temporary"
  fi && content >"$temporary" && mv -f "$temporary" "$target" && return 0
  rm -f "$temporary"
  return 1
}

content() {
  if [ "$action" = clean ]; then without_ours "$target"; else printf '%s' "$new"; fi
}

# Below certs.d each registry has a folder of its own.
tidy() {
  folder=$(dirname "$target")
  case $folder in
    */certs.d/*) rmdir "$folder" 2>/dev/null ;;
  esac
  return 0
}

# Something else than a file of this host: a link, a folder.
is_odd() {
  [ -h "$target" ] || { [ -e "$target" ] && [ ! -f "$target" ]; }
}

# holds FILE TEXT — exactly
holds() {
  [ "$(cat "$1"; printf x)" = "$2"x ]
}

# is_ours FILE — nothing is in it but lines between our marks
is_ours() {
  case $(head -n 1 "$1") in
    '# entrepot: begin'*) [ -z "$(without_ours "$1")" ] ;;
    '# Written by entrepot client-config.'*) return 0 ;;
    *) return 1 ;;
  esac
}

# Without the lines between our marks; what they had taken the place of comes back.
without_ours() {
  awk '
    { mark = $0; gsub(/^[ \t]+|[ \t\r]+$/, "", mark) }
    mark == "# entrepot: begin" { inside = 1; next }
    mark == "# entrepot: end" { inside = 0; next }
    inside && sub(/^# entrepot: was /, "") { print; next }
    !inside
  ' "$1"
}

# json show|merge|remove FILE — with our text: objects of lists and single values
json() {
  json_by_python "$1" "$2" 2>/dev/null || json_by_jq "$1" "$2" 2>/dev/null
}

json_by_python() {
  python3 -c '
import json, sys
action, path, ours = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with open(path, encoding="utf-8-sig") as file:
    text = file.read()
data = json.loads(text) if text.strip() else {}
if not isinstance(data, dict):
    sys.exit(1)
for key, value in ours.items():
    lists = isinstance(value, list) and isinstance(data.get(key, []), list)
    if action == "merge" and lists:
        theirs = data.get(key, [])
        data[key] = [item for item in value if item not in theirs] + theirs
    elif action == "merge" and data.setdefault(key, value) != value:
        sys.exit(1)
    elif action == "remove" and lists:
        data[key] = [item for item in data.get(key, []) if item not in value]
        if not data[key]:
            del data[key]
    elif action == "remove" and data.get(key) == value:
        del data[key]
print(json.dumps(data, indent=2))
' "$1" "$2" "$text"
}

json_by_jq() {
  jq -s --arg action "$1" --argjson ours "$text" '
if length > 1 then error("no object") elif length == 0 then {} else .[0] end
| if type != "object" then error("no object") else . end
| reduce ($ours | to_entries[]) as $own (.;
    (($own.value | type) == "array" and ((.[$own.key] // []) | type) == "array") as $lists
    | if $action == "merge" and $lists then
        .[$own.key] = ((.[$own.key] // []) as $theirs | ($own.value - $theirs) + $theirs)
      elif $action == "merge" and has($own.key) and .[$own.key] != $own.value then error("taken")
      elif $action == "merge" then .[$own.key] = $own.value
      elif $action == "remove" and $lists then
        .[$own.key] = ((.[$own.key] // []) - $own.value)
        | if .[$own.key] == [] then del(.[$own.key]) else . end
      elif $action == "remove" and .[$own.key] == $own.value then del(.[$own.key])
      else . end)
' "$2"
}
`
