/** What the configuration says to the operators' side, for the mirror and for commands beside it. */
import { join } from 'node:path'
import { fileRule } from './access/rule.ts'
import { parseRule } from './config/rule.ts'
import type { Config } from './config/schema.ts'
import type { ControlSettings } from './control/control.ts'

/** Beside the catalog of the bytes, and unlike it not to be had again. */
export function controlFile(config: Pick<Config, 'data'>): string {
  return join(config.data, 'control.sqlite')
}

export function controlSettings(config: Config): ControlSettings {
  const upstreams = new Set(config.upstreams.keys())
  return {
    routing: { upstreams, hosts: config.hosts, defaultUpstream: config.defaultUpstream },
    rules: [
      ...config.allow.map(({ pattern, minAge }, place) =>
        fileRule('allow', pattern, { place, minAge }),
      ),
      ...config.deny.map((pattern, place) => fileRule('deny', pattern, { place })),
    ],
    anonymous: config.anonymous,
    htpasswd: config.htpasswd,
    fileGrants: config.grants,
    anonymousStatus: config.anonymousStatus,
    webhook: config.webhook,
    checkPattern: (text) => parseRule(text, upstreams),
  }
}
