import * as fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ByteSource } from '../../src/byte-source.ts'
import { createVerifiedMemory, verifySource } from '../../src/cache/verified-source.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { createGate } from '../fakes/gate.ts'

const HELD_BACK = 64 * 1024
const { signal } = new AbortController()

/** @param most bytes that one read gives: a read may be short without being at the end */
function sourceOf(bytes: Uint8Array, most = Infinity, size = bytes.length): ByteSource {
  return {
    size,
    async read(buffer, position) {
      const part = bytes.subarray(position, position + Math.min(buffer.length, most))
      buffer.set(part)
      return part.length
    },
    close: async () => undefined,
  }
}

interface Verified {
  readonly source: ByteSource
  readonly told: string[]
}

function verified(source: ByteSource, digest: Digest): Verified {
  const told: string[] = []
  return {
    told,
    source: verifySource(
      source,
      digest,
      () => told.push('damaged'),
      () => told.push('verified'),
    ),
  }
}

function randomBytes(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, at) => (at * 31 + (at >> 8)) & 0xff))
}

/** As sending does it; what it got before a failure is given to the callback. */
async function readAll(source: ByteSource, chunk: number, got: Buffer[] = []): Promise<Buffer> {
  for (let position = 0; position < source.size;) {
    const buffer = Buffer.alloc(chunk)
    const count = await source.read(buffer, position, signal)
    expect(count).toBeGreaterThan(0)
    got.push(buffer.subarray(0, count))
    position += count
  }
  return Buffer.concat(got)
}

describe('a stored file that is right', () => {
  it.each([1, 100, HELD_BACK - 1, HELD_BACK, HELD_BACK + 1, 3 * HELD_BACK + 17])(
    'of %i bytes is read as it is, and is verified once',
    async (size) => {
      const bytes = randomBytes(size)
      const { source, told } = verified(sourceOf(bytes), digestOf(bytes))

      expect((await readAll(source, 50_000)).equals(bytes)).toBe(true)
      expect(told).toEqual(['verified'])
      expect(await source.read(Buffer.alloc(10), size, signal)).toBe(0)
      expect((await readAll(source, 70_000)).equals(bytes)).toBe(true)
      expect(told).toEqual(['verified'])
    },
  )

  it('may be empty', async () => {
    const { source, told } = verified(sourceOf(Buffer.alloc(0)), digestOf(Buffer.alloc(0)))

    expect(await source.read(Buffer.alloc(10), 0, signal)).toBe(0)
    expect(told).toEqual(['verified'])
  })

  it('is named by any algorithm', async () => {
    const bytes = randomBytes(1000)
    const { source, told } = verified(sourceOf(bytes), digestOf(bytes, 'sha512'))

    expect((await readAll(source, 300)).equals(bytes)).toBe(true)
    expect(told).toEqual(['verified'])
  })

  it('is closed with what it was made of', async () => {
    let closed = 0
    const source = { ...sourceOf(Buffer.alloc(1)), close: async () => void (closed += 1) }

    await verified(source, digestOf(Buffer.alloc(1))).source.close()

    expect(closed).toBe(1)
  })
})

