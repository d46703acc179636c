/** What operators have decided, kept in memory: for tests of those who decide. */
import { createHash } from 'node:crypto'
import type {
  AccessRequest,
  AuditEntry,
  AuditRecord,
  Change,
  ControlCatalog,
  ControlState,
  Refusal,
} from '../../src/catalog/control-catalog.ts'

interface Tables {
  rules: Map<string, ControlState['rules'][number]>
  users: Map<string, ControlState['users'][number]>
  tokens: Map<string, ControlState['tokens'][number]>
  approvals: Map<string, ControlState['approvals'][number]>
  frozenTags: Map<string, ControlState['frozenTags'][number]>
}

export function createMemoryControlCatalog(): ControlCatalog & {
  readonly entries: readonly AuditEntry[]
} {
  const tables: Tables = {
    rules: new Map(),
    users: new Map(),
    tokens: new Map(),
    approvals: new Map(),
    frozenTags: new Map(),
  }
  const requests = new Map<string, AccessRequest>()
  const secrets = new Map<string, Buffer>()
  const entries: AuditEntry[] = []
  let version = 1

  return {
    entries,
    version: () => version,
    state: async () => stateOf(tables),
    async change(decide) {
      const { changes, audit, result } = decide({
        state: stateOf(tables),
        request: (id) => requests.get(id),
      })
      for (const change of changes) apply(tables, requests, change)
      for (const record of audit) entries.push(chained(entries, record))
      version += 1
      return result
    },
    async noteRefusals(refusals) {
      const known = new Set(requests.keys())
      for (const refusal of refusals) requests.set(refusal.id, noted(requests, refusal))
      return [...requests.values()].filter(({ id }) => !known.has(id))
    },
    openRequests: async () => [...requests.values()].filter(({ state }) => state === 'open').length,
    requests: async ({ state }) =>
      [...requests.values()]
        .filter((request) => state === undefined || request.state === state)
        .toSorted((a, b) => b.lastAt - a.lastAt),
    async appendAudit(records) {
      for (const record of records) entries.push(chained(entries, record))
    },
    async *audit({ since = 0, after = 0 }) {
      yield* entries.filter(({ at, sequence }) => at >= since && sequence > after)
    },
    async secret(name) {
      const secret = secrets.get(name) ?? createHash('sha256').update(name).digest()
      secrets.set(name, secret)
      return secret
    },
    close: async () => undefined,
  }
}

function stateOf(tables: Tables): ControlState {
  return {
    rules: [...tables.rules.values()],
    users: [...tables.users.values()],
    tokens: [...tables.tokens.values()],
    approvals: [...tables.approvals.values()],
    frozenTags: [...tables.frozenTags.values()],
  }
}

function apply(tables: Tables, requests: Map<string, AccessRequest>, change: Change): void {
  switch (change.kind) {
    case 'put-rule':
      tables.rules.set(change.rule.id, change.rule)
      return
    case 'remove-rule':
      tables.rules.delete(change.id)
      return
    case 'put-user':
      tables.users.set(change.user.name, change.user)
      return
    case 'remove-user':
      tables.users.delete(change.name)
      return
    case 'put-token':
      tables.tokens.set(change.token.id, change.token)
      return
    case 'remove-token':
      tables.tokens.delete(change.id)
      return
    case 'put-approval':
      tables.approvals.set(contentKey(change.approval), change.approval)
      return
    case 'remove-approval':
      tables.approvals.delete(contentKey(change))
      return
    case 'put-frozen-tag':
      tables.frozenTags.set(tagKey(change.frozen), change.frozen)
      return
    case 'remove-frozen-tag':
      tables.frozenTags.delete(tagKey(change))
      return
    case 'settle-request': {
      const request = requests.get(change.id)
      if (request) requests.set(change.id, { ...request, state: change.state })
    }
  }
}

function contentKey(key: { upstream: string; repository: string; digest: string }): string {
  return `${key.upstream}/${key.repository}@${key.digest}`
}

function tagKey(key: { upstream: string; repository: string; tag: string }): string {
  return `${key.upstream}/${key.repository}:${key.tag}`
}

function noted(requests: ReadonlyMap<string, AccessRequest>, refusal: Refusal): AccessRequest {
  const known = requests.get(refusal.id)
  if (known === undefined) return { ...refusal, state: 'open' }
  return { ...known, count: known.count + refusal.count, lastAt: refusal.lastAt }
}

function chained(entries: readonly AuditEntry[], record: AuditRecord): AuditEntry {
  const previousHash = entries.at(-1)?.hash ?? '0'.repeat(64)
  const sequence = entries.length + 1
  const text = JSON.stringify([previousHash, sequence, record])
  return {
    ...record,
    sequence,
    previousHash,
    hash: createHash('sha256').update(text).digest('hex'),
  }
}
