/** Bodies by sendfile(2): not a byte other than those that reading would have sent. */
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { randomBlob } from '../fakes/images.ts'
import { openStream, request } from '../support/client.ts'
import { openDescriptors } from '../support/leaks.ts'
import { killAfter } from '../support/killed-client.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { until, within } from '../support/until.ts'
import { parseMultipart } from './multipart.ts'
import { readAnswers } from './raw-answers.ts'
import { serveFile } from './serve-file.ts'

const MIB = 1024 * 1024
/** More than the buffers of a connection hold, before its client has read anything. */
const LARGE = Buffer.from(randomBlob(24 * MIB, 'large'))
const BLOB = LARGE.subarray(0, 2 * MIB + 12_345)

describe('a body by sendfile', () => {
  it('has the bytes of the file, none of which were read', async () => {
    await using served = await serveFile({ bytes: BLOB })

    const { body, complete } = await request({ url: served.url, path: '/' })

    expect([complete, body.equals(BLOB)]).toEqual([true, true])
    await until(() => served.running() === 0)
    expect(served.direct.bytes).toBeGreaterThan(BLOB.length * 0.9)
    expect(served.ended).toEqual([{ sent: BLOB.length, cut: undefined }])
  })

  it('has those of any range', async () => {
    await using served = await serveFile({ bytes: BLOB })
    const ranges = fc
      .tuple(fc.nat({ max: BLOB.length - 1 }), fc.nat({ max: BLOB.length }))
      .map(([first, more]) => ({ first, last: Math.min(first + more, BLOB.length - 1) }))

    await fc.assert(
      fc.asyncProperty(ranges, async ({ first, last }) => {
        const headers = { range: `bytes=${first}-${last}` }
        const { body, complete } = await request({ url: served.url, path: '/', headers })
        expect([complete, body.equals(BLOB.subarray(first, last + 1))]).toEqual([true, true])
      }),
      { numRuns: 50 },
    )
    await until(() => served.running() === 0)
    expect(served.direct.bytes).toBeGreaterThan(0)
  })

  it('has those of several ranges, each behind its lines', async () => {
    await using served = await serveFile({ bytes: BLOB })
    const asked = [
      [900_000, 1_400_000],
      [5, 5],
      [0, 300_000],
      [BLOB.length - 70_000, BLOB.length - 1],
    ] as const
    const headers = { range: `bytes=${asked.map((range) => range.join('-')).join()}` }

    const answer = await request({ url: served.url, path: '/', headers })

    const parts = parseMultipart(answer.headers['content-type'], answer.body)
    expect(parts.map(({ first, last }) => [first, last])).toEqual(asked)
    const isRight = parts.map((it) => it.bytes.equals(BLOB.subarray(it.first, it.last + 1)))
    expect(isRight).toEqual([true, true, true, true])
    await until(() => served.running() === 0)
    expect(served.direct.bytes).toBeGreaterThan(800_000)
  })

  it('is written where little is asked for, in one piece with its head', async () => {
    await using served = await serveFile({ bytes: BLOB })

    const headers = { range: 'bytes=100-299' }
    const { body } = await request({ url: served.url, path: '/', headers })

    expect(body.equals(BLOB.subarray(100, 300))).toBe(true)
    await until(() => served.running() === 0)
    expect(served.direct).toEqual({ bytes: 0, full: 0 })
  })

  it('comes after its head, also where that has to wait', async () => {
    await using served = await serveFile({
      bytes: BLOB,
      before({ socket }) {
        socket?.cork()
        setImmediate(() => socket?.uncork())
      },
    })

    const { body, complete } = await request({ url: served.url, path: '/' })

    expect([complete, body.equals(BLOB)]).toEqual([true, true])
    await until(() => served.running() === 0)
    expect(served.direct.bytes).toBeGreaterThan(BLOB.length / 2)
  })

  it('comes by a socket file as well', async () => {
    await using served = await serveFile({ bytes: BLOB, socketName: 'socket' })

    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      get({ socketPath: served.url, agent: false }, resolve).once('error', reject)
    })

    expect((await bodyOf(incoming)).equals(BLOB)).toBe(true)
    await until(() => served.running() === 0)
    expect(served.direct.bytes).toBeGreaterThan(BLOB.length / 2)
  })

  it('is never what TLS would have to encrypt', async () => {
    await using authority = await createCertificateAuthority()
    const { key, certificate: cert } = await authority.issue()
    await using served = await serveFile({ bytes: BLOB, tls: { key, cert } })

    const { body } = await request({ url: served.url, path: '/', ca: authority.ca })

    expect(body.equals(BLOB)).toBe(true)
    expect(served.direct.bytes).toBe(0)
  })

  it('is read instead where the system refuses', async () => {
    const send = (): Promise<number> => Promise.reject(new Error('EINVAL'))
    await using served = await serveFile({ bytes: BLOB, sendfile: () => ({ send }) })

    const { body, complete } = await request({ url: served.url, path: '/' })

    expect([complete, body.equals(BLOB)]).toEqual([true, true])
  })

  it('is read where the source does not let it go', async () => {
    let asked = 0
    await using served = await serveFile({
      bytes: BLOB,
      changed: (source) => ({
        ...source,
        file: source.file && {
          ...source.file,
          // Every other megabyte, as of a download whose beginning is still in memory.
          reach: async (position, length) => {
            asked += 1
            return position % (2 * MIB) < MIB ? Math.min(length, MIB - (position % MIB)) : 0
          },
        },
      }),
    })

    const { body, complete } = await request({ url: served.url, path: '/' })

    expect([complete, body.equals(BLOB)]).toEqual([true, true])
    expect(asked).toBeGreaterThan(2)
    expect(served.direct.bytes).toBeLessThan(BLOB.length - MIB + 1)
  })
})

