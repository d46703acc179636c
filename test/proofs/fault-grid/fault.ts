/** What a fault of the grid is, and in which phase of a pull it happens. */
import type { RawExchange } from '../../fakes/raw-registry.ts'
import { headText, type RawAnswer, type Step } from '../../fakes/raw-wire.ts'
import type { PlaceName } from './bad-places.ts'

export type Phase = 'token' | 'head' | 'manifest' | 'blob start' | 'mid-blob' | 'blob end'

export const PHASES: readonly Phase[] = [
  'token',
  'head',
  'manifest',
  'blob start',
  'mid-blob',
  'blob end',
]
/** Where something is sent that has a body. */
export const WITH_BODY = PHASES.filter((phase) => phase !== 'head')
export const OF_REGISTRY = PHASES.filter((phase) => phase !== 'token')
/** Where a download is continued. */
export const RESUMED: readonly Phase[] = ['mid-blob', 'blob end']

export interface FaultyExchange extends RawExchange {
  /** The byte of the healthy body at which the fault happens. */
  readonly at: number
  /** All bytes of the blob, of which `healthy` may be a part. */
  readonly whole: Uint8Array
  readonly places: Readonly<Record<PlaceName, string>>
  /** From now on every token of this repository is worthless. */
  revoke(): void
}

export interface Fault {
  readonly name: string
  readonly phases: readonly Phase[]
  /** Within a body, that may have begun well; else instead of an answer. */
  readonly within?: true
  /** Meets requests without a token too, which get a challenge otherwise. */
  readonly unauthorized?: true
  /** Whoever pulls gets what he wants all the same. */
  readonly harmless?: readonly Phase[]
  /** It asks for more patience than a test has: only a restart forgets it. */
  readonly restart?: true
  play(exchange: FaultyExchange): Iterable<Step>
}

/** An answer of this status; the body as JSON errors of registries are. */
export function status(code: number, headers: Readonly<Record<string, string>> = {}) {
  return (exchange: FaultyExchange): Step[] =>
    instead(exchange, { status: code, headers, body: '{"errors":[]}' })
}

export function redirectTo(place: PlaceName) {
  return (exchange: FaultyExchange): Step[] =>
    location(exchange, `${exchange.places[place]}${exchange.url.pathname}`)
}

export function location(exchange: FaultyExchange, to: string): Step[] {
  return instead(exchange, { status: 307, headers: { location: to }, body: '' })
}

interface Substitute {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

/** Another answer, with its true length. */
export function instead(
  { method }: FaultyExchange,
  { status: code = 200, headers = {}, body }: Substitute,
): Step[] {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const head = headText({
    status: code,
    headers: { 'content-length': String(bytes.length), ...headers },
  })
  return method === 'HEAD' ? [{ send: head }] : [{ send: head }, { send: bytes }]
}

/** The healthy answer with other headers; `null` takes one away. */
export function withHeaders(
  { healthy }: FaultyExchange,
  changes: Readonly<Record<string, string | null>>,
  code = healthy.status,
): RawAnswer {
  const headers = Object.entries({ ...healthy.headers, ...changes }).filter(
    (entry): entry is [string, string] => entry[1] !== null,
  )
  return { ...healthy, status: code, headers: Object.fromEntries(headers) }
}

/** The healthy answer up to the byte of the fault, and then something else. */
export function* until(
  exchange: FaultyExchange,
  then: Iterable<Step>,
  head: RawAnswer = exchange.healthy,
): Iterable<Step> {
  yield { send: headText(head) }
  yield { send: exchange.healthy.body.subarray(0, exchange.at) }
  yield* then
}

export function repeat(step: Step, pause?: number): Iterable<Step> {
  return {
    *[Symbol.iterator]() {
      for (;;) {
        yield step
        if (pause !== undefined) yield { pause }
      }
    },
  }
}
