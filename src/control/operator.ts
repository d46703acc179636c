/**
 * What an operator can see and change. Made for one caller, whose rights every method looks at. The API
 * and the commands are two faces of it; the commands also reach one over the network.
 */
import type { Grant, PrincipalKind } from '../access/principal.ts'
import type { Effect, Rule } from '../access/rule.ts'
import type {
  AccessRequest,
  ApprovalRecord,
  AuditEntry,
  FrozenTagRecord,
} from '../catalog/control-catalog.ts'
import type { Explanation } from './explain.ts'

/** Times are milliseconds since the epoch throughout. */

/** `overridden`: another rule, which denies all that this one allows, wins. */
type RuleStanding = 'in-force' | 'expired' | 'overridden'

export interface ListedRule extends Rule {
  readonly standing: RuleStanding
  /** The rule that wins, where this one is overridden. */
  readonly overriddenBy: string | undefined
  /** Of an image that was asked about: this rule decides. */
  readonly decides: boolean
}

export interface NewRule {
  readonly effect: Effect
  readonly pattern: string
  readonly reason?: string | undefined
  /** Default: the name of the caller. */
  readonly owner?: string | undefined
  readonly expiresAt?: number | undefined
  /** Milliseconds; for `allow` only. */
  readonly minAge?: number | undefined
}

/** `exact` the tag that was asked for, `repository` all of it, `pattern` what is given. */
export interface Approval {
  readonly as: 'exact' | 'repository' | 'pattern'
  readonly pattern?: string | undefined
  readonly expiresAt?: number | undefined
  readonly reason?: string | undefined
}

export interface ListedUser {
  readonly name: string
  /** Those of the htpasswd file can only be changed there. */
  readonly origin: 'file' | 'operator'
  readonly grants: readonly Grant[]
  readonly createdAt: number | undefined
}

export interface ListedToken {
  readonly id: string
  readonly name: string
  readonly grants: readonly Grant[]
  readonly owner: string
  readonly createdAt: number
  readonly expiresAt: number | undefined
}

export interface NewToken {
  readonly name: string
  readonly grants: readonly Grant[]
  readonly expiresAt?: number | undefined
}

/** The only time that the secret is told. */
export interface CreatedToken extends ListedToken {
  readonly token: string
}

/** An image as people write it: `docker.io/library/redis:7`, `quay.io/coreos/etcd@sha256:…`. */
type ImageName = string

/** Every method throws ControlError. */
export interface Operator {
  whoami(): Promise<{ kind: PrincipalKind; name: string; grants: readonly Grant[] }>

  /** @param filter an image: only the rules that are about it, and which of them decides */
  rules(filter: {
    effect?: Effect | undefined
    image?: ImageName | undefined
  }): Promise<ListedRule[]>
  addRule(rule: NewRule): Promise<ListedRule>
  /** @param id of the rule, or its pattern where that and the effect tell which is meant */
  removeRule(id: string, effect?: Effect): Promise<ListedRule>

  /** @param filter only those that are open unless it says otherwise */
  requests(filter: { state?: AccessRequest['state'] | 'all' | undefined }): Promise<AccessRequest[]>
  /** @returns the rule that lets it in */
  approveRequest(id: string, approval: Approval): Promise<ListedRule>
  dismissRequest(id: string, reason?: string): Promise<AccessRequest>

  explain(image: ImageName): Promise<Explanation>

  users(): Promise<ListedUser[]>
  addUser(user: { name: string; password: string; grants: readonly Grant[] }): Promise<ListedUser>
  setPassword(name: string, password: string): Promise<ListedUser>
  setGrants(name: string, grants: readonly Grant[]): Promise<ListedUser>
  removeUser(name: string): Promise<ListedUser>

  tokens(): Promise<ListedToken[]>
  addToken(token: NewToken): Promise<CreatedToken>
  removeToken(id: string): Promise<ListedToken>

  approvals(): Promise<ApprovalRecord[]>
  /** @param image with a digest: it is served although it is young */
  approveDigest(image: ImageName, reason?: string): Promise<ApprovalRecord>
  withdrawApproval(image: ImageName): Promise<ApprovalRecord>
  frozenTags(): Promise<FrozenTagRecord[]>
  /** @param image with a tag, and the digest that it is to mean: `docker.io/library/redis:7@sha256:…` */
  freezeTag(image: ImageName, reason?: string): Promise<FrozenTagRecord>
  unfreezeTag(image: ImageName): Promise<FrozenTagRecord>

  audit(filter: { since?: number | undefined }): AsyncIterable<AuditEntry>
}