describe('a stored file with one wrong byte', () => {
  it('is never handed out whole, wherever the byte is and however it is read', async () => {
    const bytes = randomBytes(HELD_BACK + 5000)
    const digest = digestOf(bytes)
    const sizes = { min: 1, max: 100_000 }
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: bytes.length - 1 }),
        fc.integer({ min: 512, max: sizes.max }),
        fc.integer({ min: 512, max: sizes.max }),
        async (at, chunk, most) => {
          const rotten = Buffer.from(bytes)
          rotten.writeUInt8(rotten.readUInt8(at) ^ 1, at)
          const { source, told } = verified(sourceOf(rotten, most), digest)
          const got: Buffer[] = []

          await expect(readAll(source, chunk, got)).rejects.toMatchObject({
            name: 'StorageError',
            code: 'damaged',
          })

          expect(Buffer.concat(got)).toHaveLength(5000)
          expect(told).toEqual(['damaged'])
          await expect(source.read(Buffer.alloc(1), 0, signal)).rejects.toThrow(StorageError)
          expect(told).toEqual(['damaged'])
        },
      ),
      { numRuns: 60 },
    )
  })

  it('that became shorter is damaged too', async () => {
    const bytes = randomBytes(3 * HELD_BACK)
    for (const left of [100, 2 * HELD_BACK, 3 * HELD_BACK - 1]) {
      const truncated = sourceOf(bytes.subarray(0, left), Infinity, bytes.length)
      const { source, told } = verified(truncated, digestOf(bytes))

      await expect(readAll(source, 10_000)).rejects.toMatchObject({ code: 'damaged' })
      expect(told).toEqual(['damaged'])
    }
  })
})

describe('reads in another order', () => {
  const bytes = randomBytes(2 * HELD_BACK)
  const rotten = Buffer.from(bytes.map((byte) => byte ^ 0xff))

  it('pass as they are, and nothing is verified after that', async () => {
    const { source, told } = verified(sourceOf(rotten), digestOf(bytes))
    const buffer = Buffer.alloc(1000)

    expect(await source.read(buffer, 10, signal)).toBe(1000)
    expect(buffer.equals(rotten.subarray(10, 1010))).toBe(true)
    expect((await readAll(source, 50_000)).equals(rotten)).toBe(true)
    expect(told).toEqual([])
  })

  it('end the attempt also when they skip only a part', async () => {
    const { source, told } = verified(sourceOf(bytes), digestOf(bytes))
    await source.read(Buffer.alloc(1000), 0, signal)

    await source.read(Buffer.alloc(1000), 1001, signal)

    expect(await source.read(Buffer.alloc(2000), HELD_BACK + 5, signal)).toBe(2000)
    expect(told).toEqual([])
  })

  it('end the attempt also when two come at once', async () => {
    const gate = createGate()
    const plain = sourceOf(bytes)
    const slow: ByteSource = {
      ...plain,
      async read(...args) {
        await gate.pass()
        return plain.read(...args)
      },
    }
    const { source, told } = verified(slow, digestOf(bytes))
    const both = [0, 0].map(() => source.read(Buffer.alloc(1000), 0, signal))
    gate.open()

    expect(await Promise.all(both)).toEqual([1000, 1000])
    for (let position = 1000; position < bytes.length;) {
      position += await source.read(Buffer.alloc(50_000), position, signal)
    }
    expect(told).toEqual([])
  })

  it('are served after it was verified', async () => {
    const { source } = verified(sourceOf(bytes), digestOf(bytes))
    await readAll(source, 50_000)
    const buffer = Buffer.alloc(20)

    for (const position of [7, HELD_BACK - 10, HELD_BACK, bytes.length - 20]) {
      const count = await source.read(buffer, position, signal)
      const same = bytes.subarray(position, position + count)
      expect(buffer.subarray(0, count).equals(same)).toBe(true)
    }
  })
})

describe('the file that it lies in', () => {
  const bytes = randomBytes(2 * HELD_BACK)
  const fileOf = (of: Uint8Array) => ({
    ...sourceOf(of),
    file: {
      descriptor: 7,
      reach: async (position: number, length: number) => Math.min(length, of.length - position),
    },
  })

  it('is not for who reads it one after the other from the beginning', async () => {
    const { source, told } = verified(fileOf(bytes), digestOf(bytes))
    for (let position = 0; position < bytes.length;) {
      expect(await source.file?.reach(position, 1000, signal)).toBe(0)
      position += await source.read(Buffer.alloc(50_000), position, signal)
    }
    expect(told).toEqual(['verified'])
    expect(await source.file?.reach(0, 1000, signal)).toBe(0)
  })

  it('is for who begins elsewhere, and nothing is verified after that', async () => {
    const { source, told } = verified(fileOf(bytes), digestOf(bytes))

    expect(source.file?.descriptor).toBe(7)
    expect(await source.file?.reach(1000, 500, signal)).toBe(500)
    expect(await source.file?.reach(0, 100_000, signal)).toBe(100_000)

    expect((await readAll(source, 50_000)).equals(bytes)).toBe(true)
    expect(told).toEqual([])
  })

  it('is not for anybody once it is known to be damaged', async () => {
    const { source } = verified(fileOf(bytes), digestOf(randomBytes(5)))
    await expect(readAll(source, 50_000)).rejects.toMatchObject({ code: 'damaged' })

    expect(await source.file?.reach(1000, 500, signal)).toBe(0)
  })

  it('may be unknown', () => {
    expect(verified(sourceOf(bytes), digestOf(bytes)).source.file).toBeUndefined()
  })
})

