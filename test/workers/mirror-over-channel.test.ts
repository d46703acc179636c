/** The mirror of another process: what it answers, and what stays open there. */
import { mkdtemp, open, rm, unlink, writeFile, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ByteSource } from '../../src/byte-source.ts'
import type { Mirror } from '../../src/cache/mirror.ts'
import type { MirrorStatus } from '../../src/cache/status.ts'
import { parseDigest } from '../../src/oci/digest.ts'
import { parseRepository, parseTag } from '../../src/oci/reference.ts'
import { StorageError } from '../../src/storage-error.ts'
import { createChannel, type Channel } from '../../src/workers/channel.ts'
import { createMirrorClient } from '../../src/workers/mirror-client.ts'
import {
  createMirrorServer,
  type MirrorServer,
  MOST_READ,
} from '../../src/workers/mirror-server.ts'
import type { MirrorCalls } from '../../src/workers/protocol.ts'
import { createGate } from '../fakes/gate.ts'
import { randomBlob } from '../fakes/images.ts'
import { openFilesBelow } from '../support/leaks.ts'
import { until } from '../support/until.ts'
import { createPortPair } from './port-pair.ts'

const DIGEST = parseDigest(`sha256:${'ab'.repeat(32)}`)
const KEY = { upstream: 'docker.io', repository: parseRepository('library/app') }
const BYTES = Buffer.from(randomBlob(3 * MOST_READ + 17, 'over the channel'))
const { signal: NEVER } = new AbortController()

/** That side is called for nothing. */
interface Nothing {
  nothing?(): void
}

type WholeMirror = Mirror & { status(): Promise<MirrorStatus> }

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-channel-'))
})
afterAll(() => rm(folder, { recursive: true }))

interface Linked {
  readonly mirror: WholeMirror
  readonly server: MirrorServer
  /** As if the worker had died. */
  readonly die: () => Promise<void>
}

/** What the test does not define must not be called. */
function link(mirror: Partial<WholeMirror>, refresh = (): Promise<void> | undefined => undefined) {
  const { here, there } = createPortPair()
  const server = createMirrorServer({ mirror: mirror as WholeMirror, refresh })
  const serving = createChannel<Nothing, MirrorCalls>(there, server.handlers)
  const channel: Channel<MirrorCalls> = createChannel<MirrorCalls, Nothing>(here, {})
  const linked: Linked = {
    mirror: createMirrorClient({ channel, pid: process.pid, tagsVersion: () => 7 }),
    server,
    async die() {
      serving.close(new Error('The worker is gone.'))
      await server.close()
    },
  }
  return linked
}

interface Source extends ByteSource {
  closed: number
  /** Positions that were asked of it. */
  readonly reached: readonly number[]
  readonly read_: readonly number[]
}

/** In a file, or not; so many bytes of it are there. */
async function source({ inFile = true, isWhole = false, there = BYTES.length } = {}) {
  const path = join(folder, `${Math.random()}`)
  await writeFile(path, BYTES)
  const handle: FileHandle = await open(path)
  await unlink(path)
  const [reached, read]: [number[], number[]] = [[], []]
  const made = {
    closed: 0,
    reached,
    read_: read,
    size: BYTES.length,
    ...(inFile && {
      file: {
        descriptor: handle.fd,
        ...(isWhole && { isWhole }),
        async reach(position: number, length: number): Promise<number> {
          reached.push(position)
          return Math.max(0, Math.min(length, there - position))
        },
      },
    }),
    async read(buffer: Uint8Array, position: number): Promise<number> {
      read.push(position)
      const part = BYTES.subarray(position, position + buffer.length)
      buffer.set(part)
      return part.length
    },
    async close(): Promise<void> {
      made.closed += 1
      await handle.close()
    },
  } satisfies Source
  return made
}

async function readAll(lent: ByteSource, chunk = 100_000): Promise<Buffer> {
  const buffer = Buffer.alloc(chunk)
  const parts: Buffer[] = []
  for (let position = 0; ;) {
    const count = await lent.read(buffer, position, NEVER)
    if (count === 0) return Buffer.concat(parts)
    parts.push(Buffer.from(buffer.subarray(0, count)))
    position += count
  }
}

