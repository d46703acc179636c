/** Answers from memory on a connection with others before and behind them, and to clients that leave. */
import { connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createGate } from '../fakes/gate.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { until } from '../support/until.ts'
import {
  BLOB,
  BY_BLOB,
  BY_DIGEST,
  BY_TAG,
  blobOf,
  type HotMirror,
  linesOf,
  MANIFEST_DIGEST,
  MIB,
  openHotMirror,
  REPOSITORY,
  sha256,
} from './hot-mirror.ts'

const MALFORMED = `${REPOSITORY}/manifests/..`
const LONG = `${REPOSITORY}/manifests/long`
const LARGE = `${REPOSITORY}/blobs/${blobOf(MIB)}`

interface Exchange {
  readonly method: 'GET' | 'HEAD'
  readonly path: string
  /** Lines of the head. */
  readonly more?: string
  readonly status: number
  /** Of the body; `undefined` where there is none, or it does not matter. */
  readonly digest?: string
}

/** Hot ones, and ones that go the long way for several reasons. */
const EXCHANGES: readonly Exchange[] = [
  { method: 'GET', path: BY_TAG, status: 200, digest: MANIFEST_DIGEST },
  { method: 'GET', path: BY_BLOB, status: 200, digest: BLOB },
  { method: 'HEAD', path: BY_BLOB, status: 200 },
  { method: 'GET', path: BY_BLOB, more: 'Range: bytes=1-3\r\n', status: 206 },
  { method: 'GET', path: BY_DIGEST, status: 200, digest: MANIFEST_DIGEST },
  { method: 'GET', path: MALFORMED, status: 400 },
  { method: 'HEAD', path: BY_TAG, status: 200 },
  { method: 'GET', path: LONG, status: 200 },
  { method: 'GET', path: BY_TAG, more: 'If-None-Match: *\r\n', status: 304 },
  { method: 'GET', path: `${BY_TAG}?ns=docker.io`, status: 200, digest: MANIFEST_DIGEST },
]

describe('a burst of requests in one segment', () => {
  it('is answered in order, from memory and otherwise', async () => {
    await using mirror = await openHotMirror()
    for (const { path, method } of EXCHANGES) await mirror.ask(path, { method })
    const burst = Array.from({ length: 50 }, (_, at) => EXCHANGES[(at * 7) % EXCHANGES.length])
    const exchanges = burst.flatMap((it) => it ?? [])
    const calls = mirror.calls.length
    const { text } = await exchangeRaw({
      url: mirror.url,
      send: requestsOf(mirror, exchanges),
      enough: (it) => answersIn(it, exchanges).length === exchanges.length,
    })
    const answers = answersIn(text, exchanges)
    expect(answers.map(({ status }) => status)).toEqual(exchanges.map(({ status }) => status))
    const digests = exchanges.map(({ digest }, at) => digest && answers[at]?.digest)
    expect(digests).toEqual(exchanges.map(({ digest }) => digest))
    expect(answers.map(({ rest }) => rest).at(-1)).toBe('')
    // What was not from memory: parts, conditions, and what is malformed.
    expect(new Set(mirror.calls.slice(calls))).toEqual(
      new Set(['identify', 'GET v1', `GET ${BLOB}`]),
    )
    const lines = await linesOf(mirror, EXCHANGES.length + exchanges.length)
    expect(lines).toHaveLength(EXCHANGES.length + exchanges.length)
    expect(lines.filter(({ cut }) => cut === true)).toEqual([])
  })

  it('ends with the request that ends the connection', async () => {
    await using mirror = await openHotMirror()
    await mirror.ask(BY_TAG)
    const hot: Exchange = { method: 'GET', path: BY_TAG, status: 200 }
    const sent = requestsOf(mirror, [hot, { ...hot, more: 'Connection: close\r\n' }, hot])
    const { text, closed } = await exchangeRaw({ url: mirror.url, send: sent })
    expect([closed, text.match(/HTTP\/1\.1 200 /g)?.length]).toEqual([true, 2])
    expect((await linesOf(mirror, 3)).length).toBe(3)
  })

  it('gets nothing from memory behind a body, which may not be one', async () => {
    await using mirror = await openHotMirror()
    await mirror.ask(BY_TAG)
    const hot: Exchange = { method: 'GET', path: BY_TAG, status: 200 }
    const sent = requestsOf(mirror, [{ ...hot, more: 'Content-Length: 5\r\n' }, hot])
    const { text, closed } = await exchangeRaw({ url: mirror.url, send: sent })
    expect([closed, text.match(/HTTP\/1\.1 \d+/g)]).toEqual([true, ['HTTP/1.1 400']])
  })
})

