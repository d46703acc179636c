/** What is said of each key of the file, where people look things up: the reference, and editors by the schema. */

export interface KeyReference {
  /** In a few words of the reference. */
  readonly meaning: string
  /** Code as it stands in the file, where leaving the key out says the same; else words. */
  readonly default?: string
  /** Where what the shape calls it does not say enough. */
  readonly type?: string
  /** Where live or restart does not say enough. */
  readonly afterChange?: string
}

type Reference = Readonly<Record<string, KeyReference>>

const CACHE_POLICY: Reference = {
  complete: {
    meaning: 'whether the rest of an image is fetched when its manifest is pulled',
    default: '`pulled`',
  },
  staleWhileRevalidate: {
    meaning:
      'how long after its `tagTtl` a tag is answered at once as it was, and asked for behind',
    default: '`0s`',
  },
  staleIfError: {
    meaning: 'how long after upstream last confirmed it a tag is served in an outage',
    default: '`unlimited`',
  },
  keepDeleted: {
    meaning: 'whether a tag that upstream has deleted can still be pulled',
    default: '`true`',
  },
}

const FILE: Reference = {
  listen: { meaning: 'where clients connect', default: '`127.0.0.1:5000`' },
  publicUrl: {
    meaning: 'what clients call the mirror when a proxy stands before it',
    default: 'what each request says',
  },
  data: { meaning: 'the folder of everything that is kept', default: '`./data`' },
  budget: { meaning: 'bytes of images that may be kept', default: 'no limit' },
  lowWatermark: {
    meaning: 'bytes that are left once the budget has been exceeded',
    default: '90 % of `budget`',
  },
  maxUnused: { meaning: 'after how long without a pull something goes', default: 'never' },
  minFree: { meaning: 'bytes of the filesystem that are left free', default: '`64MiB`' },
  pin: { meaning: 'images that never go', default: 'none' },
  scrub: {
    meaning: 'how much of what is stored is read again and checked in a second',
    default: '`8MiB`',
    type: 'size, or `off`',
  },
  memory: { meaning: 'bytes of small answers that are kept in memory', default: '`64MiB`' },
  workers: { meaning: 'how many processes serve', default: '`1`' },
  sendfile: {
    meaning: 'whether the kernel may copy stored files to plain connections',
    default: '`true`',
  },
  defaultUpstream: {
    meaning: 'where names without a registry belong',
    default: '`docker.io`, where it is mirrored',
  },
  upstreams: { meaning: 'the registries that are mirrored', default: 'required' },
  hosts: { meaning: 'host names of the mirror that stand for one upstream each', default: 'none' },
  timeouts: { meaning: 'how long to wait for upstreams', default: 'see there' },
  ...CACHE_POLICY,
  offline: { meaning: 'whether no outbound connection is made', default: '`false`' },
  rateLimitStatus: {
    meaning: 'what a client is told when an upstream limits the mirror and nothing is cached',
    default: '`503`',
  },
  tls: {
    meaning: 'certificates for HTTPS',
    default: 'none: plain HTTP',
    afterChange: 'live; on and off need a restart',
  },
  allow: { meaning: 'what may be pulled', default: 'none: nothing may be pulled' },
  deny: { meaning: 'what may not be pulled even where `allow` matches', default: 'none' },
  anonymous: { meaning: 'what may be pulled without a user', default: "`['**']`" },
  htpasswd: { meaning: 'a file of users, beside those in the catalog', default: 'none' },
  grants: { meaning: 'what users of that file may do', default: '`pull` of everything' },
  trustedProxies: {
    meaning: 'proxies whose `X-Forwarded-*` headers are believed',
    default: 'none',
  },
  api: {
    meaning: 'where the API for operators answers, with `/metrics` and `/status`',
    default: '`same`',
    type: '`same`, `off` or address',
  },
  anonymousStatus: {
    meaning: 'whether `/metrics` and `/status` answer without a user',
    default: '`true`',
  },
  logLevel: {
    meaning: 'how much is written to the log',
    default: '`info`',
    type: '`debug`, `info`, `warn` or `error`',
  },
  webhook: { meaning: 'who is told of new requests for access', default: 'none' },
  warm: { meaning: 'images that are fetched at set times', default: 'none' },
}

