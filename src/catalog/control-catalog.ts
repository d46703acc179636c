/**
 * What operators have decided, who may do what, who asked in vain, and who changed what when. Kept apart
 * from what is known about the bytes, as none of it could be found again. Several processes may have it
 * open: a command beside the running mirror, and later several mirrors.
 */
import type { Grant } from '../access/principal.ts'
import type { Rule } from '../access/rule.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository, Tag } from '../oci/reference.ts'

/** Times are milliseconds since the epoch throughout. */

/** Operators' rules only; their `origin` is always `operator`. */
export type RuleRecord = Rule

export interface UserRecord {
  readonly name: string
  /** bcrypt. */
  readonly passwordHash: string
  readonly grants: readonly Grant[]
  readonly createdAt: number
  /** When the password was last set: what was proven before counts no more. */
  readonly passwordSetAt: number
}

/** A key of a robot. The secret itself is nowhere. */
export interface ApiTokenRecord {
  /** Public part of the token, by which it is found. */
  readonly id: string
  /** Name of the robot, for people. */
  readonly name: string
  /** SHA-256 of the secret part, as hex. */
  readonly secretHash: string
  readonly grants: readonly Grant[]
  readonly owner: string
  readonly createdAt: number
  readonly expiresAt: number | undefined
  /** Made at the first start, gone as soon as there is another admin. */
  readonly isFirst: boolean
}

export interface ContentKey {
  readonly upstream: string
  readonly repository: Repository
}

/** A digest that is served although it is on probation. */
export interface ApprovalRecord extends ContentKey {
  readonly digest: Digest
  readonly owner: string
  readonly reason: string | undefined
  readonly createdAt: number
}

/** A tag that means one digest here, whatever upstream says. */
export interface FrozenTagRecord extends ContentKey {
  readonly tag: Tag
  readonly digest: Digest
  readonly owner: string
  readonly reason: string | undefined
  readonly createdAt: number
}

/** Everything that decides about requests. */
export interface ControlState {
  readonly rules: readonly RuleRecord[]
  readonly users: readonly UserRecord[]
  readonly tokens: readonly ApiTokenRecord[]
  readonly approvals: readonly ApprovalRecord[]
  readonly frozenTags: readonly FrozenTagRecord[]
}

/** One refused name of one caller, however often it was refused. */
export interface AccessRequest {
  /** Told to the caller in the refusal. */
  readonly id: string
  /** Name of the user, `robot:<name>`; `undefined` for anonymous callers, who are known by their address. */
  readonly user: string | undefined
  readonly address: string
  /** `<upstream>/<repository>` */
  readonly name: string
  /** `undefined` when a digest or a list was asked for. */
  readonly tag: string | undefined
  /** What stood in the way: no rule admits it, or the caller has no right to it. */
  readonly reason: 'rule' | 'right'
  readonly userAgent: string | undefined
  readonly count: number
  readonly firstAt: number
  readonly lastAt: number
  readonly state: 'open' | 'approved' | 'dismissed'
}

/** A refusal that has just happened, or several alike. */
export type Refusal = Pick<
  AccessRequest,
  | 'id'
  | 'user'
  | 'address'
  | 'name'
  | 'tag'
  | 'reason'
  | 'userAgent'
  | 'count'
  | 'firstAt'
  | 'lastAt'
>

/** What an entry of the audit says; values without any secret. */
export interface AuditRecord {
  readonly at: number
  /** `user:alice`, `robot:ci`, `host:root`, `anonymous`, `file` for a changed configuration. */
  readonly actor: string
  /** Where from: an address, `local`. */
  readonly address: string
  /** `rule.add`, `user.remove`, `login.failed` … */
  readonly action: string
  /** What it is about: a pattern, a name, an id. */
  readonly subject: string
  readonly before: unknown
  readonly after: unknown
}

export interface AuditEntry extends AuditRecord {
  /** From 1, without gaps. */
  readonly sequence: number
  /** Hash of the entry before; 64 zeros for the first. */
  readonly previousHash: string
  /** SHA-256, as hex, over the one before and all fields of this one. */
  readonly hash: string
}

/** One step of a decision. A `put` replaces what has the same name or id. */
export type Change =
  | { readonly kind: 'put-rule'; readonly rule: RuleRecord }
  | { readonly kind: 'remove-rule'; readonly id: string }
  | { readonly kind: 'put-user'; readonly user: UserRecord }
  | { readonly kind: 'remove-user'; readonly name: string }
  | { readonly kind: 'put-token'; readonly token: ApiTokenRecord }
  | { readonly kind: 'remove-token'; readonly id: string }
  | { readonly kind: 'put-approval'; readonly approval: ApprovalRecord }
  | ({ readonly kind: 'remove-approval'; readonly digest: Digest } & ContentKey)
  | { readonly kind: 'put-frozen-tag'; readonly frozen: FrozenTagRecord }
  | ({ readonly kind: 'remove-frozen-tag'; readonly tag: Tag } & ContentKey)
  | {
      readonly kind: 'settle-request'
      readonly id: string
      readonly state: 'approved' | 'dismissed'
      readonly at: number
    }

/** What a decision is made on: the state inside the transaction that will write it. */
export interface DecisionContext {
  readonly state: ControlState
  request(id: string): AccessRequest | undefined
}

export interface Decision<T> {
  readonly changes: readonly Change[]
  /** Written in the same transaction: nothing is changed without it. */
  readonly audit: readonly AuditRecord[]
  readonly result: T
}

/** Most requests of one caller, and of all together, that are remembered. */
export const REQUESTS_PER_CALLER = 100
export const REQUESTS_IN_ALL = 10_000

/** Every asynchronous method throws StorageError, and `change` also what the decision throws. */
export interface ControlCatalog {
  /** Another number after every change by whatever process; cheap enough to ask for each request. */
  version(): number
  state(): Promise<ControlState>
  /** One at a time over all processes. Nothing is written when `decide`, which is pure, throws. */
  change<T>(decide: (context: DecisionContext) => Decision<T>): Promise<T>
  /**
   * Remembers refusals within the limits above: beyond its own limit a caller loses its oldest, beyond
   * that of all the caller with the most does. A dismissed one that is refused again is counted, and
   * stays so; an approved one, whose rule must have gone since, is open again. Does not change `version`.
   * @returns those that were not known before, or are open again
   */
  noteRefusals(refusals: readonly Refusal[]): Promise<AccessRequest[]>
  /** The newest first. */
  requests(filter: { readonly state?: AccessRequest['state'] }): Promise<AccessRequest[]>
  /** How many nobody has approved or dismissed. */
  openRequests(): Promise<number>
  /** For events that change nothing, such as failed logins. */
  appendAudit(records: readonly AuditRecord[]): Promise<void>
  /** In order, a page at a time, so that writers are not kept waiting. */
  audit(filter: { readonly since?: number; readonly after?: number }): AsyncIterable<AuditEntry>
  /** 32 random bytes that stay the same; made when they are first asked for. */
  secret(name: string): Promise<Buffer>
  close(): Promise<void>
}
