/** What is written down of each change: who, from where, what it was and what it is. Pure, and without secrets. */
import type { Principal } from '../access/principal.ts'
import type { Rule } from '../access/rule.ts'
import type { AuditRecord } from '../catalog/control-catalog.ts'
import type { Caller, ControlSettings } from './control.ts'

export type AuditAction =
  | 'rule.add'
  | 'rule.remove'
  | 'request.approve'
  | 'request.dismiss'
  | 'user.add'
  | 'user.password'
  | 'user.grants'
  | 'user.remove'
  | 'token.add'
  | 'token.remove'
  | 'content.approve'
  | 'content.withdraw'
  | 'tag.freeze'
  | 'tag.unfreeze'
  | 'config.changed'
  | 'log.level'
  | 'login.failed'
  | 'login.held-back'

/** Who decides, and when: milliseconds since the epoch. */
export interface Author {
  readonly caller: Caller
  readonly now: number
}

export function auditRecord(
  { caller, now }: Author,
  action: AuditAction,
  subject: string,
  { before = null, after = null }: { readonly before?: unknown; readonly after?: unknown } = {},
): AuditRecord {
  return {
    at: now,
    actor: actorName(caller.principal),
    address: caller.address,
    action,
    subject,
    before,
    after,
  }
}

/** `user:alice`, `robot:ci`, `host:root`, `anonymous`. */
export function actorName({ kind, name }: Principal): string {
  return kind === 'anonymous' ? 'anonymous' : `${kind}:${name}`
}

/** Of an operator's rule: what can be read in `list`, without what the subject says already. */
export function auditedRule({ id, effect, reason, owner, expiresAt, minAge }: Rule): unknown {
  return { id, effect, reason, owner, expiresAt, minAge }
}

/**
 * What a new configuration changes about who may what. Of rules only those that went and came, as a file
 * may have thousands; their order means nothing.
 * @returns `undefined` when nothing of the kind changed
 */
export function configChangedRecord(
  before: ControlSettings,
  after: ControlSettings,
  now: number,
): AuditRecord | undefined {
  const [was, is] = [rightsOf(before), rightsOf(after)]
  const changed = RIGHTS.filter((key) => JSON.stringify(was[key]) !== JSON.stringify(is[key]))
  const [wasRules, isRules] = [writtenRules(before), writtenRules(after)]
  const gone = [...wasRules].filter((rule) => !isRules.has(rule))
  const come = [...isRules].filter((rule) => !wasRules.has(rule))
  const rulesChanged = gone.length > 0 || come.length > 0
  if (changed.length === 0 && !rulesChanged) return undefined

  const told = (rights: Rights, rules: readonly string[]) => ({
    ...(rulesChanged && { rules }),
    ...Object.fromEntries(changed.map((key) => [key, rights[key]])),
  })
  return {
    at: now,
    actor: 'file',
    address: 'local',
    action: 'config.changed' satisfies AuditAction,
    subject: 'mirrors.yml',
    before: told(was, gone),
    after: told(is, come),
  }
}

/** The webhook is left out: its address may hold a secret, and it gives nobody a right. */
const RIGHTS = ['anonymous', 'anonymousStatus', 'grants', 'htpasswd'] as const

type Rights = Readonly<Record<(typeof RIGHTS)[number], unknown>>

function rightsOf(settings: ControlSettings): Rights {
  return {
    anonymous: settings.anonymous.toSorted(),
    anonymousStatus: settings.anonymousStatus,
    // Entries, as a name may be `__proto__`.
    grants: [...settings.fileGrants]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([user, grants]) => ({ user, grants })),
    htpasswd: settings.htpasswd ?? null,
  }
}

/** `deny docker.io/library/redis`, `allow quay.io/** after 86400 s`. */
function writtenRules({ rules }: ControlSettings): Set<string> {
  return new Set(
    rules.map(
      ({ effect, pattern, minAge }) =>
        `${effect} ${pattern}${minAge > 0 ? ` after ${minAge / 1000} s` : ''}`,
    ),
  )
}
