/** A large blob over several real connections, from one endpoint and from two. */
import { once } from 'node:events'
import type { RequestListener, ServerResponse } from 'node:http'
import { afterEach, expect, it, vi } from 'vitest'
import { startFill } from '../../src/cache/fill.ts'
import { createSharedConnections } from '../../src/cache/shared-connections.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { randomBlob } from '../fakes/images.ts'
import { within } from '../support/until.ts'
import { createTestUpstream, REPOSITORY, serve } from '../upstream/loopback.ts'
import { createClock } from './divided-upstream.ts'
import { MIB, readFrom } from './fill-of.ts'
import { opened } from './fill-under-test.ts'
import { makeSpoolFolder, type SpoolFolder } from './spool-folder.ts'

const large = Buffer.from(randomBlob(100 * MIB + 54_321, 'on the wire'))
const digest = digestOf(large)
const PATIENCE = { deadlineMs: 20_000 }
const PIECE = 256 * 1024

afterEach(() => {
  vi.restoreAllMocks()
})

interface Origin {
  readonly listener: RequestListener
  sentBytes: number
  running: number
  /** Answers that were under way at a time. */
  most: number
}

/** @param dyingAt the byte of the blob before which it cuts every connection */
function createOrigin(dyingAt = Infinity): Origin {
  const origin: Origin = {
    sentBytes: 0,
    running: 0,
    most: 0,
    listener(request, response) {
      const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
      const first = Number(from)
      const last = to === '' ? large.length - 1 : Number(to)
      const isPart = request.headers.range !== undefined
      response.writeHead(isPart ? 206 : 200, {
        'Content-Length': last - first + 1,
        ...(isPart && { 'Content-Range': `bytes ${first}-${last}/${large.length}` }),
      })
      origin.running += 1
      origin.most = Math.max(origin.most, origin.running)
      response.on('close', () => (origin.running -= 1))
      void send(response, first, last + 1)
    },
  }

  async function send(response: ServerResponse, first: number, end: number): Promise<void> {
    for (let at = first; at < end && !response.destroyed; at += PIECE) {
      if (at <= dyingAt && dyingAt < at + PIECE) return void response.destroy()
      const piece = large.subarray(at, Math.min(end, at + PIECE))
      origin.sentBytes += piece.length
      if (!response.write(piece)) {
        await Promise.race([once(response, 'drain'), once(response, 'close')])
      }
    }
    response.end()
  }
  return origin
}

/** Lets a client read the blob, and each connection bring as much as the others. */
async function pull(folder: SpoolFolder, origins: readonly Origin[]): Promise<number> {
  const clock = createClock()
  let written = 0
  const servers = await Promise.all(origins.map(({ listener }) => serve(listener)))
  const { upstream } = createTestUpstream(servers.map(({ url }) => url))
  const shared = createSharedConnections(() => performance.now())
  shared.remember({ connections: 4, spread: origins.length > 1 })
  const fill = startFill({
    upstream: 'docker.io',
    digest,
    expectedSize: large.length,
    spool: folder.spool,
    connect: (window, signal) => upstream.getBlob(REPOSITORY, digest, window, signal),
    wrote(total) {
      const running = origins.reduce((sum, origin) => sum + origin.running, 0)
      // 50 MB/s on each connection.
      clock.advance((total - written) / 50_000 / Math.max(1, running))
      written = total
    },
    keep: (path) => folder.keep(path),
    division: {
      connections: 4,
      canSpread: origins.length > 1,
      shared,
      watchLoad: () => () => false,
    },
  })
  const source = await opened(fill)
  const { bytes } = await readFrom(source, 0, large.length)
  await source.close()
  expect(bytes.equals(large)).toBe(true)
  await within(fill.settled, PATIENCE)
  expect((await folder.kept()).map((kept) => digestOf(kept))).toEqual([digest])
  expect(await folder.leftovers()).toEqual([])
  return origins.reduce((sum, origin) => sum + origin.sentBytes, 0)
}

it('is asked for byte by byte once, over as many connections as are allowed', async () => {
  await using folder = await makeSpoolFolder()
  const origin = createOrigin()

  expect(await pull(folder, [origin])).toBe(large.length)

  expect(origin.most).toBeGreaterThan(1)
  expect(origin.most).toBeLessThanOrEqual(4)
})

it.each([3, 20, 40, 70])('goes on at %i MiB when its endpoint dies there', async (at) => {
  await using folder = await makeSpoolFolder()
  const dying = createOrigin(at * MIB)
  const other = createOrigin()

  const sent = await pull(folder, [dying, other])

  expect(other.sentBytes).toBeGreaterThan(0)
  // What was on the wire when a connection was cut is sent again.
  expect(sent).toBeLessThanOrEqual(large.length + 16 * MIB)
})
