/** The keys of the file and the kind of value that each has. What values mean is checked elsewhere. */
import { z } from 'zod'

// The texts say what is right, and end the sentence "found …; write …". Everything may be absent, also
// list items, so that what is wrong can be cut out and the rest still be looked at. A list or mapping
// may be empty (`deny:` with all its rules commented out); any other key must have a value.

const duration = z.string({ error: 'a duration such as 5m (units s, m, h, d)' }).optional()
const size = z.string({ error: 'a size such as 200GiB (units KiB, MiB, GiB, TiB)' }).optional()
const fileName = z.string({ error: 'the name of a file' }).optional()
const flag = z.boolean({ error: 'true or false' }).optional()

/** At least one. */
function countUpTo(max: number, what: string) {
  return z
    .int({ error: `a number of ${what} from 1 to ${max}` })
    .min(1)
    .max(max)
    .optional()
}

function listOf(item: string) {
  return z
    .array(z.string({ error: `${item}, in quotes where in doubt` }).optional(), {
      error: `a list, each line of which is "- " and ${item}`,
    })
    .nullish()
}

const timeoutsShape = z.strictObject(
  { connect: duration, firstByte: duration, idle: duration, hedge: duration },
  { error: 'a mapping such as { connect: 5s, firstByte: 20s, idle: 30s }' },
)

const credentialShape = z.strictObject(
  {
    username: z.string({ error: 'a user name, in quotes if it is a number' }).optional(),
    password: z.string({ error: 'a password, in quotes if it is a number' }).optional(),
    passwordFile: fileName,
    helper: z.string({ error: 'the name of a credential helper, such as ecr-login' }).optional(),
    endpoint: z.string({ error: 'one of the endpoints of the upstream' }).optional(),
  },
  { error: 'a mapping such as { username: someone, passwordFile: secrets/hub }' },
)

const cachePolicyShape = z.strictObject({
  complete: z.enum(['pulled', 'off'], { error: 'pulled or off' }).optional(),
  staleWhileRevalidate: duration,
  staleIfError: z
    .string({ error: 'a duration such as 7d (units s, m, h, d), or unlimited' })
    .optional(),
  keepDeleted: flag,
})

const upstreamShape = z.strictObject(
  {
    endpoints: listOf('a URL such as https://registry.example'),
    credentials: z
      .array(credentialShape.optional(), {
        error: 'a list such as [{ username: someone, passwordFile: secrets/hub }]',
      })
      .nullish(),
    realms: listOf('a host such as auth.example'),
    insecure: flag,
    ca: fileName,
    networks: listOf('a CIDR block such as 10.0.0.0/8'),
    tagTtl: duration,
    ...cachePolicyShape.shape,
    connections: countUpTo(16, 'connections'),
    timeouts: timeoutsShape.nullish(),
  },
  { error: 'a mapping, {} if nothing needs to be said' },
)

const certificateShape = z.strictObject(
  { certificate: fileName, key: fileName },
  { error: 'a mapping such as { certificate: tls.crt, key: tls.key }' },
)

const PATTERN = 'a pattern such as docker.io/library/*'

const allowRuleShape = z.strictObject({
  image: z.string({ error: `${PATTERN}, in quotes where in doubt` }).optional(),
  minAge: duration,
})

/** What a line of `allow` may be. */
export const ALLOW_LINE = `${PATTERN}, in quotes where in doubt and without a space before its tag, or { image: docker.io/library/*, minAge: 3d }`

const allowShape = z
  .array(z.union([z.string(), allowRuleShape], { error: ALLOW_LINE }).optional(), {
    error: `a list, each line of which is "- " and ${PATTERN}`,
  })
  .nullish()

const grantsShape = z.strictObject(
  {
    pull: listOf(PATTERN),
    push: listOf(PATTERN),
    operate: listOf(PATTERN),
    admin: listOf(PATTERN),
  },
  { error: 'a mapping of roles to patterns, such as { pull: [docker.io/library/*] }' },
)

const webhookShape = z.strictObject(
  {
    url: z.string({ error: 'a URL such as https://hooks.example/entrepot' }).optional(),
    secret: z.string({ error: 'a secret, in quotes if it is a number' }).optional(),
    secretFile: fileName,
  },
  {
    error: 'a mapping such as { url: https://hooks.example/entrepot, secretFile: secrets/webhook }',
  },
)

