/** Large bodies are read into memory that is used again: every byte right, whoever is slow or leaves. */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { createChunkReader } from '../../src/cache/chunk-reader.ts'
import { createLanding, type Landing } from '../../src/upstream/landing.ts'
import { createSlabs, slabs } from '../../src/upstream/slabs.ts'
import type { UpstreamBlob } from '../../src/upstream/upstream.ts'
import { randomBlob } from '../fakes/images.ts'
import { createCertificates, type Certificates } from './certificates.ts'
import { createTestUpstream, DIGEST, patience, REPOSITORY, serve, TAG, until } from './loopback.ts'
import { sendManifest } from './registry.ts'

const MIB = 1024 * 1024
const large = Buffer.from(randomBlob(12 * MIB, 'landing'))
const hashOfLarge = createHash('sha256').update(large).digest('hex')

function sendLarge(request: IncomingMessage, response: ServerResponse): void {
  if (request.url?.includes('/manifests/') === true) return sendManifest(response)
  response.writeHead(200, { 'Content-Length': large.length })
  response.end(large)
}

/** Lets each chunk go after some turns of the event loop, when it has been looked at once more. */
async function hashOf({ body }: UpstreamBlob, turns: (index: number) => number): Promise<string> {
  const chunks = createChunkReader(body)
  const hash = createHash('sha256')
  for (let index = 0; ; index += 1) {
    const chunk = await chunks.next()
    if (chunk === undefined) break
    for (let turn = turns(index); turn > 0; turn -= 1) await setImmediate()
    hash.update(chunk)
    slabs.release(chunk)
  }
  chunks.stop()
  return hash.digest('hex')
}

describe.each(['http', 'https'])('over %s', (protocol) => {
  let certificates: Certificates
  beforeAll(async () => {
    certificates = await createCertificates(['IP:127.0.0.1'])
  })

  async function start() {
    const tls = protocol === 'https' ? { tls: certificates } : {}
    const server = await serve(sendLarge, tls)
    return { server, ...createTestUpstream([server.url], { ca: certificates.ca }) }
  }

  test('several bodies at a time are right, for whoever is slow', async () => {
    const { upstream, seen } = await start()
    const blobs = await Promise.all(
      Array.from({ length: 5 }, () =>
        upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience()),
      ),
    )
    const hashes = await Promise.all(
      blobs.map((blob, reader) => hashOf(blob, (index) => (index * reader) % 7)),
    )
    expect(hashes).toEqual(blobs.map(() => hashOfLarge))
    expect(seen).toMatchObject({ bytes: 5 * large.length, failures: [] })
  })

  test('documents and bodies follow each other on one connection', async () => {
    const { server, upstream } = await start()
    for (let round = 0; round < 4; round += 1) {
      const { bytes } = await upstream.getManifest(REPOSITORY, TAG, patience())
      expect(Buffer.from(bytes).toString()).toBe('{}')
      // undici takes a connection back one turn later.
      await setImmediate()
      const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
      expect(await hashOf(blob, () => 0)).toBe(hashOfLarge)
      await setImmediate()
    }
    expect(server.connections()).toBe(1)
  })

  test('the memory is used again', async () => {
    const { upstream } = await start()
    const used = new Set<ArrayBufferLike>()
    let pieces = 0
    for (let round = 0; round < 4; round += 1) {
      const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
      const chunks = createChunkReader(blob.body)
      for (;;) {
        const chunk = await chunks.next()
        if (chunk === undefined) break
        if (chunk.buffer.byteLength === MIB) used.add(chunk.buffer)
        pieces += chunk.length
        slabs.release(chunk)
      }
    }
    expect(pieces).toBe(4 * large.length)
    // 48 MiB went through them.
    expect(used.size).toBeGreaterThan(0)
    expect(used.size).toBeLessThan(24)
  })

  test('who leaves at any byte leaves no connection, and disturbs nobody', async () => {
    const { server, upstream } = await start()
    const staying = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    const hash = hashOf(staying, (index) => index % 3)
    for (const most of [1, 70_000, 3 * MIB]) {
      const { body } = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
      const chunks = createChunkReader(body)
      for (let length = 0; length < most;) length += (await chunks.next())?.length ?? most
      body.destroy()
    }
    expect(await hash).toBe(hashOfLarge)
    await until(() => server.open() <= 1)
  })
})

test('who speaks before the connection is ready is not listened to', () => {
  const socket = new Socket()
  const landing = createLanding(createSlabs())
  expect(landing.onread.callback(4, Buffer.from('HTTP'))).toBe(false)
  expect(landing.opened(socket)).toBe(false)
  expect(createLanding(createSlabs()).opened(socket)).toBe(true)
  socket.destroy()
})

/** Where the next read of the connection goes. */
function placeIn({ onread }: Landing): Uint8Array {
  return typeof onread.buffer === 'function' ? onread.buffer() : onread.buffer
}

test('what begins an answer is in memory of its own, what keeps coming in a large buffer', () => {
  const pool = createSlabs()
  const landing = createLanding(pool)
  const socket = new Socket()
  let bytesWritten = 100
  Object.defineProperty(socket, 'bytesWritten', { get: () => bytesWritten })
  landing.opened(socket)
  const landed = (count: number): Buffer => {
    const place = placeIn(landing)
    landing.onread.callback(Math.min(count, place.length), place)
    return socket.read() as Buffer
  }
  const isPooled = ({ buffer }: Buffer): boolean => buffer.byteLength === MIB

  expect(isPooled(landed(64 * 1024))).toBe(false)
  expect(isPooled(landed(MIB))).toBe(true)
  bytesWritten = 200
  expect(isPooled(landed(100_000))).toBe(false)
  expect(isPooled(landed(100_000))).toBe(true)
  socket.destroy()
})

test('a connection that was closed has no buffer any more', async () => {
  const pool = createSlabs()
  const landing = createLanding(pool)
  const socket = new Socket()
  Object.defineProperty(socket, 'bytesWritten', { value: 1 })
  landing.opened(socket)
  landing.onread.callback(64 * 1024, placeIn(landing))
  landing.onread.callback(10, placeIn(landing))
  socket.read(64 * 1024)
  pool.release(socket.read() as Buffer)
  expect(pool.idleBytes()).toBe(0)
  socket.destroy()
  await until(() => pool.idleBytes() === MIB)
})

test('a body in parts of its own framing is right', async () => {
  const server = await serve((_, response) => {
    response.writeHead(200)
    for (let at = 0; at < large.length; at += 40_001)
      response.write(large.subarray(at, at + 40_001))
    response.end()
  })
  const { upstream } = createTestUpstream([server.url])
  const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
  expect(await hashOf(blob, (index) => index % 2)).toBe(hashOfLarge)
})
