/** The knobs: what can be wrong with an upstream, for which requests, and how often. */
import type { Gate } from './gate.ts'
import type { Hold } from './wire.ts'

export type FakeRequestKind = 'ping' | 'manifest' | 'blob' | 'tags' | 'referrers' | 'token'

/** What is known of a request when a fault is looked for. */
export interface FakeRequest {
  readonly kind: FakeRequestKind
  readonly method: string
  readonly repository?: string | undefined
  /** Tag or digest. */
  readonly reference?: string | undefined
  /** Came with a `Range` header. */
  readonly ranged: boolean
}

/** Every member that is given must agree with the request. */
interface FaultMatch {
  readonly kind?: FakeRequestKind
  readonly method?: 'GET' | 'HEAD' | 'POST'
  readonly repository?: string
  readonly tag?: string
  readonly digest?: string
  readonly ranged?: boolean
}

/** Several at once are allowed; where they exclude each other, the one declared first here wins. */
export interface Faults {
  /** Nothing is answered, not even a status line, until this is over. */
  readonly delayHeaders?: Promise<unknown> | Gate
  /** The connection is reset instead of an answer; with `cutAfter`, in the middle of it. */
  readonly resetConnection?: boolean

  /** An answer of this status instead of the content, with an OCI error body unless `body` is given. */
  readonly status?: number
  /** A redirect: the URL, or what makes one from the request's URL. */
  readonly redirectTo?: string | ((url: URL) => string)
  /** 307 unless said otherwise. */
  readonly redirectStatus?: number
  /** A redirect to the very same URL. */
  readonly redirectLoop?: boolean
  /** 200 with a web page, as captive portals and login pages answer. */
  readonly html200?: boolean

  /** Header lines added to the answer, or put in the place of its own. */
  readonly headers?: Readonly<Record<string, string>>
  /** Replaces the body; the length is that of these bytes, the digest header stays what it was. */
  readonly body?: string | Uint8Array
  /** This byte of the content is not what it should be, in ranges too. */
  readonly wrongByteAt?: number
  readonly noDigestHeader?: boolean
  /** `true`: the digest of something else. */
  readonly wrongDigestHeader?: true | string
  /** `null`: no such header. */
  readonly contentType?: string | null
  /** Says `Content-Encoding: gzip` of bytes that are sent as they are. */
  readonly gzipLabel?: boolean
  /** Really compresses what it sends. */
  readonly gzip?: boolean
  /** 200 with everything in answer to a `Range` request. */
  readonly ignoreRange?: boolean
  /** A 206 that begins so many bytes after the one that was asked for, and says so. */
  readonly shiftRange?: number
  /** This `Content-Length`, true or not; the connection ends after the body. */
  readonly claimLength?: number
  /** No `Content-Length`: chunks, or a body that ends with the connection. */
  readonly noLength?: true | 'chunked' | 'close'
  /** The content, then zeros without end and without a length (unless `claimLength` gives one). */
  readonly endless?: boolean

  /** The connection is closed after so many bytes of this answer's body. */
  readonly cutAfter?: number
  /** The body stops after so many of its bytes until the gate opens. */
  readonly hold?: Hold | readonly Hold[]
  readonly bytesPerSecond?: number
}

export interface FaultRule extends Faults {
  readonly match?: FaultMatch
  /** To how many matching requests it happens; without it, to all. */
  readonly times?: number
  /** How many matching requests are spared before. */
  readonly after?: number
}

/** A fault that has been set. */
export interface FaultHandle {
  /** How often it has happened. */
  readonly happened: number
  remove(): void
}

/** Keeps the faults of one server. */
export interface FaultBook {
  add(rule: FaultRule): FaultHandle
  clear(): void
  /** Everything that is wrong for this request, a later rule before an earlier one. Counts. */
  take(request: FakeRequest): Faults
}

export function createFaultBook(): FaultBook {
  let entries: FaultEntry[] = []
  return {
    add(rule) {
      const entry: FaultEntry = { rule, matched: 0, happened: 0 }
      entries.push(entry)
      return {
        get happened() {
          return entry.happened
        },
        remove() {
          entries = entries.filter((other) => other !== entry)
        },
      }
    },
    clear() {
      entries = []
    },
    take(request) {
      return Object.assign({}, ...entries.map((entry) => takeEntry(entry, request))) as Faults
    },
  }
}

interface FaultEntry {
  readonly rule: FaultRule
  matched: number
  happened: number
}

function takeEntry(entry: FaultEntry, request: FakeRequest): Faults {
  const { match = {}, times = Infinity, after = 0, ...faults } = entry.rule
  if (!agrees(match, request)) return {}
  entry.matched += 1
  if (entry.matched <= after || entry.happened >= times) return {}
  entry.happened += 1
  return faults
}

function agrees(match: FaultMatch, request: FakeRequest): boolean {
  const { kind, method, repository, tag, digest, ranged } = match
  return (
    (kind === undefined || kind === request.kind) &&
    (method === undefined || method === request.method) &&
    (repository === undefined || repository === request.repository) &&
    (tag === undefined || tag === request.reference) &&
    (digest === undefined || digest === request.reference) &&
    (ranged === undefined || ranged === request.ranged)
  )
}