const UPSTREAM: Reference = {
  endpoints: {
    meaning:
      'base URLs in order of preference, without `/v2`; the next is used while one is down, and asked as well when one is slow',
    default: 'preset, or `https://<name>`',
  },
  credentials: {
    meaning: 'accounts; the next is used while upstream limits one',
    default: 'none: anonymous',
  },
  realms: {
    meaning: 'token servers on other hosts than the endpoints; added to those of the preset',
    default: 'preset',
  },
  insecure: {
    meaning: 'plain HTTP is meant where an endpoint begins with `http://`',
    default: '`false`',
  },
  ca: {
    meaning: 'PEM of the certificate authorities to trust in place of the public ones',
    default: 'the public authorities',
  },
  networks: {
    meaning: 'private addresses that this upstream may have',
    default: 'none: public addresses only',
  },
  tagTtl: {
    meaning: 'how long a tag is believed before upstream is asked again',
    default: '`5m`',
  },
  ...Object.fromEntries(
    Object.entries(CACHE_POLICY).map(([key, { meaning }]) => [
      key,
      { meaning, default: 'that of the top level' },
    ]),
  ),
  connections: {
    meaning:
      'over how many connections one large blob is fetched at a time, where that is measured to be faster; `1`: never more than one',
    default: '`4`',
  },
  timeouts: {
    meaning: 'its own; what is left out is taken from the top level',
    default: 'those of the top level',
  },
}

const TIMEOUTS: Reference = {
  connect: {
    meaning: 'until a connection must stand, name resolution and TLS included',
    default: '`5s`',
  },
  firstByte: { meaning: 'until the headers of the answer must be there', default: '`20s`' },
  idle: {
    meaning: 'until the next byte of a download must come; then the download is resumed',
    default: '`30s`',
  },
  hedge: {
    meaning:
      'without an answer for so long, the next endpoint is asked as well, and the first to answer serves',
    default: '`1.5s`',
  },
}

const CREDENTIALS: Reference = {
  username: { meaning: 'with one of the next two' },
  password: { meaning: 'in the file, or from the environment' },
  passwordFile: { meaning: 'a file that holds it' },
  helper: {
    meaning:
      'alone: `ecr-login` stands for the program `docker-credential-ecr-login` on the `PATH` of the mirror',
    type: 'name of a helper',
  },
  endpoint: {
    meaning: "one of the upstream's `endpoints`, with any of these: no other is shown the account",
    type: 'URL',
  },
}

const TLS: Reference = {
  certificate: {
    meaning: "PEM: the server's own certificate first, then the chain",
    default: 'required',
  },
  key: { meaning: 'PEM of its key, without a passphrase', default: 'required' },
}

const ALLOW: Reference = {
  image: { meaning: 'as in a line that is text', default: 'required' },
  minAge: {
    meaning: 'how long this mirror must have known a digest to be upstream',
    default: '`0s`',
  },
}

const GRANTS: Reference = {
  pull: { meaning: 'pull images' },
  push: { meaning: 'push images, and pull them' },
  operate: { meaning: 'change rules, decide requests and see figures, and pull' },
  admin: {
    meaning: "all of these, and administer users, tokens and grants; `'**'` also reads the audit",
  },
}

const WEBHOOK: Reference = {
  url: {
    meaning: 'where to; `https://` or `http://`, without user information',
    default: 'required',
  },
  secret: {
    meaning: 'key of the HMAC that each message carries, in the file or from the environment',
    default: 'this or the next is required',
  },
  secretFile: { meaning: 'a file that holds it' },
}

const WARM: Reference = {
  schedule: {
    meaning: 'when: minute, hour, day, month and day of the week, or `@daily` and the like',
    default: 'required',
    type: 'cron expression',
  },
  timeZone: {
    meaning: 'of that, such as `Europe/Berlin`',
    default: 'that of the process',
    type: 'time zone',
  },
  jitter: { meaning: 'by how much a run begins later at most, by chance', default: '`0s`' },
  images: { meaning: 'what is fetched', default: 'this or the next is required' },
  file: { meaning: 'a list as `skopeo sync` reads it, read at each run' },
  platforms: {
    meaning: 'of images for several; `all` for all',
    default: 'Linux on what the mirror runs on',
  },
  concurrency: { meaning: 'how many downloads run at a time', default: '`4`' },
}

/** By the key whose mapping it is; `` is the top level. */
export const REFERENCE: Readonly<Record<string, Reference>> = {
  '': FILE,
  upstreams: UPSTREAM,
  timeouts: TIMEOUTS,
  credentials: CREDENTIALS,
  tls: TLS,
  allow: ALLOW,
  grants: GRANTS,
  webhook: WEBHOOK,
  warm: WARM,
}
