/** What the cache asks of an upstream. The contract of every implementation. */
import type { Readable } from 'node:stream'
import type { UpstreamFailure } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference, Repository } from '../oci/reference.ts'

/** What upstream says of a manifest or blob without sending it. */
export interface UpstreamHead {
  /** `Docker-Content-Digest`; `undefined` when missing or of an algorithm that we do not know. */
  readonly digest: Digest | undefined
  /** `Content-Length` in bytes; `undefined` when missing. */
  readonly size: number | undefined
  /** As sent, parameters included. */
  readonly contentType: string | undefined
}

export interface UpstreamManifest extends UpstreamHead {
  /** Exactly as received; not verified. */
  readonly bytes: Uint8Array
}

/** A part of a blob: from `first` on, up to and including `last`, or to the end. */
export interface ByteWindow {
  readonly first: number
  readonly last?: number | undefined
  /**
   * Which of several requests for one blob at the same time it is, from 0 on: with different numbers
   * they go to different endpoints, where several are well. Without it, to the first that is.
   */
  readonly lane?: number | undefined
}

export interface UpstreamBlob {
  /**
   * Where in the blob `body` begins: the first byte that was asked for, or 0 where upstream ignores
   * ranges. The body ends with the window, or goes on to the end of the blob where ranges are ignored.
   */
  readonly offset: number
  /** Bytes of the whole blob as upstream says; `undefined` when it does not. */
  readonly size: number | undefined
  /** It is the whole blob, although a part was asked for. */
  readonly ignoresRange?: boolean
  /**
   * Raw bytes. Whoever receives it must read it to the end or destroy it; destroyed with an
   * `UpstreamError`, that counts as a failure of whoever sent it, so that others are asked next.
   */
  readonly body: Readable
  /** To be called when the bytes were not those of the digest: others are asked first for a while. */
  distrust(): void
}

/** How many counted pulls are left, over all accounts. `scarce`: only clients may spend what is left. */
export type PullBudget = 'ample' | 'scarce' | 'spent'

/** What upstream last said of the limit of one account; `undefined` members were not said. */
export interface AccountState {
  /** `anonymous`, or the place in the configuration, such as `credentials[0]`: never a name or secret. */
  readonly account: string
  readonly limit: number | undefined
  readonly remaining: number | undefined
  /** Seconds of the window that the limit is for. */
  readonly window: number | undefined
}

export interface EndpointState {
  /** Scheme and host. */
  readonly origin: string
  /** Milliseconds for which others are asked first; 0 when it is well. */
  readonly restsFor: number
}

/** For status pages. */
export interface UpstreamState {
  readonly offline: boolean
  readonly pullBudget: PullBudget
  readonly endpoints: readonly EndpointState[]
  readonly accounts: readonly AccountState[]
}

export interface UpstreamPage {
  readonly bytes: Uint8Array
  readonly contentType: string | undefined
  /** Query of the next page, without `?`, as upstream's `Link` has it. */
  readonly nextQuery: string | undefined
  /** `OCI-Filters-Applied`, for referrers. */
  readonly filtersApplied: string | undefined
}

/**
 * One upstream registry. Every method throws `UpstreamError` and nothing else, honours the signal,
 * tries the endpoints in order of their health, and does the token dance by itself.
 */
export interface Upstream {
  readonly name: string
  headManifest(
    repository: Repository,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<UpstreamHead>
  /** Reads at most MANIFEST_MAX_BYTES; more is `corrupt`. */
  getManifest(
    repository: Repository,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<UpstreamManifest>
  /** Falls back to a GET whose body is dropped where HEAD is refused (public.ecr.aws answers 401, others 405). */
  headBlob(repository: Repository, digest: Digest, signal: AbortSignal): Promise<UpstreamHead>
  getBlob(
    repository: Repository,
    digest: Digest,
    window: ByteWindow,
    signal: AbortSignal,
  ): Promise<UpstreamBlob>
  /** @param query of the request to upstream, without `?`: `n`, `last`, or what `nextQuery` said */
  getTags(repository: Repository, query: string, signal: AbortSignal): Promise<UpstreamPage>
  getReferrers(
    repository: Repository,
    digest: Digest,
    query: string,
    signal: AbortSignal,
  ): Promise<UpstreamPage>
  /** Known without asking. */
  state(): UpstreamState
  close(): Promise<void>
}

interface UpstreamErrorOptions {
  /** Seconds after which it may be asked again. */
  retryAfter?: number
  /** Upstream itself said so with `Retry-After`; nothing is asked before. */
  mustWait?: boolean
  /** What is in trouble: a limit is one of an account, all else of the endpoint, unless told. */
  blames?: 'endpoint' | 'account'
  cause?: unknown
}

/** An upstream could not do what was asked. Caught in `cache/`, which serves stale or translates it. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  readonly reason: UpstreamFailure
  readonly retryAfter: number | undefined
  readonly mustWait: boolean
  readonly blames: 'endpoint' | 'account'

  constructor(reason: UpstreamFailure, message: string, options: UpstreamErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.reason = reason
    this.retryAfter = options.retryAfter
    this.mustWait = options.mustWait ?? false
    this.blames = options.blames ?? (reason === 'rate-limited' ? 'account' : 'endpoint')
  }
}

/** Upstream has no such thing, or says so to us. */
export function isDenial(error: unknown): boolean {
  return error instanceof UpstreamError && DENIALS.has(error.reason)
}

const DENIALS: ReadonlySet<UpstreamFailure> = new Set(['not-found', 'unauthorized', 'forbidden'])
