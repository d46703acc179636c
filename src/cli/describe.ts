/** What a configuration means, for the log: no secrets, and nothing that has to be looked up. */
import { DEFAULT_CACHE_POLICY } from '../config/cache-policy.ts'
import { DEFAULT_MIN_FREE, DEFAULT_SCRUB_RATE, defaultLowWatermark } from '../config/disk.ts'
import { listenText } from '../config/effective.ts'
import type { AllowRule, Config, UpstreamConfig } from '../config/schema.ts'
import { DEFAULT_MEMORY } from '../config/service.ts'
import { DEFAULT_TIMEOUTS } from '../config/timeouts.ts'
import { DEFAULT_CONNECTIONS } from '../config/upstreams.ts'

/** More rules than this are counted rather than listed. */
const LISTED_RULES = 50

export function describeConfig(file: string, config: Config): Record<string, unknown> {
  return {
    config: file,
    data: config.data,
    ...(config.publicUrl !== undefined && { publicUrl: config.publicUrl }),
    budget: config.budget ?? 'unlimited',
    ...disk(config),
    ...(config.pin.length > 0 && { pin: listed(config.pin) }),
    ...service(config),
    upstreams: [...config.upstreams.keys()],
    ...upstreamSettings(config),
    defaultUpstream: config.defaultUpstream,
    ...(config.hosts.size > 0 && { hosts: Object.fromEntries(config.hosts) }),
    ...(config.offline && { offline: true }),
    allow:
      config.allow.length === 0
        ? 'nothing: add rules under "allow"'
        : listed(config.allow.map(allowLine)),
    deny: listed(config.deny),
    ...access(config),
    ...(config.warm.length > 0 && { warm: config.warm.map(({ schedule }) => schedule) }),
  }
}

/** As in the file, in milliseconds. */
function allowLine({ pattern, minAge }: AllowRule): unknown {
  return minAge === 0 ? pattern : { image: pattern, minAge }
}

/** What is said of callers and operators; what is as always is left out. */
function access(config: Config): object {
  const { anonymous, htpasswd, grants, trustedProxies, api, anonymousStatus, webhook } = config
  const anonymousIsAsAlways = anonymous.length === 1 && anonymous[0] === '**'
  return {
    ...(!anonymousIsAsAlways && { anonymous: listed(anonymous) }),
    ...(htpasswd !== undefined && { htpasswd }),
    ...(grants.size > 0 && { usersWithGrants: grants.size }),
    ...(trustedProxies.length > 0 && { trustedProxies: listed(trustedProxies) }),
    ...(api !== 'same' && { api: api === 'off' ? api : listenText(api) }),
    ...(!anonymousStatus && { anonymousStatus }),
    // The rest of the URL is often a secret.
    ...(webhook !== undefined && { webhook: new URL(webhook.url).origin }),
  }
}

/** What is said of the disk besides the budget, in bytes and milliseconds; what is as always is left out. */
function disk({ budget, lowWatermark, maxUnused, minFree, scrubRate }: Config): object {
  return {
    ...(lowWatermark !== defaultLowWatermark(budget) && { lowWatermark }),
    ...(maxUnused !== undefined && { maxUnused }),
    ...(minFree !== DEFAULT_MIN_FREE && { minFree }),
    ...(scrubRate !== DEFAULT_SCRUB_RATE && { scrub: scrubRate === 0 ? 'off' : scrubRate }),
  }
}

/** What of the machine is used to serve, in bytes and processes; what is as always is left out. */
function service({ memory, workers, sendfile }: Config): object {
  return {
    ...(memory !== DEFAULT_MEMORY && { memory }),
    ...(workers !== 1 && { workers }),
    ...(!sendfile && { sendfile }),
  }
}

/** By upstream, how it is served other than by default, in milliseconds. */
function upstreamSettings({ upstreams }: Config): object {
  const settings = [...upstreams]
    .map(([name, upstream]) => [name, unusual(upstream)] as const)
    .filter(([, found]) => Object.keys(found).length > 0)
  return settings.length > 0 ? { upstreamSettings: Object.fromEntries(settings) } : {}
}

function unusual(upstream: UpstreamConfig): object {
  const policy = Object.entries(DEFAULT_CACHE_POLICY).flatMap(([key, byDefault]) => {
    const value = upstream[key as keyof typeof DEFAULT_CACHE_POLICY]
    return value === byDefault ? [] : [[key, value]]
  })
  const { connections } = upstream
  const { hedge } = upstream.timeouts
  return {
    ...Object.fromEntries(policy),
    ...(connections !== DEFAULT_CONNECTIONS && { connections }),
    ...(hedge !== DEFAULT_TIMEOUTS.hedge && { timeouts: { hedge } }),
  }
}

function listed(rules: readonly unknown[]): readonly unknown[] {
  const more = rules.length - LISTED_RULES
  return more > 0 ? [...rules.slice(0, LISTED_RULES), `… and ${more} more`] : rules
}
