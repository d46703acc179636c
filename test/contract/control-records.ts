/** Small decisions, refusals and notes to fill a catalog of operators with. */
import type {
  ApiTokenRecord,
  ApprovalRecord,
  AuditEntry,
  AuditRecord,
  Change,
  ControlCatalog,
  Decision,
  FrozenTagRecord,
  Refusal,
  RuleRecord,
  UserRecord,
} from '../../src/catalog/control-catalog.ts'
import { app, named, v1 } from './catalog-records.ts'

export interface ControlCatalogUnderTest extends AsyncDisposable {
  /** Opens the same data once more, as another process would; closed with all the rest. */
  open(): ControlCatalog
}

export const NOTHING = { rules: [], users: [], tokens: [], approvals: [], frozenTags: [] }

export function rule(id: string, rest: Partial<RuleRecord> = {}): RuleRecord {
  return {
    id,
    effect: 'allow',
    pattern: `docker.io/library/${id}`,
    origin: 'operator',
    reason: undefined,
    owner: 'alice',
    createdAt: 1000,
    expiresAt: undefined,
    minAge: 0,
    ...rest,
  }
}

export function user(name: string, rest: Partial<UserRecord> = {}): UserRecord {
  return {
    name,
    passwordHash: '$2b$10$hash',
    grants: [{ role: 'pull', pattern: '**' }],
    createdAt: 1000,
    passwordSetAt: 2000,
    ...rest,
  }
}

export function token(id: string, rest: Partial<ApiTokenRecord> = {}): ApiTokenRecord {
  return {
    id,
    name: 'ci',
    secretHash: 'ab'.repeat(32),
    grants: [
      { role: 'operate', pattern: 'docker.io/**' },
      { role: 'pull', pattern: 'quay.io/coreos/*' },
    ],
    owner: 'alice',
    createdAt: 1000,
    expiresAt: undefined,
    isFirst: false,
    ...rest,
  }
}

export function approval(name: string, rest: Partial<ApprovalRecord> = {}): ApprovalRecord {
  const common = { owner: 'alice', reason: undefined, createdAt: 1000 }
  return { ...app, digest: named(name), ...common, ...rest }
}

export function frozenTag(name: string, rest: Partial<FrozenTagRecord> = {}): FrozenTagRecord {
  return { ...approval(name), tag: v1, ...rest }
}

export function refusal(id: string, rest: Partial<Refusal> = {}): Refusal {
  return {
    id,
    user: undefined,
    address: '192.0.2.1',
    name: 'docker.io/library/redis',
    tag: '7',
    reason: 'rule',
    userAgent: 'docker/27',
    count: 1,
    firstAt: 1000,
    lastAt: 1000,
    ...rest,
  }
}

export function note(subject: string, rest: Partial<AuditRecord> = {}): AuditRecord {
  return {
    at: 1000,
    actor: 'user:alice',
    address: 'local',
    action: 'rule.add',
    subject,
    before: null,
    after: { pattern: subject },
    ...rest,
  }
}

/** A decision that does just this. */
export function decision(...changes: Change[]): Decision<undefined> {
  return { changes, audit: [], result: undefined }
}

export function make(catalog: ControlCatalog, ...changes: Change[]): Promise<undefined> {
  return catalog.change(() => decision(...changes))
}

export function putRule(...args: Parameters<typeof rule>): Change {
  return { kind: 'put-rule', rule: rule(...args) }
}

export async function auditOf(
  catalog: ControlCatalog,
  filter: Parameters<ControlCatalog['audit']>[0] = {},
): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = []
  for await (const entry of catalog.audit(filter)) entries.push(entry)
  return entries
}

export async function ruleIds(catalog: ControlCatalog): Promise<string[]> {
  return (await catalog.state()).rules.map(({ id }) => id)
}
