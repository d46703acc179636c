/**
 * Answers at once what was answered a moment ago to the very same request, in front of everything else:
 * hot manifests, tags, HEADs and small blobs. An answer is remembered only where the policy of the moment
 * alone had admitted it, and is given again only while that moment lasts: an edit of a rule, a right or a
 * user makes another moment, and with it all that was remembered is void.
 *
 * Through Hono a hot manifest costs 5 to 6 times as much CPU (bench/README.md, "Hot manifest").
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Mirror } from '../cache/mirror.ts'
import type { Control, Policy } from '../control/control.ts'
import { LRUCache } from '../lru.ts'
import type { Tracing } from '../tracing.ts'
import { forwardingOfRequest } from './forwarded.ts'
import { startRequestSpan } from './request-span.ts'
import {
  newRequestId,
  onceEnded,
  type EndedRequest,
  type RequestObserver,
  type RequestTrace,
} from './request-trace.ts'

export interface ShortPath {
  /**
   * Answers where everything about this very request is decided.
   * @returns whether it did; otherwise nothing was touched
   */
  answer(incoming: IncomingMessage, outgoing: ServerResponse): boolean
  /** To be taken before anything that an answer is made of is looked up. */
  snapshot(policy: Policy): Snapshot
  /**
   * To be asked before a body is read as a whole to be remembered. Clients may be slow to take it, and many.
   * @returns to be called when it has been sent; `undefined`: it is not to be read so
   */
  hold(bytes: number): (() => void) | undefined
  /** Remembers what this request is being answered. */
  remember(exchange: Exchange, answered: Answered, seen: Snapshot): void
}

/** A request that is being answered. */
interface Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly trace: RequestTrace
}

/** What an answer was made of. */
interface Snapshot {
  readonly policy: Policy
  readonly tagsVersion: number
}

/** A whole answer with status 200 that came from here. */
export interface Answered {
  /** In addition to those that are set on the response already. */
  readonly headers: Readonly<Record<string, string>>
  /** Names the body. */
  readonly digest: string
  /** `undefined` for HEAD. */
  readonly body: Uint8Array | undefined
  /** Milliseconds since the epoch until which the same would be found again; `Infinity`: always. */
  readonly freshUntil: number
  /** Milliseconds since the epoch until which the credential means the same. */
  readonly validUntil: number
}