describe('a disk that cannot read the file', () => {
  it('is damage, whatever was asked for', async () => {
    for (const position of [0, 5]) {
      const read = async () => {
        throw new StorageError('broken', 'The disk failed.')
      }
      const { source, told } = verified(
        { ...sourceOf(Buffer.alloc(100)), read },
        digestOf(Buffer.alloc(100)),
      )

      await expect(source.read(Buffer.alloc(1), position, signal)).rejects.toThrow(
        'The disk failed.',
      )
      expect(told).toEqual(['damaged'])
    }
  })

  it('is told once, also when several reads meet it', async () => {
    const gate = createGate()
    const read = async () => {
      await gate.pass()
      throw new StorageError('broken', 'The disk failed.')
    }
    const bytes = Buffer.alloc(100)
    const { source, told } = verified({ ...sourceOf(bytes), read }, digestOf(bytes))
    const all = [0, 50].map((position) => source.read(Buffer.alloc(1), position, signal))
    gate.open()

    await Promise.allSettled(all)
    expect(told).toEqual(['damaged'])
  })

  it('is none where it was only too busy, or the client has left', async () => {
    const failures = [
      new StorageError('exhausted', 'Too many files.'),
      new Error('The client left.'),
    ]
    for (const failure of failures) {
      const read = async () => {
        throw failure
      }
      const { source, told } = verified(
        { ...sourceOf(Buffer.alloc(100)), read },
        digestOf(Buffer.alloc(100)),
      )

      await expect(source.read(Buffer.alloc(1), 0, signal)).rejects.toBe(failure)
      expect(told).toEqual([])
    }
  })
})

describe('the memory of what was verified', () => {
  const [one, two, three] = ['1', '2', '3'].map((text) => digestOf(Buffer.from(text))) as [
    Digest,
    Digest,
    Digest,
  ]

  afterEach(() => {
    vi.restoreAllMocks()
    vi.useRealTimers()
  })

  it('knows what was added, until it is forgotten', () => {
    const memory = createVerifiedMemory({ max: 10, ttl: 1000 })
    memory.add(one)

    expect([memory.has(one), memory.has(two)]).toEqual([true, false])
    memory.forget(one)
    expect(memory.has(one)).toBe(false)
  })

  it('is bounded: the longest unused is forgotten first', () => {
    const memory = createVerifiedMemory({ max: 2, ttl: 1000 })
    memory.add(one)
    memory.add(two)
    memory.has(one)
    memory.add(three)

    expect([one, two, three].map((digest) => memory.has(digest))).toEqual([true, false, true])
  })

  it('does not last for ever', () => {
    // The memory reads this clock, and keeps what it read until a timer of 1 ms fires.
    let elapsed = 1
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    vi.spyOn(performance, 'now').mockImplementation(() => elapsed)
    const memory = createVerifiedMemory({ max: 2, ttl: 1000 })
    memory.add(one)

    elapsed += 1000
    vi.advanceTimersByTime(1)
    expect(memory.has(one)).toBe(true)
    elapsed += 1
    vi.advanceTimersByTime(1)
    expect(memory.has(one)).toBe(false)
  })
})
