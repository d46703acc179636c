/** How the operators' commands are called. */

const PLACE = `On the host of the mirror, whether it runs or not:
  --config FILE       configuration; without it mirrors.yml in the current
                      folder, else the example that comes with the program
  --data DIR          data folder, in place of what the file says
From elsewhere:
  --server URL        the mirror, as https://host:port or unix:<path>
  --token-file FILE   file with a token that says who asks; else the variable
                      ENTREPOT_TOKEN. It is not sent over plain HTTP, except
                      to the own host.`

const JSON_OPTION = `  --json              print data for programs, as the API has it`

const EXPIRY = `  --for DURATION      until then it holds: 12h, 14d
  --until TIME        or until a day or a time: 2030-01-31T12:00:00Z`

const PATTERN = `PATTERN is <upstream>/<repository>[:<tag>]; * stands for characters within a part,
** for any across parts. Quote it: the shell knows stars, too.`

const GRANT = `  --grant ROLE=PATTERN
                      what it may do, as often as needed: pull, push, operate
                      or admin, for <upstream>/<repository> with * and **`

/** By command. */
export const OPERATOR_USAGE: readonly (readonly [name: string, usage: string])[] = [
  [
    'allow',
    `entrepot allow: what may come in; deny rules win over it

  entrepot allow add PATTERN
  entrepot allow remove PATTERN|ID
  entrepot allow list [IMAGE]         all, or those about an image and which decides

${PATTERN}

Of add:
  --reason TEXT       why, for people
  --owner TEXT        whom to ask about it; without it whoever adds it
${EXPIRY}
  --min-age DURATION  only what upstream has had for so long: 3d

${JSON_OPTION}
${PLACE}

Examples:
  entrepot allow add 'docker.io/library/*' --reason 'for the build' --for 14d
  entrepot allow add 'quay.io/coreos/**' --min-age 3d
  entrepot allow list docker.io/library/redis:7
  entrepot allow remove 'docker.io/library/*'`,
  ],
  [
    'deny',
    `entrepot deny: what is kept out, whatever is allowed

  entrepot deny add PATTERN
  entrepot deny remove PATTERN|ID
  entrepot deny list [IMAGE]          all, or those about an image and which decides

${PATTERN}

Of add:
  --reason TEXT       why, for people
  --owner TEXT        whom to ask about it; without it whoever adds it
${EXPIRY}

${JSON_OPTION}
${PLACE}

Example:
  entrepot deny add 'docker.io/library/redis:6*' --reason 'no longer mended'`,
  ],
  [
    'requests',
    `entrepot requests: who asked in vain for what

  entrepot requests [list]
  entrepot requests approve ID
  entrepot requests dismiss ID

Of list:
  --all               those that were decided, too
Of approve:
  --as exact|repository|PATTERN
                      what is let in: the tag that was asked for (exact, unless
                      said otherwise), all of its repository, or a pattern
${EXPIRY}
Of approve and dismiss:
  --reason TEXT       why, for people

${JSON_OPTION}
${PLACE}

Examples:
  entrepot requests
  entrepot requests approve r-7f3kq2m5xa --as repository --for 30d
  entrepot requests dismiss r-7f3kq2m5xa --reason 'use the image of our own'`,
  ],
  [
    'explain',
    `entrepot explain IMAGE: what would become of a pull, why, and what it would cost

${JSON_OPTION}
${PLACE}

Only a running mirror knows which endpoint and account it would use.

Examples:
  entrepot explain docker.io/library/redis:7
  entrepot explain quay.io/coreos/etcd:v3 --server https://mirror.example:5000`,
  ],
  [
    'users',
    `entrepot users: who may log in with a password, and what they may do

  entrepot users list
  entrepot users add NAME
  entrepot users passwd NAME
  entrepot users grant NAME           these rights, and no others
  entrepot users remove NAME

Of add and grant:
${GRANT}
                      (add: pull=** unless said otherwise)
Of add and passwd:
  --password-stdin    read the password from standard input; without it you are
                      asked for it, twice

${JSON_OPTION}
${PLACE}

Examples:
  entrepot users add alice --grant 'operate=docker.io/**' --grant 'pull=**'
  entrepot users passwd alice --password-stdin < password.txt`,
  ],
  [
    'tokens',
    `entrepot tokens: keys for robots; a password of any user name, or a bearer token

  entrepot tokens list
  entrepot tokens add NAME            prints the token, this once
  entrepot tokens remove ID

Of add:
${GRANT}
                      (pull=** unless said otherwise)
${EXPIRY}

${JSON_OPTION}
${PLACE}

Example:
  entrepot tokens add ci --grant 'pull=docker.io/**' --for 90d > token`,
  ],
  [
    'content',
    `entrepot content: single digests and tags

  entrepot content list
  entrepot content approve IMAGE@DIGEST      serve it although it is young
  entrepot content withdraw IMAGE@DIGEST     let it wait like any other
  entrepot content freeze IMAGE:TAG@DIGEST   the tag means this, whatever upstream says
  entrepot content unfreeze IMAGE:TAG        the tag follows upstream again

Of approve and freeze:
  --reason TEXT       why, for people

${JSON_OPTION}
${PLACE}

Example:
  entrepot content freeze docker.io/library/redis:7@sha256:… --reason 'as tested'`,
  ],
  [
    'audit',
    `entrepot audit: who changed what, from where and when, as JSON lines

  --since TIME        only from then on: 7d ago, or 2030-01-31T12:00:00Z
  --verify            check instead that no entry was changed or removed; ends
                      with 1 when one was
  --json              print the verdict of --verify as data

${PLACE}

Examples:
  entrepot audit --since 7d
  entrepot audit --verify`,
  ],
]
