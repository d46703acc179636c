/** The operators' side of the mirror, put together: who may what at this moment, and how that changes. */
import type { Allowlist } from '../access/allowlist.ts'
import type { Grant, Principal } from '../access/principal.ts'
import type { Rule } from '../access/rule.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository, Tag } from '../oci/reference.ts'
import type { RoutingTable } from '../routing/resolve.ts'
import type { Operator } from './operator.ts'

/** Who asks, and from where. */
export interface Caller {
  readonly principal: Principal
  /** Of the client, behind trusted proxies; `local` for commands. */
  readonly address: string
}

/** What a request said of its sender. */
export interface Identity {
  readonly principal: Principal
  /**
   * `none` nothing was shown; `accepted` a password, an API token or one of our bearer tokens, which may
   * be that of nobody; `rejected` something of that kind that is wrong or foreign.
   */
  readonly credential: 'none' | 'accepted' | 'rejected'
  /** Seconds until a login is looked at again, where there were too many that failed. */
  readonly retryAfter: number | undefined
  /**
   * Milliseconds since the epoch until which the same credential means the same, as long as the policy of
   * the moment stays; 0: it has to be looked at each time.
   */
  readonly validUntil: number
}

export interface BearerToken {
  readonly token: string
  /** Seconds. */
  readonly expiresIn: number
  readonly issuedAt: Date
}

/** What counts for all requests at one moment. Replaced as a whole, never changed. */
export interface Policy {
  readonly routing: RoutingTable
  readonly allowlist: Allowlist
  /** Whoever shows nothing. */
  readonly anonymous: Principal
  /** Somebody may do what anonymous callers may not, so `/v2/` has to ask who it is. */
  readonly asksForLogin: boolean
  /** Anonymous callers may see metrics and status. */
  readonly anonymousStatus: boolean
  isApproved(key: ContentKey, digest: Digest): boolean
  frozenTo(key: ContentKey, tag: Tag): Digest | undefined
  readonly frozenDigests: readonly Digest[]
}

interface ContentKey {
  readonly upstream: string
  readonly repository: Repository
}

/** What the configuration says of all this; replaced when it is read again. */
export interface ControlSettings {
  readonly routing: RoutingTable
  /** Of the file, in its order. */
  readonly rules: readonly Rule[]
  /** Patterns of what everybody may pull without a name. */
  readonly anonymous: readonly string[]
  /** File of users; read again when it changes. */
  readonly htpasswd: string | undefined
  /** What users of that file may do; those that are not named may pull everything. */
  readonly fileGrants: ReadonlyMap<string, readonly Grant[]>
  /** Anonymous callers may see metrics and status. */
  readonly anonymousStatus: boolean
  /** Told of each new request for access. */
  readonly webhook: { readonly url: string; readonly secret: string } | undefined
  /**
   * @returns the pattern of a rule or grant, as it is kept
   * @throws {Error} with a sentence that begins behind the pattern: "has two stars …"
   */
  readonly checkPattern: (text: string) => string
}

/** A refused pull, for those who decide. */
export interface RefusedPull {
  /** `<upstream>/<repository>` */
  readonly name: string
  readonly tag: string | undefined
  readonly reason: 'rule' | 'right'
  readonly userAgent: string | undefined
}

export interface Control {
  /**
   * To be awaited before a request is judged. `undefined` when everything known is of this moment, which
   * costs next to nothing to find out.
   */
  refresh(): Promise<void> | undefined
  /** Whether `policy` is that of this moment, so that nobody needs to wait for `refresh`. */
  isCurrent(): boolean
  policy(): Policy
  /** @param authorization the header, as sent */
  identify(authorization: string | undefined, address: string): Promise<Identity>
  /** A token that says who it is, and nothing of what they may do. */
  issueToken(principal: Principal): Promise<BearerToken>
  /** @returns the id under which operators find it, at once: it is written a little later */
  noteRefusal(caller: Caller, pull: RefusedPull): string
  operator(caller: Caller): Operator
  /** Of what changes elsewhere: resolves when the audit has it. The caller's right was looked at before. */
  recordChange(
    caller: Caller,
    action: 'log.level',
    subject: string,
    change: { readonly before: unknown; readonly after: unknown },
  ): Promise<void>
  /** Takes over a configuration that was read again. */
  configure(settings: ControlSettings): Promise<void>
  /**
   * Makes a token for the first admin where there is no admin yet; those made before end.
   * @returns `undefined` when there is one
   */
  makeFirstAdminToken(): Promise<string | undefined>
  /** Resolves when everything that was noted is written. */
  idle(): Promise<void>
  close(): Promise<void>
}