describe('a use-case', () => {
  it('that goes on for long ends when nobody waits for it any more', async () => {
    const gate = createGate()
    let told: AbortSignal | undefined
    const { mirror } = link({
      async ensureBlob(_key, _digest, signal) {
        told = signal
        await gate.pass()
        return 'stored'
      },
      blobProgress: async () => ({ bytes: 1, size: 2 }),
      confirmTag: async () => undefined,
      upstreamState: async () => undefined,
    })
    const stop = new AbortController()
    const stored = mirror.ensureBlob(KEY, DIGEST, stop.signal)
    await gate.reached
    expect(await mirror.blobProgress(KEY, DIGEST)).toEqual({ bytes: 1, size: 2 })
    expect(await mirror.confirmTag(KEY, parseTag('1'))).toBeUndefined()
    expect(await mirror.upstreamState('docker.io')).toBeUndefined()
    stop.abort(new Error('enough'))
    await expect(stored).rejects.toThrow('enough')
    await until(() => told?.aborted === true)
    gate.open()
    expect(await mirror.ensureBlob(KEY, DIGEST, NEVER)).toBe('stored')
  })

  it('gets its arguments and gives its answer as in the same process', async () => {
    const asked: unknown[][] = []
    const page = { tags: ['v1'], nextQuery: undefined, outcome: 'miss', staleBecause: undefined }
    const note =
      (answer: unknown) =>
      async (...args: unknown[]): Promise<never> => {
        asked.push(args)
        return answer as never
      }
    const { mirror } = link({
      tags: note(page),
      referrers: note('referrers'),
      repositories: note([KEY]),
      isOfAge: note(true),
      ready: note(undefined),
    })
    // Callers have more on their keys, which is not to be sent.
    const key = { ...KEY, more: () => undefined }
    expect(await mirror.tags(key, 'n=1')).toEqual(page)
    expect(await mirror.referrers(key, DIGEST, undefined, '')).toBe('referrers')
    expect(await mirror.repositories(undefined, 5)).toEqual([KEY])
    expect(await mirror.isOfAge(key, DIGEST, 10, 'blob')).toBe(true)
    expect(await mirror.ready()).toBeUndefined()
    expect(asked).toEqual([
      [KEY, 'n=1'],
      [KEY, DIGEST, undefined, ''],
      [undefined, 5],
      [KEY, DIGEST, 10, 'blob'],
      [],
    ])
    expect(mirror.tagsVersion()).toBe(7)
  })

  it('is judged by what counts there at that moment', async () => {
    const gate = createGate()
    const order: string[] = []
    const { mirror } = link(
      {
        blobHead: async () => (order.push('asked'), { size: 1, outcome: 'hit' }),
      },
      () => gate.pass().then(() => void order.push('refreshed')),
    )
    const head = mirror.blobHead(KEY, DIGEST)
    await gate.reached
    gate.open()
    await head
    expect(order).toEqual(['refreshed', 'asked'])
  })
})

describe('a blob', () => {
  it.each([
    ['from the file that the other process has open', {}],
    ['from a file of which all may be given out', { isWhole: true }],
    ['over the channel where there is no file', { inFile: false }],
    ['over the channel where the file has no more', { there: MOST_READ + 1 }],
  ])('has the same bytes %s', async (_how, options) => {
    const made = await source(options)
    const { mirror, server } = link({ blob: async () => ({ source: made, outcome: 'joined' }) })
    const answer = await mirror.blob(KEY, DIGEST)
    expect(answer).toMatchObject({ outcome: 'joined', source: { size: BYTES.length } })
    expect((await readAll(answer.source)).equals(BYTES)).toBe(true)
    await answer.source.close()
    await until(() => made.closed === 1 && server.lent() === 0)
  })

  it('in a whole file is read without asking', async () => {
    const made = await source({ isWhole: true })
    const { mirror } = link({ blob: async () => ({ source: made, outcome: 'hit' }) })
    const { source: lent } = await mirror.blob(KEY, DIGEST)
    expect(lent.file).toMatchObject({ isWhole: true })
    expect(await lent.file?.reach(BYTES.length - 5, 100, NEVER)).toBe(5)
    await readAll(lent)
    expect([made.reached, made.read_]).toEqual([[], []])
    await lent.close()
    await until(() => made.closed === 1)
  })

  it('is asked for its bytes once where the file does not have them', async () => {
    const made = await source({ there: 10 })
    const { mirror } = link({ blob: async () => ({ source: made, outcome: 'miss' }) })
    const { source: lent } = await mirror.blob(KEY, DIGEST)
    // As who sends from files does.
    expect(await lent.file?.reach(10, 100, NEVER)).toBe(0)
    expect(await lent.read(Buffer.alloc(100), 10, NEVER)).toBe(100)
    expect([made.reached, made.read_]).toEqual([[10], [10]])
    await lent.close()
    await until(() => made.closed === 1)
  })

  it('opens a file of its own, which it closes', async () => {
    const made = await source()
    const { mirror } = link({ blob: async () => ({ source: made, outcome: 'hit' }) })
    const { source: lent } = await mirror.blob(KEY, DIGEST)
    expect(lent.file?.descriptor).not.toBe(made.file?.descriptor)
    expect(await openFilesBelow(folder)).toHaveLength(2)
    await lent.close()
    await until(async () => (await openFilesBelow(folder)).length === 0)
  })

  it('throws there what it throws here', async () => {
    const made = await source({ inFile: false })
    made.read = async () => {
      throw new StorageError('damaged', 'Ask again.')
    }
    const { mirror } = link({ blob: async () => ({ source: made, outcome: 'hit' }) })
    const { source: lent } = await mirror.blob(KEY, DIGEST)
    const error: unknown = await lent.read(Buffer.alloc(5), 0, NEVER).catch((it: unknown) => it)
    expect(error).toBeInstanceOf(StorageError)
    expect(error).toMatchObject({ code: 'damaged' })
    await lent.close()
    await until(() => made.closed === 1)
  })

  it('is closed only when nothing of it is being read any more', async () => {
    const gate = createGate()
    const made = await source({ inFile: false })
    const aborted: boolean[] = []
    made.read = async (_buffer: Uint8Array, _position: number, signal?: AbortSignal) => {
      await gate.pass()
      aborted.push(signal?.aborted === true)
      return 0
    }
    const { mirror, server } = link({ blob: async () => ({ source: made, outcome: 'hit' }) })
    const { source: lent } = await mirror.blob(KEY, DIGEST)
    const leaving = new AbortController()
    const read = lent.read(Buffer.alloc(5), 0, leaving.signal)
    await gate.reached
    leaving.abort(new Error('The client left.'))
    await expect(read).rejects.toThrow('The client left.')
    await lent.close()
    // An answer that comes after the release has come.
    await mirror.repositories(undefined, 1).catch(() => undefined)
    expect([made.closed, server.lent()]).toEqual([0, 1])
    gate.open()
    await until(() => made.closed === 1 && server.lent() === 0)
    expect(aborted).toEqual([true])
  })
})

