/** Faults within a body that may have begun well. */
import { gzipSync } from 'node:zlib'
import { type RawAnswer, type Step, wholeAnswer } from '../../fakes/raw-wire.ts'
import {
  type Fault,
  type FaultyExchange,
  instead,
  type Phase,
  PHASES,
  repeat,
  RESUMED,
  until,
  WITH_BODY,
  withHeaders,
} from './fault.ts'

const CLOSE: Step = { end: 'close' }
const BLOB: readonly Phase[] = ['blob start', 'mid-blob', 'blob end']
const DOCUMENTS: readonly Phase[] = ['token', 'manifest']
const DRIP_MS = 50
const UNASKED = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong'
const ZEROS = new Uint8Array(64 * 1024)

export const BODY_FAULTS: readonly Fault[] = [
  within('reset', (exchange) => until(exchange, [{ pause: 5 }, { end: 'reset' }])),
  within('close', (exchange) => until(exchange, [CLOSE])),
  within('stall', (exchange) => until(exchange, [{ end: 'never' }])),
  within('one bit flipped', (exchange) => sent(exchange, flipped(exchange))),
  within('one byte lost', (exchange) => sent(exchange, without(exchange))),
  within('one byte inserted', (exchange) => sent(exchange, inserted(exchange))),
  within('zeros instead of the rest', (exchange) => sent(exchange, zeroed(exchange))),
  within('without end', (exchange) =>
    until(exchange, repeat({ send: ZEROS }), withHeaders(exchange, { 'content-length': null })),
  ),
  within('without end, and says a length', (exchange) =>
    until(
      exchange,
      repeat({ send: ZEROS }),
      withHeaders(exchange, { 'content-length': '1099511627776' }),
    ),
  ),
  within('chunks that end too early', (exchange) =>
    until(
      { ...exchange, at: 0 },
      [{ send: chunk(start(exchange)) }, { send: '0\r\n\r\n' }],
      chunked(exchange),
    ),
  ),
  within('chunks that are cut', (exchange) =>
    until({ ...exchange, at: 0 }, [{ send: chunk(start(exchange)) }, CLOSE], chunked(exchange)),
  ),
  within('chunks that are garbage', (exchange) =>
    until(
      { ...exchange, at: 0 },
      [{ send: chunk(start(exchange)) }, { send: 'zz\r\n' }, CLOSE],
      chunked(exchange),
    ),
  ),
  within('no length, cut', (exchange) =>
    until(exchange, [CLOSE], withHeaders(exchange, { 'content-length': null })),
  ),
  of(DOCUMENTS, 'byte by byte', (exchange) => until({ ...exchange, at: 0 }, dripped(exchange))),
  of(BLOB, 'slowly', (exchange) => until({ ...exchange, at: 0 }, slow(exchange)), BLOB),
  of(WITH_BODY, 'ten bytes less than announced', (exchange) => [...padded(exchange, 10), CLOSE]),
  of(WITH_BODY, 'ten bytes more than announced', (exchange) => [...padded(exchange, -10), CLOSE]),
  of(WITH_BODY, 'closed after the headers', (exchange) => until({ ...exchange, at: 0 }, [CLOSE])),
  of(WITH_BODY, 'labelled as gzip', (exchange) =>
    wholeAnswer(withHeaders(exchange, { 'content-encoding': 'gzip' }), 'GET'),
  ),
  of(BLOB, 'compressed', gzipped),
  of(['manifest'], 'compressed', gzipped, ['manifest']),
  of(
    WITH_BODY,
    'no length',
    (exchange) => [...wholeAnswer(withHeaders(exchange, { 'content-length': null }), 'GET'), CLOSE],
    WITH_BODY,
  ),
  of(
    WITH_BODY,
    'chunks',
    (exchange) =>
      until(
        { ...exchange, at: 0 },
        [{ send: chunk(exchange.healthy.body) }, { send: '0\r\n\r\n' }],
        chunked(exchange),
      ),
    WITH_BODY,
  ),
  of(
    PHASES,
    'another answer behind it',
    ({ healthy, method }) => [...wholeAnswer(healthy, method), { send: UNASKED }],
    PHASES,
  ),
  of(RESUMED, 'a range is ignored', (exchange) => whole(exchange), RESUMED),
]

function within(name: string, play: Fault['play']): Fault {
  return { name, phases: WITH_BODY, within: true, play }
}

function of(
  phases: readonly Phase[],
  name: string,
  play: Fault['play'],
  harmless?: readonly Phase[],
): Fault {
  return { name, phases, play, ...(harmless && { harmless }) }
}

/** Other bytes under the same headers; the connection ends, as their number may be wrong. */
function sent(exchange: FaultyExchange, body: Uint8Array): Step[] {
  return [...wholeAnswer({ ...exchange.healthy, body }, 'GET'), CLOSE]
}

function flipped({ healthy, at }: FaultyExchange): Uint8Array {
  return healthy.body.map((byte, index) => (index === at ? byte ^ 1 : byte))
}

function without({ healthy: { body }, at }: FaultyExchange): Uint8Array {
  return Buffer.concat([body.subarray(0, at), body.subarray(at + 1)])
}

function inserted({ healthy: { body }, at }: FaultyExchange): Uint8Array {
  return Buffer.concat([body.subarray(0, at), Buffer.from('!'), body.subarray(at)])
}

function zeroed({ healthy, at }: FaultyExchange): Uint8Array {
  return healthy.body.map((byte, index) => (index < at ? byte : 0))
}

function start({ healthy, at }: FaultyExchange): Uint8Array {
  return healthy.body.subarray(0, at)
}

function chunked(exchange: FaultyExchange): RawAnswer {
  return withHeaders(exchange, { 'content-length': null, 'transfer-encoding': 'chunked' })
}

/** A chunk of no bytes would be the last. */
function chunk(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return bytes
  const size = `${bytes.length.toString(16)}\r\n`
  return Buffer.concat([Buffer.from(size), bytes, Buffer.from('\r\n')])
}

function* dripped({ healthy }: FaultyExchange): Iterable<Step> {
  for (const byte of healthy.body) {
    yield { send: Uint8Array.of(byte) }
    yield { pause: DRIP_MS }
  }
}

const SLOW_PIECES = 10

/** Never silent for long, and whole in the end. */
function* slow({ healthy: { body } }: FaultyExchange): Iterable<Step> {
  const size = Math.ceil(body.length / SLOW_PIECES)
  for (let first = 0; first < body.length; first += size) {
    yield { pause: DRIP_MS }
    yield { send: body.subarray(first, first + size) }
  }
}

/** The announced length is not the true one by this much. */
function padded(exchange: FaultyExchange, bytes: number): Step[] {
  const length = String(Math.max(0, exchange.healthy.body.length + bytes))
  return wholeAnswer(withHeaders(exchange, { 'content-length': length }), 'GET')
}

function gzipped(exchange: FaultyExchange): Step[] {
  const body = gzipSync(exchange.healthy.body)
  const changes = { 'content-encoding': 'gzip', 'content-length': String(body.length) }
  return wholeAnswer({ ...withHeaders(exchange, changes), body }, 'GET')
}

function whole(exchange: FaultyExchange): Step[] {
  return instead(exchange, {
    headers: { 'content-type': 'application/octet-stream' },
    body: exchange.whole,
  })
}