const warmShape = z.strictObject(
  {
    schedule: z.string({ error: 'a cron expression such as "0 3 * * *", in quotes' }).optional(),
    timeZone: z.string({ error: 'a time zone such as Europe/Berlin' }).optional(),
    jitter: duration,
    images: listOf('an image such as docker.io/library/redis:7'),
    file: fileName,
    platforms: listOf('a platform such as linux/amd64'),
    concurrency: countUpTo(16, 'downloads'),
  },
  { error: 'a mapping such as { schedule: "0 3 * * *", images: [docker.io/library/redis:7] }' },
)

const upstreamName = z.string({ error: 'the name of an upstream, such as quay.io' }).optional()

export const fileShape = z.strictObject(
  {
    listen: z.string({ error: 'an address such as 127.0.0.1:5000 or unix:<path>' }).optional(),
    publicUrl: z.string({ error: 'a URL such as https://mirror.example' }).optional(),
    data: z.string({ error: 'the name of a folder' }).optional(),
    budget: size,
    lowWatermark: size,
    maxUnused: duration,
    minFree: size,
    pin: listOf(PATTERN),
    scrub: z.string({ error: 'how much is checked in a second, such as 8MiB, or off' }).optional(),
    memory: size,
    workers: countUpTo(64, 'processes'),
    sendfile: flag,
    defaultUpstream: upstreamName,
    upstreams: z
      .record(z.string(), upstreamShape.nullish(), {
        error: 'a mapping with a line for each upstream, such as "docker.io: {}"',
      })
      .nullish(),
    hosts: z
      .record(z.string(), upstreamName, {
        error: 'a mapping of host names to upstreams, such as "quay.mirror.lan: quay.io"',
      })
      .nullish(),
    timeouts: timeoutsShape.nullish(),
    ...cachePolicyShape.shape,
    offline: flag,
    rateLimitStatus: z.literal([429, 503], { error: '429 or 503' }).optional(),
    tls: z
      .array(certificateShape.optional(), {
        error: 'a list such as [{ certificate: tls.crt, key: tls.key }]',
      })
      .nullish(),
    allow: allowShape,
    deny: listOf(PATTERN),
    anonymous: listOf(PATTERN),
    htpasswd: fileName,
    grants: z
      .record(z.string(), grantsShape.nullish(), {
        error: 'a mapping of users to roles, such as "alice: { pull: [docker.io/library/*] }"',
      })
      .nullish(),
    trustedProxies: listOf('an address such as 10.0.0.5, a CIDR block such as 10.0.0.0/8, or unix'),
    api: z.string({ error: 'same, off, or an address such as 127.0.0.1:5001' }).optional(),
    anonymousStatus: flag,
    logLevel: z
      .enum(['debug', 'info', 'warn', 'error'], { error: 'debug, info, warn or error' })
      .optional(),
    webhook: webhookShape.optional(),
    warm: z
      .array(warmShape.optional(), {
        error: 'a list such as [{ schedule: "0 3 * * *", images: [docker.io/library/redis:7] }]',
      })
      .nullish(),
  },
  { error: 'keys and values, at least "upstreams: { docker.io: {} }"' },
)

export type FileShape = z.infer<typeof fileShape>
export type UpstreamShape = z.infer<typeof upstreamShape>
export type CachePolicyShape = z.infer<typeof cachePolicyShape>
export type CredentialShape = z.infer<typeof credentialShape>
export type TimeoutsShape = z.infer<typeof timeoutsShape>
export type AllowShape = z.infer<typeof allowRuleShape>
export type GrantsShape = z.infer<typeof grantsShape>
export type WarmShape = z.infer<typeof warmShape>
export type WebhookShape = z.infer<typeof webhookShape>

/** Deeper than one level in the file, mappings are known by their place. */
export const MAPPINGS = [
  { place: 'the top level', keys: keysOf(fileShape) },
  { place: 'upstreams.<name>', keys: keysOf(upstreamShape) },
  { place: 'timeouts', keys: keysOf(timeoutsShape) },
  { place: 'credentials', keys: keysOf(credentialShape) },
  { place: 'tls', keys: keysOf(certificateShape) },
  { place: 'allow', keys: keysOf(allowRuleShape) },
  { place: 'grants.<user>', keys: keysOf(grantsShape) },
  { place: 'webhook', keys: keysOf(webhookShape) },
  { place: 'warm', keys: keysOf(warmShape) },
] as const

function keysOf(shape: z.ZodObject): readonly string[] {
  return Object.keys(shape.shape)
}
