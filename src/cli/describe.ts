/** What a configuration means, for the log: no secrets, and nothing that has to be looked up. */
import type { Config } from '../config/schema.ts'

/** More rules than this are counted rather than listed. */
const LISTED_RULES = 50

export function describeConfig(file: string, config: Config): Record<string, unknown> {
  return {
    config: file,
    data: config.data,
    ...(config.publicUrl !== undefined && { publicUrl: config.publicUrl }),
    budget: config.budget ?? 'unlimited',
    upstreams: [...config.upstreams.keys()],
    defaultUpstream: config.defaultUpstream,
    ...(config.hosts.size > 0 && { hosts: Object.fromEntries(config.hosts) }),
    ...(config.offline && { offline: true }),
    allow: config.allow.length === 0 ? 'nothing: add rules under "allow"' : listed(config.allow),
    deny: listed(config.deny),
  }
}

function listed(rules: readonly string[]): readonly string[] {
  const more = rules.length - LISTED_RULES
  return more > 0 ? [...rules.slice(0, LISTED_RULES), `… and ${more} more`] : rules
}
