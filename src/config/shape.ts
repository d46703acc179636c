/** The keys of the file and the kind of value that each has. What values mean is checked elsewhere. */
import { z } from 'zod'
import { nearest } from './nearest.ts'
import type { Path } from './problem.ts'
import type { Report } from './report.ts'

// The texts say what is right, and end the sentence "found …; write …". Everything may be absent, also
// list items, so that what is wrong can be cut out and the rest still be looked at. A list or mapping
// may be empty (`deny:` with all its rules commented out); any other key must have a value.

const duration = z.string({ error: 'a duration such as 5m (units s, m, h, d)' }).optional()
const size = z.string({ error: 'a size such as 200GiB (units KiB, MiB, GiB, TiB)' }).optional()
const fileName = z.string({ error: 'the name of a file' }).optional()
const flag = z.boolean({ error: 'true or false' }).optional()

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
    timeouts: timeoutsShape.nullish(),
  },
  { error: 'a mapping, {} if nothing needs to be said' },
)

const certificateShape = z.strictObject(
  { certificate: fileName, key: fileName },
  { error: 'a mapping such as { certificate: tls.crt, key: tls.key }' },
)

const upstreamName = z.string({ error: 'the name of an upstream, such as quay.io' }).optional()

const fileShape = z.strictObject(
  {
    listen: z.string({ error: 'an address such as 127.0.0.1:5000 or unix:<path>' }).optional(),
    publicUrl: z.string({ error: 'a URL such as https://mirror.example' }).optional(),
    data: z.string({ error: 'the name of a folder' }).optional(),
    budget: size,
    lowWatermark: size,
    maxUnused: duration,
    minFree: size,
    pin: listOf('a pattern such as docker.io/library/*'),
    scrub: z.string({ error: 'how much is checked in a second, such as 8MiB, or off' }).optional(),
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
    allow: listOf('a pattern such as docker.io/library/*'),
    deny: listOf('a pattern such as docker.io/library/*'),
  },
  { error: 'keys and values, at least "upstreams: { docker.io: {} }"' },
)

export type FileShape = z.infer<typeof fileShape>
export type UpstreamShape = z.infer<typeof upstreamShape>
export type CachePolicyShape = z.infer<typeof cachePolicyShape>
export type CredentialShape = z.infer<typeof credentialShape>
export type TimeoutsShape = z.infer<typeof timeoutsShape>

/** What of the value has the right shape; the rest is reported and left out. */
export function readShape(value: unknown, report: Report): FileShape {
  let rest = value
  for (;;) {
    const parsed = fileShape.safeParse(rest)
    if (parsed.success) return parsed.data
    for (const issue of parsed.error.issues) {
      const path = issue.path as Path
      if (issue.code === 'unrecognized_keys') {
        for (const key of issue.keys) {
          report.add([...path, key], unknownKeyMessage(path, key))
          rest = without(rest, [...path, key])
        }
      } else {
        report.addMismatch(path, valueAt(rest, path), issue.message)
        rest = without(rest, path)
      }
    }
  }
}

/** Deeper than one level in the file, mappings are known by their place. */
const MAPPINGS = [
  { place: 'the top level', keys: keysOf(fileShape) },
  { place: 'upstreams.<name>', keys: keysOf(upstreamShape) },
  { place: 'timeouts', keys: keysOf(timeoutsShape) },
  { place: 'credentials', keys: keysOf(credentialShape) },
  { place: 'tls', keys: keysOf(certificateShape) },
] as const

function keysOf(shape: z.ZodObject): readonly string[] {
  return Object.keys(shape.shape)
}

function placeOf(path: Path): string {
  if (path.length === 0) return 'the top level'
  if (path[0] === 'upstreams' && path.length === 2) return 'upstreams.<name>'
  return String(path.findLast((step) => typeof step === 'string'))
}

function unknownKeyMessage(path: Path, key: string): string {
  const place = placeOf(path)
  if (place === 'the top level' && key === 'htpasswd') {
    return 'is not supported yet: users cannot be configured; remove it, and restrict by "listen" or a proxy in front'
  }
  const keys = MAPPINGS.find((mapping) => mapping.place === place)?.keys ?? []
  const meant = nearest(key, keys)
  if (meant !== undefined) return `is not a key; did you mean ${meant}?`
  const home = MAPPINGS.find((mapping) => mapping.keys.includes(key))
  if (home !== undefined) return `is not a key here; it belongs under ${home.place}`
  return `is not a key; the keys here are ${keys.join(', ')}`
}

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce((value, step) => (value as Record<Path[number], unknown>)[step], root)
}

/** The data without one part; items of a list keep their numbers. */
function without(root: unknown, path: Path): unknown {
  const last = path.at(-1)
  if (last === undefined) return {}
  const parent = valueAt(root, path.slice(0, -1)) as Record<Path[number], unknown>
  // An upstream without a usable value is still an upstream that rules may name.
  const isUpstream = path[0] === 'upstreams' && path.length === 2
  if (isUpstream || Array.isArray(parent)) parent[last] = undefined
  else delete parent[last]
  return root
}
