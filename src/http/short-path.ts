/**
 * Answers at once what was answered a moment ago to the very same request, in front of everything else:
 * hot manifests, tags, HEADs and small blobs. An answer is remembered only where the policy of the moment
 * alone had admitted it, and is given again only while that moment lasts: an edit of a rule, a right or a
 * user makes another moment, and with it all that was remembered is void.
 *
 * Through Hono a hot manifest costs 5 to 6 times as much CPU (bench/README.md, "Hot manifest").
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Mirror } from '../cache/mirror.ts'
import type { Control, Policy } from '../control/control.ts'
import { LRUCache } from '../lru.ts'
import { forwardingOfRequest } from './forwarded.ts'
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
/** A body of up to this is one write with its head when it is a string; measured on Node 20 to 26. */
const MAX_TEXT_BYTES = 16 * 1024
/** Milliseconds after which the long path is gone once more, which notes that the content is in use. */
const MAX_AGE = 30_000
/** However much memory there is: short bodies are kept in the heap of JavaScript, which has its own limit. */
const MAX_ANSWERS = 65_536
/** Bytes of memory that an answer takes besides its body, roughly. */
const ANSWER_BYTES = 2048
/** Characters of a request that is remembered: some of those bytes, and enough for all that clients ask. */
const MAX_KEY_LENGTH = 1024

/** @returns `undefined` where there is no memory for it */
export function createShortPath(dependencies: Dependencies): ShortPath | undefined {
  const { control, mirror, memory, isTrustedProxy, observe, now = Date.now } = dependencies
  const max = Math.min(MAX_ANSWERS, Math.floor(memory / 8 / ANSWER_BYTES))
  if (max === 0) return undefined
  const maxSize = memory - max * ANSWER_BYTES
  const answers = new LRUCache<string, Prepared>({ max })
  const bodies = new LRUCache<string, string | Uint8Array>({
    max,
    maxSize,
    // Of a body larger than all of it the library takes more off its sum than it had added.
    maxEntrySize: Math.min(MAX_REMEMBERED_BYTES, maxSize),
    sizeCalculation: (body) => Math.max(1, body.length),
  })

  function holds({ seen, since, until }: Prepared): boolean {
    const time = now()
    return (
      since <= time &&
      time < until &&
      control.isCurrent() &&
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
    const id = newRequestId()
    const client = forwardingOfRequest(incoming, isTrustedProxy).address
    outgoing.writeHead(200, [...headers, 'X-Request-Id', id])
    if (typeof body === 'string') outgoing.end(body, 'latin1')
    else outgoing.end(body)
    const userAgent = incoming.headers['user-agent']
    const tell = (isCut: boolean): void => ended({ id, client, userAgent, started, isCut })
    // The kernel has all of it: nothing that happens to the connection later is about this answer.
    if (outgoing.socket?.writableLength === 0) tell(false)
    else onceEnded(incoming, outgoing, tell)
  }

  return {
    answer,
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
    headers.expect === undefined
  )
}

/** All of a request that decides about its answer. No part of it can hold a line feed but the last. */
function keyOf({ method, url, headers }: IncomingMessage): string {
  return `${method}\n${url}\n${headers.host ?? ''}\n${headers.authorization ?? ''}`
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
