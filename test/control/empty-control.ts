import type { ControlState } from '../../src/catalog/control-catalog.ts'
import type { ControlSettings } from '../../src/control/control.ts'

/** Docker Hub alone, no rule, and everything may be pulled without a name. */
export const SETTINGS: ControlSettings = {
  routing: { upstreams: new Set(['docker.io']), hosts: new Map(), defaultUpstream: 'docker.io' },
  rules: [],
  anonymous: ['**'],
  htpasswd: undefined,
  fileGrants: new Map(),
  anonymousStatus: true,
  webhook: undefined,
  checkPattern: (text) => text,
}

export const EMPTY: ControlState = {
  rules: [],
  users: [],
  tokens: [],
  approvals: [],
  frozenTags: [],
}