describe('a client that leaves', () => {
  it('while its answer waits behind another one: that is in the log as cut, once', async () => {
    await using mirror = await openHotMirror()
    await mirror.ask(BY_TAG)
    const gate = createGate()
    onTestFinished(() => gate.open())
    mirror.state.gate = gate
    const { socket, closed } = await openSocket(mirror)
    const hot: Exchange = { method: 'GET', path: BY_TAG, status: 200 }
    socket.write(requestsOf(mirror, [{ ...hot, path: BY_DIGEST }, hot]))
    await gate.reached
    socket.destroy()
    await closed
    const lines = await linesOf(mirror, 3)
    gate.open()
    expect(lines.map(({ cut }) => cut)).toEqual([undefined, true, true])
    expect(lines.map(({ reference }) => reference)).toEqual(['v1', MANIFEST_DIGEST, 'v1'])
    // Whatever comes of the long way later is told to nobody.
    await mirror.ask(BY_TAG)
    expect(await linesOf(mirror, 4)).toHaveLength(4)
  })

  it('in the middle of a body: that is in the log as cut, and the others as they ended', async () => {
    await using mirror = await openHotMirror()
    await mirror.ask(LARGE)
    const { socket, closed } = await openSocket(mirror)
    const hot: Exchange = { method: 'GET', path: LARGE, status: 200 }
    socket.pause()
    socket.write(
      requestsOf(
        mirror,
        Array.from({ length: 30 }, () => hot),
      ),
    )
    await until(() => socket.readableLength > 0 || socket.bytesRead > 0, { what: 'bytes come' })
    socket.destroy()
    await closed
    await until(() => mirror.lines().some(({ cut }) => cut === true), { what: 'a line says cut' })
    expect(mirror.calls).toEqual(['identify', `GET ${sha256Of(LARGE)}`])
    // Nothing of it stays: what others ask for is whole.
    expect(sha256((await mirror.ask(LARGE)).body)).toBe(sha256Of(LARGE))
  })
})

const sha256Of = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

function requestsOf({ url }: HotMirror, exchanges: readonly Exchange[]): string {
  const { host } = new URL(url)
  return exchanges
    .map(
      ({ method, path, more = '' }) => `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`,
    )
    .join('')
}

interface Answer {
  readonly status: number
  readonly digest: string
  /** What follows it. */
  readonly rest: string
}

/** Those that are whole, in order. */
function answersIn(text: string, exchanges: readonly Exchange[]): Answer[] {
  const answers: Answer[] = []
  let rest = text
  for (const { method } of exchanges) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return answers
    const [, status = ''] = /^HTTP\/1\.1 (\d{3}) /.exec(rest) ?? []
    const [, length = '0'] = /\r\ncontent-length: (\d+)\r\n/i.exec(rest.slice(0, end + 2)) ?? []
    const bytes = method === 'HEAD' || status === '304' ? 0 : Number(length)
    const body = rest.slice(end + 4, end + 4 + bytes)
    if (body.length < bytes) return answers
    rest = rest.slice(end + 4 + bytes)
    answers.push({ status: Number(status), digest: sha256(Buffer.from(body, 'latin1')), rest })
  }
  return answers
}

async function openSocket({ url }: HotMirror): Promise<{ socket: Socket; closed: Promise<void> }> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  onTestFinished(() => void socket.destroy())
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => undefined)
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  return { socket, closed }
}