describe('a connection', () => {
  it('goes on with the next request after a body by sendfile', async () => {
    await using served = await serveFile({ bytes: BLOB })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ports = new Set<number | undefined>()
    try {
      for (let time = 0; time < 5; time += 1) {
        const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
          get(served.url, { agent }, resolve).once('error', reject)
        })
        ports.add(incoming.socket.localPort)
        expect((await bodyOf(incoming)).equals(BLOB)).toBe(true)
      }
    } finally {
      agent.destroy()
    }
    expect(ports.size).toBe(1)
  })

  it('ends after the body in HTTP/1.0', async () => {
    await using served = await serveFile({ bytes: BLOB })

    const send = 'GET / HTTP/1.0\r\n\r\n'
    const { text, closed } = await exchangeRaw({ url: served.url, send, deadlineMs: 10_000 })

    expect(closed).toBe(true)
    const [answer] = readAnswers(text, ['GET'])
    expect([answer?.status, answer?.body.equals(BLOB)]).toEqual([200, true])
    await until(() => served.running() === 0)
    expect(served.direct.bytes).toBeGreaterThan(BLOB.length / 2)
  })

  it('answers pipelined requests in their order, each with its bytes', async () => {
    const bytes = BLOB.subarray(0, 500_000)
    await using served = await serveFile({ bytes })
    const whole = { method: 'GET', range: undefined, expected: { status: 200, body: bytes } }
    const head = { method: 'HEAD', range: undefined, expected: { status: 200, body: NONE } }
    const part = {
      method: 'GET',
      range: '100000-300000',
      expected: { status: 206, body: bytes.subarray(100_000, 300_001) },
    }
    const small = {
      method: 'GET',
      range: '7-9',
      expected: { status: 206, body: bytes.subarray(7, 10) },
    }
    const kinds = fc.array(fc.constantFrom(whole, head, part, small), {
      minLength: 3,
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(kinds, async (asked) => {
        const requests = asked.map(({ method, range }, index) => {
          const last = index === asked.length - 1 ? 'Connection: close\r\n' : ''
          const ranged = range === undefined ? '' : `Range: bytes=${range}\r\n`
          return `${method} / HTTP/1.1\r\nHost: here\r\n${ranged}${last}\r\n`
        })
        const { text, closed } = await exchangeRaw({
          url: served.url,
          send: requests.join(''),
          deadlineMs: 10_000,
        })
        expect(closed).toBe(true)
        const answers = readAnswers(
          text,
          asked.map(({ method }) => method),
        )
        const isRight = answers.map(
          ({ status, body }, index) =>
            status === asked[index]?.expected.status && body.equals(asked[index].expected.body),
        )
        expect(isRight).toEqual(asked.map(() => true))
      }),
      { numRuns: 15 },
    )
    await until(() => served.running() === 0)
    expect(served.direct.bytes).toBeGreaterThan(0)
  })
})