describe('a worker that dies', () => {
  it('leaves nothing open', async () => {
    const sources = [await source(), await source({ inFile: false })]
    let next = 0
    const { mirror, server, die } = link({
      blob: async () => ({ source: sources[next++] ?? (await source()), outcome: 'hit' }),
    })
    const lent = [await mirror.blob(KEY, DIGEST), await mirror.blob(KEY, DIGEST)]
    expect(server.lent()).toBe(2)
    await die()
    expect(sources.map(({ closed }) => closed)).toEqual([1, 1])
    for (const { source: open } of lent) await open.close()
  })

  it('leaves nothing open that was still being opened for it', async () => {
    const gate = createGate()
    const made = await source()
    const { mirror, server, die } = link({
      async blob() {
        await gate.pass()
        return { source: made, outcome: 'miss' }
      },
    })
    void mirror.blob(KEY, DIGEST)
    await gate.reached
    await die()
    gate.open()
    await until(() => made.closed === 1)
    expect(server.lent()).toBe(0)
  })

  it('ends what was waited for in its name', async () => {
    const made = await source({ inFile: false })
    const gate = createGate()
    let reason: unknown
    made.read = (_buffer: Uint8Array, _position: number, signal?: AbortSignal) =>
      new Promise((_, reject) => {
        void gate.pass()
        signal?.addEventListener('abort', () => {
          reason = signal.reason
          reject(signal.reason as Error)
        })
      })
    const { mirror, die } = link({ blob: async () => ({ source: made, outcome: 'miss' }) })
    const { source: lent } = await mirror.blob(KEY, DIGEST)
    void lent.read(Buffer.alloc(5), 0, NEVER)
    await gate.reached
    await die()
    expect(reason).toMatchObject({ message: 'The worker is gone.' })
    await until(() => made.closed === 1)
  })
})

it('every other use-case is asked of the main process, with nothing of the request but what it is about', async () => {
  const asked: unknown[] = []
  const use =
    (name: string) =>
    async (...args: unknown[]): Promise<never> => {
      asked.push([name, ...args])
      return { of: name } as never
    }
  const { mirror } = link({
    tags: use('tags'),
    referrers: use('referrers'),
    tagsLeadingTo: use('tagsLeadingTo'),
    isOfAge: use('isOfAge'),
    describe: use('describe'),
    repositories: use('repositories'),
    status: use('status'),
    scrub: use('scrub'),
    idle: use('idle'),
  })
  const key = { ...KEY, path: 'of the request' }
  const reference = { kind: 'digest', digest: DIGEST } as const
  const answers = [
    await mirror.tags(key, 'n=5'),
    await mirror.referrers(key, DIGEST, undefined, ''),
    await mirror.tagsLeadingTo(key, DIGEST),
    await mirror.isOfAge(key, DIGEST, 5, 'blob'),
    await mirror.describe(key, reference),
    await mirror.repositories(key, 3),
    await mirror.repositories(undefined, 3),
    await mirror.status(),
    await mirror.scrub(),
    await mirror.idle(),
  ]
  expect(asked).toEqual([
    ['tags', KEY, 'n=5'],
    ['referrers', KEY, DIGEST, undefined, ''],
    ['tagsLeadingTo', KEY, DIGEST],
    ['isOfAge', KEY, DIGEST, 5, 'blob'],
    ['describe', KEY, reference],
    ['repositories', KEY, 3],
    ['repositories', undefined, 3],
    ['status'],
    ['scrub'],
    ['idle'],
  ])
  expect(answers).toEqual(asked.map((call) => ({ of: (call as unknown[])[0] })))
  // It is closed where it was made.
  await mirror.close()
})