interface Dependencies {
  readonly control: Pick<Control, 'isCurrent' | 'policy'>
  readonly mirror: Pick<Mirror, 'tagsVersion'>
  /** Bytes that may be remembered. */
  readonly memory: number
  /** Whether this peer is a proxy that is believed about whom it asks for. */
  readonly isTrustedProxy: (address: string | undefined) => boolean
  readonly observe: RequestObserver
  readonly tracing?: Tracing | undefined
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

/** An answer that is ready to be sent again. */
interface Prepared {
  readonly seen: Snapshot
  readonly since: number
  readonly until: number
  /** Names and values by turns, as Node takes them without looking at each. */
  readonly headers: readonly string[]
  /** Of the body; `undefined` for HEAD. */
  readonly digest: string | undefined
  readonly ended: (request: EndedRequest) => void
}

/** Larger bodies are sent from their files. */
export const MAX_REMEMBERED_BYTES = 1024 * 1024
/** Of all bodies that are held at a time: a burst of a thousand requests fits in one packet. */
const MAX_HELD_BYTES = 16 * 1024 * 1024
/**
 * A body of up to this is one write with its head when it is a string, which costs a tenth less, and lies
 * in the heap of JavaScript, of which it must not take much.
 */
const MAX_TEXT_BYTES = 4 * 1024
/** Milliseconds after which the long path is gone once more, which notes that the content is in use. */
const MAX_AGE = 30_000
/** However much memory there is: short bodies are kept in the heap of JavaScript, which has its own limit. */
const MAX_ANSWERS = 65_536
/** Bytes of memory that an answer takes besides its body, roughly. */
const ANSWER_BYTES = 4096
/** Characters of a request that is remembered: some of those bytes, and enough for all that clients ask. */
const MAX_KEY_LENGTH = 1024

/** @returns `undefined` where there is no memory for it */
export function createShortPath(dependencies: Dependencies): ShortPath | undefined {
  const { control, mirror, memory, isTrustedProxy, observe, tracing, now = Date.now } = dependencies
  const max = Math.min(MAX_ANSWERS, Math.floor(memory / 8 / ANSWER_BYTES))
  if (max === 0) return undefined
  const maxSize = memory - max * ANSWER_BYTES
  const maxEntrySize = Math.min(MAX_REMEMBERED_BYTES, maxSize)
  const answers = new LRUCache<string, Prepared>({ max })
  const bodies = new LRUCache<string, string | Uint8Array>({
    max,
    maxSize,
    // Of a body larger than all of it the library takes more off its sum than it had added.
    maxEntrySize,
    sizeCalculation: (body) => Math.max(1, body.length),
  })
  /** Of bodies that are read whole, or were not taken yet by all who are sent them. */
  let held = 0
  /** How many have not taken it yet: pushed out of memory, it stays there for them. */
  const unsent = new Map<Uint8Array, number>()

  /** Where that cannot be found out, the long path says what is wrong; here it would end the process. */
  function isCurrent(): boolean {
    try {
      return control.isCurrent()
    } catch {
      return false
    }
  }

  function holds({ seen, since, until }: Prepared): boolean {
    const time = now()
    return (
      since <= time &&
      time < until &&
      isCurrent() &&
      seen.policy === control.policy() &&
      seen.tagsVersion === mirror.tagsVersion()
    )
  }

  function answer(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    if (!isPlain(incoming)) return false
    const key = keyOf(incoming)
    const prepared = answers.get(key)
    if (prepared === undefined) return false
    const { digest } = prepared
    const body = digest === undefined ? '' : bodies.get(digest)
    if (body === undefined || !holds(prepared)) {
      answers.delete(key)
      return false
    }
    if (!mayWait(body)) return false
    send(incoming, outgoing, prepared, body)
    return true
  }

  function send(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    { headers, ended }: Prepared,
    body: string | Uint8Array,
  ): void {
    const started = performance.now()
    const span = tracing && startRequestSpan(tracing, incoming)
    const id = newRequestId()
    const client = forwardingOfRequest(incoming, isTrustedProxy).address
    outgoing.writeHead(200, [...headers, 'X-Request-Id', id])
    if (typeof body === 'string') outgoing.end(body, 'latin1')
    else outgoing.end(body)
    const userAgent = incoming.headers['user-agent']
    const tell = (isCut: boolean): void => ended({ id, client, userAgent, started, isCut, span })
    // The kernel has all of it: nothing that happens to the connection later is about this answer.
    if (outgoing.socket?.writableLength === 0) return tell(false)
    const letGo = keep(body)
    onceEnded(incoming, outgoing, (isCut) => {
      letGo()
      tell(isCut)
    })
  }

  /** What is short is not worth counting, and is copied by who sends it. */
  function mayWait(body: string | Uint8Array): boolean {
    return typeof body === 'string' || unsent.has(body) || held + body.length <= MAX_HELD_BYTES
  }

  function keep(body: string | Uint8Array): () => void {
    if (typeof body === 'string') return () => undefined
    const others = unsent.get(body) ?? 0
    if (others === 0) held += body.length
    unsent.set(body, others + 1)
    return () => {
      const left = (unsent.get(body) ?? 1) - 1
      if (left > 0) return void unsent.set(body, left)
      unsent.delete(body)
      held -= body.length
    }
  }

  function hold(bytes: number): (() => void) | undefined {
    if (bytes > maxEntrySize || held + bytes > MAX_HELD_BYTES) return undefined
    held += bytes
    return () => void (held -= bytes)
  }

  return {
    answer,
    hold,
    snapshot: (policy) => ({ policy, tagsVersion: mirror.tagsVersion() }),
    remember({ incoming, outgoing, trace: own }, answered, seen) {
      const { headers, digest, body, freshUntil, validUntil } = answered
      const time = now()
      const until = Math.min(freshUntil, validUntil, time + MAX_AGE)
      const key = keyOf(incoming)
      if (until <= time || !isPlain(incoming) || key.length > MAX_KEY_LENGTH) return
      // That is said of one connection, as where a client wanted to upgrade it.
      if (outgoing.hasHeader('Connection')) return
      if (body !== undefined) bodies.set(digest, textOf(body))
      const { id: _id, client: _client, ...trace } = own
      answers.set(key, {
        seen,
        since: time,
        until,
        headers: [...flat(outgoing.getHeaders()), ...Object.entries(headers).flat()],
        digest: body === undefined ? undefined : digest,
        ended: observe.prepare({
          ...trace,
          outcome: 'hit',
          bytes: body?.length ?? 0,
          method: incoming.method,
          status: 200,
        }),
      })
    },
  }
}

/** Not one that asks for less than the whole, or for something to happen before. */
function isPlain({ headers }: IncomingMessage): boolean {
  return (
    headers.range === undefined &&
    headers['if-none-match'] === undefined &&
    headers['if-range'] === undefined &&
    headers['prefer'] === undefined &&
    headers.expect === undefined
  )
}

/** All of a request that decides about its answer. No part of it can hold a line feed but the last. */
function keyOf({ method, url, headers }: IncomingMessage): string {
  const { host = '', authorization } = headers
  const credential = authorization === undefined ? '' : fingerprintOf(authorization)
  return `${method}\n${url}\n${host}\n${credential}`
}

const PROCESS_KEY = randomBytes(32)

/** Neither passwords nor tokens stay in memory for as long as answers do. */
function fingerprintOf(authorization: string): string {
  return createHmac('sha256', PROCESS_KEY).update(authorization).digest('base64')
}

function textOf(body: Uint8Array): string | Uint8Array {
  return body.length > MAX_TEXT_BYTES ? body : Buffer.from(body).toString('latin1')
}

/** Without those that each answer has of its own. */
function flat(headers: OutgoingHttpHeaders): string[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    name === 'x-request-id' || value === undefined ? [] : [name, String(value)],
  )
}