describe('a client that reads slowly', () => {
  it('gets all of it, as it makes room', async () => {
    await using served = await serveFile({ bytes: LARGE })
    const stream = await openStream({ url: served.url, path: '/' })
    const parts: Buffer[] = []
    for (let full = 1; full <= 3; full += 1) {
      await until(() => served.direct.full >= full || served.running() === 0, {
        what: `the socket was full ${full} times`,
      })
      parts.push(await stream.read(6 * MIB))
    }
    parts.push(await stream.rest())

    expect(stream.complete).toBe(true)
    expect(Buffer.concat(parts).equals(LARGE)).toBe(true)
    await until(() => served.running() === 0)
    expect(served.direct.full).toBeGreaterThan(0)
    expect(served.direct.bytes).toBeGreaterThan(LARGE.length / 2)
  })

  it('costs a few kilobytes of memory while it waits', async () => {
    const lent: number[] = []
    await using served = await serveFile({
      bytes: LARGE,
      buffers: {
        lend: (use, most) => {
          lent.push(most ?? Infinity)
          return use(Buffer.alloc(Math.min(most ?? MIB, MIB)))
        },
      },
    })
    const stream = await openStream({ url: served.url, path: '/' })
    await until(() => served.direct.full > 0 && lent.length > 0)
    stream.abort()

    expect(Math.max(...lent)).toBeLessThanOrEqual(16 * 1024)
  })

  it('is given up when it does not read at all', async () => {
    await using served = await serveFile({ bytes: LARGE, timeout: 200 })
    const stream = await openStream({ url: served.url, path: '/' })

    await until(() => served.ended.length === 1, { deadlineMs: 10_000 })

    expect(served.ended[0]?.cut).toBeInstanceOf(Error)
    expect(served.ended[0]?.sent).toBeLessThan(LARGE.length)
    stream.abort()
  })

  it('is not given up while bytes go past the stream that the time is taken of', async () => {
    const timeout = 800
    const began = performance.now()
    await using served = await serveFile({
      bytes: LARGE,
      timeout,
      // As from a disk that takes a quarter of the time for each megabyte.
      sendfile: (system) => ({
        async send(...args) {
          const next = performance.now() + timeout / 4
          await until(() => performance.now() > next)
          return system.send(...args)
        },
      }),
      changed: (source) => ({
        ...source,
        file: source.file && {
          ...source.file,
          reach: async (_position, length) => Math.min(length, 3 * MIB),
        },
      }),
    })

    const { body, complete } = await request({ url: served.url, path: '/' })

    expect([complete, body.equals(LARGE)]).toEqual([true, true])
    expect(performance.now() - began).toBeGreaterThan(timeout)
  })
})

