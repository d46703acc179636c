/** What of a new configuration counts while the mirror runs, and what of it the workers are told. */
import type { Config } from './config/schema.ts'

const AT_THE_START = [
  'listen',
  'api',
  'data',
  'budget',
  'lowWatermark',
  'maxUnused',
  'minFree',
  'scrubRate',
  'memory',
  'workers',
  'sendfile',
] as const

/** As the file calls it. */
const nameOf = (key: keyof Config): string => (key === 'scrubRate' ? 'scrub' : key)

/** Keys that were changed although they only count at the start. */
export function needsRestart(started: Config, changed: Config): string[] {
  const differs = (key: keyof Config): boolean =>
    JSON.stringify(started[key]) !== JSON.stringify(changed[key])
  const keys = AT_THE_START.filter(differs)
  return [...keys.map(nameOf), ...(isTlsSwitched(started, changed) ? ['tls'] : [])]
}

/**
 * What only counts at the start is what it was then, as a worker may take the place of another at any time:
 * all processes listen alike, over one data folder. Only the main process speaks to upstreams, so the others
 * do not get what they would need for that.
 */
export function configurationOfWorkers(started: Config, changed: Config): Config {
  const kept = Object.fromEntries(AT_THE_START.map((key) => [key, started[key]]))
  const upstreams = [...changed.upstreams].map(
    ([name, upstream]) => [name, { ...upstream, credentials: [] }] as const,
  )
  const { tls } = isTlsSwitched(started, changed) ? started : changed
  return { ...changed, ...kept, tls, upstreams: new Map(upstreams) }
}

function isTlsSwitched(started: Config, changed: Config): boolean {
  return (started.tls.length === 0) !== (changed.tls.length === 0)
}
