/**
 * Request targets outside the grammar, or of what nobody allowed, and what each must be answered.
 * The mirror knows docker.io and quay.io, and allows `docker.io/library/*` and `quay.io/coreos/**`.
 */

/** What is wrong, the target of the request, and status and code of the answer. */
export type BadTarget = readonly [what: string, target: string, verdict: string]

const HEX = 'a'.repeat(64)
const DIGEST = `sha256:${HEX}`
const APP = '/v2/library/app'

const NAME_INVALID = '400 NAME_INVALID'
const NAME_UNKNOWN = '404 NAME_UNKNOWN'
const DENIED = '403 DENIED'
const UNSUPPORTED = '405 UNSUPPORTED'

function each(
  what: string,
  verdict: string,
  parts: readonly string[],
  target: (part: string) => string,
): BadTarget[] {
  return parts.map((part) => [`${what} ${part.slice(0, 40)}`, target(part), verdict])
}

const NAMES: BadTarget[] = [
  ...each(
    'component',
    NAME_INVALID,
    ['App', 'aPP', '-app', 'app-', '.app', 'app.', '_app', 'app_', 'a..b', 'a___b', 'a._b', 'a-.b'],
    (name) => `/v2/library/${name}/manifests/v1`,
  ),
  ...each(
    'character',
    NAME_INVALID,
    '!"$&\'()*+,;=@^`{|}~<>[]:'.split(''),
    (character) => `/v2/library/a${character}b/manifests/v1`,
  ),
  ['upper case at the front', '/v2/Library/app/manifests/v1', NAME_INVALID],
  ['upper case in a registry', '/v2/QUAY.io/coreos/etcd/manifests/v1', NAME_INVALID],
  ['upper case in a prefix', '/Quay.io/v2/coreos/etcd/manifests/v1', NAME_INVALID],
  ['256 characters', `/v2/library/${'a'.repeat(248)}/manifests/v1`, NAME_INVALID],
  ['a target of 5000', `/v2/library/${'a'.repeat(5000)}/manifests/v1`, NAME_INVALID],
  ['a query of 5000', `${APP}/tags/list?n=${'1'.repeat(5000)}`, NAME_INVALID],
  ['no name', '/v2/manifests/v1', NAME_INVALID],
  ['no name after a registry', '/v2/quay.io/manifests/v1', NAME_UNKNOWN],
]

const REGISTRIES: BadTarget[] = each(
  'registry',
  NAME_UNKNOWN,
  [
    'evil.example',
    'evil.example:443',
    'localhost',
    'localhost:22',
    '127.0.0.1',
    '169.254.169.254',
    '0x7f000001.example',
    '[::1]',
    '[::1]:80',
    'quay.io:22',
    'quay.io.',
    'quay.io.evil.example',
    'user@quay.io',
    'user:secret@quay.io',
  ],
  (host) => `/v2/${host}/coreos/etcd/manifests/v1`,
).concat([
  ['registry before /v2', '/evil.example/v2/coreos/etcd/manifests/v1', NAME_UNKNOWN],
  ['registry before /v2', '/etcd/v2/coreos/etcd/manifests/v1', NAME_UNKNOWN],
  ['ping of a registry', '/evil.example/v2/', NAME_UNKNOWN],
  ['ping of a registry', '/v2/evil.example/', NAME_UNKNOWN],
])

const PATHS: BadTarget[] = [
  ...each(
    'dot segments',
    NAME_INVALID,
    [
      '/v2/../../etc/passwd',
      '/v2/..',
      '/v2/.',
      '/v2/./library/app/manifests/v1',
      '/v2/library/../../etc/passwd/manifests/v1',
      `${APP}/manifests/..`,
      `${APP}/blobs/../../../etc/passwd`,
      `${APP}/blobs/sha256:../../../etc/passwd`,
      '/quay.io/v2/../coreos/etcd/manifests/v1',
    ],
    (path) => path,
  ),
  ...each(
    'percent',
    NAME_INVALID,
    ['%2e%2e', '%2E%2E', '%2f', '%2F..%2F', '%5c', '%00', '%0d%0a', '%25', '%61pp', '%c0%ae', '%'],
    (part) => `/v2/library/${part}/manifests/v1`,
  ),
  ['percent in a digest', `${APP}/blobs/sha256%3A${HEX}`, NAME_INVALID],
  ['percent in a registry', '/v2/quay.io%2Fcoreos/etcd/manifests/v1', NAME_INVALID],
  ['backslashes', '/v2/..\\..\\etc\\passwd/manifests/v1', NAME_INVALID],
  ['backslash in a tag', `${APP}/manifests/v1\\x`, NAME_INVALID],
  ['double slash at the front', `/${APP}/manifests/v1`, NAME_UNKNOWN],
  ['double slash', '/v2//library/app/manifests/v1', NAME_UNKNOWN],
  ['double slash', '/v2/library//app/manifests/v1', NAME_UNKNOWN],
  ['double slash', `${APP}//manifests/v1`, NAME_UNKNOWN],
  ['double slash after v2', '/v2//', NAME_UNKNOWN],
  ['double slash after v2', '/quay.io/v2//', NAME_UNKNOWN],
  ['trailing slash', `${APP}/manifests/v1/`, NAME_UNKNOWN],
  ['trailing slash', `${APP}/tags/list/`, NAME_UNKNOWN],
  ['no reference', `${APP}/manifests/`, NAME_UNKNOWN],
  ['no digest', `${APP}/blobs/`, NAME_UNKNOWN],
  ['a fragment', `${APP}/manifests/v1#x`, '400 TAG_INVALID'],
  ...each(
    'nothing there',
    NAME_UNKNOWN,
    [
      APP,
      `${APP}/tags`,
      `${APP}/tags/all`,
      `${APP}/manifest/v1`,
      '/v2/x',
      '/v2x/',
      '/V2/',
      '/v1/',
      '/v1/_ping',
      '/v3/',
      '/v2/quay.io/_catalog',
      '/healthz/',
      '/healthz/../metrics',
      '/metrics/x',
      '/.git/config',
      '/index.php',
      '/etc/passwd',
      '/../../etc/passwd',
      '/%2e%2e/etc/passwd',
      '/__proto__',
      '/constructor',
    ],
    (path) => path,
  ),
  ['an upload', `${APP}/blobs/uploads/`, UNSUPPORTED],
  ['an upload', `${APP}/blobs/uploads/1234`, UNSUPPORTED],
]