describe('an answer that ends early', () => {
  it('leaves nothing behind when clients are killed at any byte', async () => {
    await using served = await serveFile({ bytes: LARGE })
    await request({ url: served.url, path: '/' })
    const before = await openDescriptors()

    const wrong: number[] = []
    for (let kill = 0; kill < 200; kill += 10) {
      const points = Array.from({ length: 10 }, (_, index) => killPoint(kill + index))
      const killed = points.map(async (point) => {
        if (!(await killAfter({ url: served.url, path: '/', expected: LARGE }, point)))
          wrong.push(point)
      })
      await Promise.all(killed)
    }

    expect(wrong).toEqual([])
    await until(() => served.running() === 0, { what: 'all answers have ended' })
    const isAsBefore = async (): Promise<boolean> => (await openDescriptors()) <= before
    await until(isAsBefore, { what: 'as many descriptors are open as before' })
    expect(served.ended.filter(({ cut }) => cut !== undefined).length).toBeGreaterThan(100)
    expect((await request({ url: served.url, path: '/' })).body.equals(LARGE)).toBe(true)
  })

  it.each([
    ['by sendfile', {}],
    ['by reading', { sendfile: undefined }],
  ])('is over when its client goes before its turn has come, %s', async (_how, options) => {
    await using served = await serveFile({ bytes: LARGE, ...options })
    const { hostname, port } = new URL(served.url)
    const socket = connect({ host: hostname, port: Number(port) }).pause()
    socket.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n'.repeat(3))
    await until(() => served.running() === 3, { what: 'all three are under way' })

    socket.resetAndDestroy()

    await until(() => served.running() === 0, { what: 'all three have ended' })
    expect(served.ended.map(({ cut }) => cut instanceof Error)).toEqual([true, true, true])
  })

  it('is over when the server closes its connections', async () => {
    await using served = await serveFile({ bytes: LARGE })
    const stream = await openStream({ url: served.url, path: '/' })
    await until(() => served.direct.full > 0)

    served.server.closeAllConnections()

    await until(() => served.running() === 0)
    expect(served.ended[0]?.cut).toBeInstanceOf(Error)
    const rest = await stream.rest().catch(() => NONE)
    expect(rest.equals(LARGE.subarray(0, rest.length))).toBe(true)
    expect(stream.complete).toBe(false)
  })

  it('has sent what the socket has taken, though its client has left by then', async () => {
    let leave = async (): Promise<void> => undefined
    await using served = await serveFile({
      bytes: LARGE,
      sendfile: (system) => ({
        async send(...args) {
          const sent = await system.send(...args)
          await leave()
          return sent
        },
      }),
    })
    let isClosed = false
    served.server.once('connection', (socket) => socket.once('close', () => (isClosed = true)))
    leave = async () => {
      served.server.closeAllConnections()
      await until(() => isClosed, { what: 'the connection is closed' })
    }
    await request({ url: served.url, path: '/' }).catch(() => undefined)

    await until(() => served.running() === 0)
    expect(served.direct.bytes).toBeGreaterThan(0)
    expect(served.ended[0]?.sent).toBe(served.direct.bytes)
    expect(served.ended[0]?.cut).toBeInstanceOf(Error)
  })

  it('is cut where the file has become shorter', async () => {
    await using served = await serveFile({ bytes: LARGE })
    const stream = await openStream({ url: served.url, path: '/' })
    await until(() => served.direct.full > 0)

    const shorter = LARGE.length - MIB
    await served.shorten(shorter)
    const got = await within(
      stream.rest().catch(() => NONE),
      { deadlineMs: 10_000 },
    )

    await until(() => served.running() === 0)
    expect(stream.complete).toBe(false)
    expect(got.equals(LARGE.subarray(0, got.length))).toBe(true)
    expect(String(served.ended[0]?.cut)).toContain('shorter')
    expect(served.ended[0]?.sent).toBe(shorter)
  })
})

const NONE = Buffer.alloc(0)

/** Within the head, within the first bytes, or anywhere. */
function killPoint(kill: number): number {
  const anywhere = Math.floor(((kill * 2_654_435_761) % 2 ** 32) * (LARGE.length / 2 ** 32))
  return [1, 200 + kill, anywhere, anywhere][kill % 4] ?? anywhere
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
