/** Who is given a blob, from where, and with what proof that it may be. */
import { writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { ByteSource } from '../../src/byte-source.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { createGate } from '../fakes/gate.ts'
import { randomBlob } from '../fakes/images.ts'
import { until, within } from '../support/until.ts'
import {
  HOLDER,
  openBlobs,
  OTHER_HOLDER,
  STRANGER,
  type BlobsUnderTest,
} from './blobs-under-test.ts'
import { MIB, readFrom } from './fill-of.ts'
import { rejection, signal } from './fill-under-test.ts'

const bytes = Buffer.from(randomBlob(3 * MIB, 'blobs'))
const GONE = new UpstreamError('not-found', 'Upstream does not have it any more.')
const DENIED = { name: 'UpstreamError', reason: 'not-found' }
const NO_ROOM = { name: 'StorageError', code: 'full' }

async function readAll(source: ByteSource): Promise<string> {
  const read = await readFrom(source, 0, source.size)
  await source.close()
  expect(read.error).toBeUndefined()
  return digestOf(read.bytes)
}

async function passedThrough({ metrics }: BlobsUnderTest, why: string): Promise<number> {
  const { text } = await metrics.render()
  const [, count = '0'] =
    new RegExp(`pass\\w*_total\\{[^}]*"${why}"[^}]*\\} (\\d+)`).exec(text) ?? []
  return Number(count)
}

/** A download for the holder that was broken off after 2 MiB. */
async function openInterrupted(): Promise<BlobsUnderTest> {
  const it = await openBlobs({ bytes, script: [{ end: 2 * MIB, ending: GONE }] })
  const { source } = await it.blobs.get(HOLDER, it.digest)
  await it.fills.idle()
  await source.close()
  it.asked.length = 0
  return it
}

describe('what was left of a download for another repository', () => {
  it('is not given to one that upstream denies it, by whatever way', async () => {
    await using it = await openInterrupted()

    expect(await rejection(it.blobs.get(STRANGER, it.digest))).toMatchObject(DENIED)
    expect(await rejection(it.blobs.head(STRANGER, it.digest))).toMatchObject(DENIED)
    expect(await rejection(it.blobs.ensure(STRANGER, it.digest, signal))).toMatchObject(DENIED)

    expect(it.asked.filter((line) => line.includes('GET'))).toEqual([])
  })

  it('is not given to it through a download in the background either', async () => {
    await using it = await openInterrupted()

    const answers = [
      it.blobs.ensure(STRANGER, it.digest, signal),
      it.blobs.get(STRANGER, it.digest),
      it.blobs.head(STRANGER, it.digest),
    ]

    for (const failure of await Promise.all(answers.map(rejection))) {
      expect(failure).toMatchObject(DENIED)
    }
  })

  it('is gone on from for one that upstream lets have it', async () => {
    await using it = await openInterrupted()

    const { source } = await it.blobs.get(OTHER_HOLDER, it.digest)

    expect(await readAll(source)).toBe(it.digest)
    expect(it.asked).toEqual([`HEAD team/other`, `GET team/other ${2 * MIB}`])
  })

  it('costs no question for the one that it was for', async () => {
    await using it = await openInterrupted()

    const { source } = await it.blobs.get(HOLDER, it.digest)

    expect(await readAll(source)).toBe(it.digest)
    expect(it.asked).toEqual([`GET team/holder ${2 * MIB}`])
  })
})

describe('a repository that upstream denies a blob', () => {
  it('does not get it from a download that follows its own, of one that holds it', async () => {
    const gate = createGate()
    await using it = await openBlobs({ bytes, denial: () => gate.pass() })
    await it.content.catalog.contents.prove(HOLDER, [it.digest])
    const readers = () => it.fills.find('quay.io', it.digest)?.fill.readers()
    const first = rejection(it.blobs.get(STRANGER, it.digest))
    await gate.reached
    const holder = it.blobs.get(HOLDER, it.digest)
    await until(() => readers() === 2)
    const second = rejection(it.blobs.get(STRANGER, it.digest))
    await until(() => readers() === 3)

    gate.open()

    expect(await within(first)).toMatchObject(DENIED)
    expect(await within(second)).toMatchObject(DENIED)
    expect(await readAll((await holder).source)).toBe(it.digest)
  })

  it('does not fail the HEAD of one that holds it', async () => {
    const gate = createGate()
    await using it = await openBlobs({ bytes, denial: () => gate.pass() })
    await it.content.catalog.contents.prove(HOLDER, [it.digest])
    const refused = rejection(it.blobs.get(STRANGER, it.digest))
    await gate.reached
    const head = it.blobs.head(HOLDER, it.digest)

    gate.open()

    expect(await head).toEqual({ size: bytes.length, outcome: 'miss' })
    expect(await refused).toMatchObject(DENIED)
  })

  it('does not get what is stored', async () => {
    await using it = await openBlobs({ bytes })
    await it.blobs.ensure(HOLDER, it.digest, signal)

    expect(await rejection(it.blobs.get(STRANGER, it.digest))).toMatchObject(DENIED)
    expect(await rejection(it.blobs.head(STRANGER, it.digest))).toMatchObject(DENIED)
    expect(await rejection(it.blobs.ensure(STRANGER, it.digest, signal))).toMatchObject(DENIED)
    expect(it.inUse.has(it.digest)).toBe(false)
  })
})

describe('HEAD', () => {
  it('tells the size that a running download has told', async () => {
    const gate = createGate()
    await using it = await openBlobs({ bytes, script: [{ end: MIB, gate, ending: 'cut' }] })
    const { source } = await it.blobs.get(HOLDER, it.digest)

    expect(await it.blobs.head(HOLDER, it.digest)).toEqual({
      size: bytes.length,
      outcome: 'joined',
    })

    gate.open()
    await source.close()
    await it.fills.idle()
    expect(await it.blobs.head(HOLDER, it.digest)).toEqual({ size: bytes.length, outcome: 'hit' })
    expect(it.asked.filter((line) => line.startsWith('HEAD'))).toEqual([])
  })

  it('is told of an outage by the download that meets it', async () => {
    const gate = createGate()
    await using it = await openBlobs({ bytes, script: [{ refused: 'unavailable', gate }] })
    const answers = [rejection(it.blobs.get(HOLDER, it.digest))]
    await gate.reached
    let isWaiting = false
    const find = it.fills.find.bind(it.fills)
    it.fills.find = (...asked) => {
      isWaiting = true
      return find(...asked)
    }
    answers.push(rejection(it.blobs.head(HOLDER, it.digest)))
    await until(() => isWaiting)
    gate.open()

    for (const failure of await Promise.all(answers)) {
      expect(failure).toMatchObject({ reason: 'unavailable' })
    }
  })

  it('is an outage where upstream does not tell the size', async () => {
    await using it = await openBlobs({ bytes, headSize: undefined })

    expect(await rejection(it.blobs.head(HOLDER, it.digest))).toMatchObject({
      reason: 'unavailable',
    })
  })
})

describe('a blob for which the budget has no room', () => {
  it('goes to clients, is not stored, and is held by nobody afterwards', async () => {
    await using it = await openBlobs({ bytes, budget: MIB })

    const { source, outcome } = await it.blobs.get(HOLDER, it.digest)

    expect(outcome).toBe('miss')
    expect(await readAll(source)).toBe(it.digest)
    await it.fills.idle()
    expect(await it.content.store.size(it.digest)).toBeUndefined()
    expect(await passedThrough(it, 'budget')).toBe(1)
    expect(it.inUse.has(it.digest)).toBe(false)
  })

  it('is not fetched in the background, nor said to be stored', async () => {
    const gate = createGate()
    await using it = await openBlobs({ bytes, budget: MIB, script: [{ end: MIB, gate }] })
    expect(await rejection(it.blobs.ensure(HOLDER, it.digest, signal))).toMatchObject(NO_ROOM)
    expect(it.asked).toHaveLength(1)

    const { source } = await it.blobs.get(HOLDER, it.digest)
    const joined = it.blobs.ensure(HOLDER, it.digest, signal)
    gate.open()

    expect(await rejection(joined)).toMatchObject(NO_ROOM)
    await source.close()
  })
})

describe('a blob for which the disk has no room', () => {
  it('is passed on from upstream', async () => {
    await using it = await openBlobs({ bytes, minFree: Number.MAX_SAFE_INTEGER / 2 })

    const { source, outcome } = await it.blobs.get(HOLDER, it.digest)

    expect(outcome).toBe('bypass')
    expect(await readAll(source)).toBe(it.digest)
    expect(await passedThrough(it, 'disk')).toBe(1)
    expect(await rejection(it.blobs.head(HOLDER, it.digest))).toBeUndefined()
  })

  it('gets the room of what was begun and left', async () => {
    const needed = 1_000_000_000
    let free = needed
    await using it = await openBlobs({
      bytes,
      minFree: needed,
      content: ({ store, spool }) => ({
        store: { ...store, freeSpace: async () => free },
        spool: {
          ...spool,
          async sweep(maxAge) {
            if (maxAge === 0) free += bytes.length
            return bytes.length
          },
        },
      }),
    })

    const { source, outcome } = await it.blobs.get(HOLDER, it.digest)

    expect(outcome).toBe('miss')
    expect(await readAll(source)).toBe(it.digest)
    await it.fills.idle()
    expect(await it.content.store.size(it.digest)).toBe(bytes.length)
  })
})

describe('a catalog that fails', () => {
  it('costs a question, and neither the answer nor the stored file', async () => {
    const broken = () => Promise.reject(new StorageError('broken', 'The disk failed.'))
    await using it = await openBlobs({
      bytes,
      content: ({ catalog }) => ({
        catalog: {
          ...catalog,
          contents: { ...catalog.contents, prove: broken, isProven: broken, expectedSize: broken },
          blobs: { ...catalog.blobs, put: broken, size: broken },
        },
      }),
    })

    const { source } = await it.blobs.get(HOLDER, it.digest)
    expect(await readAll(source)).toBe(it.digest)
    await it.fills.idle()

    const again = await it.blobs.get(HOLDER, it.digest)
    expect(again.outcome).toBe('hit')
    expect(await readAll(again.source)).toBe(it.digest)
    expect(it.asked).toEqual(['GET team/holder 0', 'HEAD team/holder'])
  })

  it('in a way that is none of the disk gives the connection back', async () => {
    const wrong = () => Promise.reject(new Error('A mistake.'))
    await using it = await openBlobs({
      bytes,
      content: ({ catalog }) => ({
        catalog: { ...catalog, contents: { ...catalog.contents, prove: wrong } },
      }),
    })

    await expect(it.blobs.get(HOLDER, it.digest)).rejects.toThrow('A mistake.')
  })
})

describe('a stored file', () => {
  it('of another size than it had is reported, and fetched from upstream instead', async () => {
    await using it = await openBlobs({ bytes })
    await it.blobs.ensure(HOLDER, it.digest, signal)
    await writeFile(it.content.pathOf(it.digest), 'short')

    const { source, outcome } = await it.blobs.get(HOLDER, it.digest)

    expect(outcome).toBe('miss')
    expect(await readAll(source)).toBe(it.digest)
    expect(it.damaged).toEqual([it.digest])
  })

  it('that cannot be opened is held by nobody, and a mistake is no trouble of the disk', async () => {
    await using it = await openBlobs({
      bytes,
      content: ({ store }) => ({
        store: { ...store, open: () => Promise.reject(new Error('A mistake.')) },
      }),
    })

    await expect(it.blobs.get(HOLDER, it.digest)).rejects.toThrow('A mistake.')

    expect(it.inUse.has(it.digest)).toBe(false)
  })

  it('is held while it is read, and no longer', async () => {
    await using it = await openBlobs({ bytes })
    await it.blobs.ensure(HOLDER, it.digest, signal)
    expect(await it.blobs.ensure(HOLDER, it.digest, signal)).toBe('present')
    expect(it.inUse.has(it.digest)).toBe(false)

    const { source } = await it.blobs.get(HOLDER, it.digest)

    expect(it.inUse.has(it.digest)).toBe(true)
    await source.close()
    expect(it.inUse.has(it.digest)).toBe(false)
  })
})

it('who waits in the background and leaves does not end the download', async () => {
  const gate = createGate()
  await using it = await openBlobs({ bytes, script: [{ end: MIB, gate }] })
  const leaving = new AbortController()
  const waiting = rejection(it.blobs.ensure(HOLDER, it.digest, leaving.signal))
  await gate.reached

  leaving.abort(new Error('No longer needed.'))

  expect(await waiting).toMatchObject({ message: 'No longer needed.' })
  gate.open()
  await it.fills.idle()
  expect(await it.content.store.size(it.digest)).toBe(bytes.length)
})