const TAGS: BadTarget[] = each(
  'tag',
  '400 TAG_INVALID',
  [
    '-v1',
    '.v1',
    'v1+x',
    'v1@x',
    'v1~',
    "v1'",
    'v1*',
    '$(id)',
    ';ls',
    '`id`',
    'v1,v2',
    'a'.repeat(129),
  ],
  (tag) => `${APP}/manifests/${tag}`,
)

const DIGESTS: BadTarget[] = [
  'sha256:',
  `sha256:${'a'.repeat(63)}`,
  `sha256:${'a'.repeat(65)}`,
  `sha256:${'A'.repeat(64)}`,
  `sha256:${'g'.repeat(64)}`,
  `SHA256:${HEX}`,
  `sha512:${HEX}`,
  `sha1:${'a'.repeat(40)}`,
  `md5:${'a'.repeat(32)}`,
  `sha256:${HEX}:x`,
  `sha256::${HEX}`,
  `:${HEX}`,
  `sha256+b64:${HEX}`,
  `__proto__:${HEX}`,
  `constructor:${HEX}`,
].flatMap((digest) =>
  ['blobs', 'manifests', 'referrers'].map((kind): BadTarget => [
    `digest ${digest.slice(0, 20)}`,
    `${APP}/${kind}/${digest}`,
    '400 DIGEST_INVALID',
  ]),
)
DIGESTS.push(
  ['a tag for a blob', `${APP}/blobs/v1`, '400 DIGEST_INVALID'],
  ['a tag for referrers', `${APP}/referrers/v1`, '400 DIGEST_INVALID'],
)

const QUERIES: BadTarget[] = [
  ...each(
    'ns',
    NAME_INVALID,
    [
      '',
      'quay.io/coreos',
      'https://quay.io',
      'user@quay.io',
      '..',
      '__proto__',
      '-quay.io',
      'quay.io%00',
      'quay.io%0d%0aX-Injected:1',
      'quay.io:port',
      '[::1]',
      'a'.repeat(300),
      'quay.io&ns=docker.io',
    ],
    (ns) => `/v2/coreos/etcd/manifests/v1?ns=${ns}`,
  ),
  ...each(
    'ns',
    NAME_UNKNOWN,
    ['evil.example', '169.254.169.254', 'localhost', 'quay.io:22', 'constructor'],
    (ns) => `/v2/coreos/etcd/manifests/v1?ns=${ns}`,
  ),
  ...each(
    'n',
    '400 PAGINATION_NUMBER_INVALID',
    ['', '-1', '1.5', 'x', '0x10', '1e3', '%2b1', '9'.repeat(16)],
    (n) => `${APP}/tags/list?n=${n}`,
  ),
]

const FORBIDDEN: BadTarget[] = [
  ...each(
    'not allowed',
    DENIED,
    [`manifests/v1`, `manifests/${DIGEST}`, `blobs/${DIGEST}`, 'tags/list', `referrers/${DIGEST}`],
    (rest) => `/v2/private/app/${rest}`,
  ),
  ['not allowed in a namespace', '/v2/private/app/manifests/v1?ns=quay.io', DENIED],
  ['not allowed after a prefix', `/quay.io/v2/private/app/blobs/${DIGEST}`, DENIED],
  ['one level too deep', '/v2/library/app/x/manifests/v1', DENIED],
  ['a prefix of what is allowed', '/v2/quay.io/coreos/manifests/v1', DENIED],
  ['an object property', '/v2/constructor/app/manifests/v1', DENIED],
]

export const BAD_TARGETS: readonly BadTarget[] = [
  ...NAMES,
  ...REGISTRIES,
  ...PATHS,
  ...TAGS,
  ...DIGESTS,
  ...QUERIES,
  ...FORBIDDEN,
]
