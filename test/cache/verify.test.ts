import { describe, expect, it } from 'vitest'
import { checkStored, verifyAll, type VerifyProgress } from '../../src/cache/verify.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { cutOff, empty, extend, flipBit, vanish } from './rot.ts'
import { openStoredContent } from './stored-content.ts'

const { signal } = new AbortController()

describe('a stored file', () => {
  it('is sound with its own bytes, whatever its size', async () => {
    await using content = await openStoredContent()
    for (const size of [0, 1, 256 * 1024, 600 * 1024]) {
      const digest = await content.put('a', size, 1)
      let read = 0

      const onRead = (bytes: number) => void (read += bytes)
      expect(await checkStored(content, digest, { signal, onRead })).toBe('sound')
      expect(read).toBe(size)
    }
  })

  it.each([
    ['a flipped bit', flipBit],
    ['a byte less', cutOff],
    ['bytes more', extend],
    ['nothing left', empty],
  ])('is wrong with %s, with and without a row', async (_, rot) => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 300_000, 1)
    await rot(content, digest)

    expect(await checkStored(content, digest, { signal })).toBe('wrong')
    await content.catalog.blobs.remove(digest)
    expect(await checkStored(content, digest, { signal })).toBe('wrong')
  })

  it('is wrong when the catalog knows it by another size', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    await content.catalog.blobs.put({ digest, size: 99 }, 1)

    expect(await checkStored(content, digest, { signal })).toBe('wrong')
  })

  it('is wrong when it becomes shorter while it is read', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    const open: typeof content.store.open = async (which) => {
      const source = await content.store.open(which)
      await empty(content, which)
      return source
    }

    const store = { ...content.store, open }
    expect(await checkStored({ ...content, store }, digest, { signal })).toBe('wrong')
  })

  it('may be missing', async () => {
    await using content = await openStoredContent()

    expect(await checkStored(content, digestOf(Buffer.alloc(1)), { signal })).toBe('missing')
  })

  it('is unreadable when the disk says so; other trouble is not its own', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    const failing = (code: 'broken' | 'exhausted') => ({
      ...content.store,
      open: async () => {
        throw new StorageError(code, code)
      },
    })
    const size = async () => {
      throw new StorageError('broken', 'The catalog cannot be read.')
    }
    const catalog = { ...content.catalog, blobs: { ...content.catalog.blobs, size } }

    const check = (changed: object) => checkStored({ ...content, ...changed }, digest, { signal })
    expect(await check({ store: failing('broken') })).toBe('unreadable')
    await expect(check({ store: failing('exhausted') })).rejects.toThrow('exhausted')
    await expect(check({ catalog })).rejects.toThrow('The catalog cannot be read.')
  })

  it('is left as soon as nobody wants to know any more', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 600 * 1024, 1)
    const leaving = new AbortController()
    const onRead = () => leaving.abort(new Error('no more'))

    await expect(checkStored(content, digest, { signal: leaving.signal, onRead })).rejects.toThrow(
      'no more',
    )
  })
})

describe('verifying everything', () => {
  it('finds all that is damaged, tells how far it is, and changes nothing', async () => {
    await using content = await openStoredContent()
    const sound = await content.put('a', 1000, 1)
    const flipped = await content.put('b', 1000, 1)
    const gone = await content.put('c', 1000, 1)
    await flipBit(content, flipped)
    await vanish(content, gone)
    const told: VerifyProgress[] = []

    const report = await verifyAll({ ...content, signal, onProgress: (at) => told.push(at) })

    expect(report).toEqual({ checked: 2, bytes: 2000, damaged: [flipped] })
    expect(told).toEqual([
      { checked: 1, bytes: 1000 },
      { checked: 2, bytes: 2000 },
    ])
    expect(await content.store.size(flipped)).toBe(1000)
    expect(await content.store.size(sound)).toBe(1000)
  })

  it('leaves out what vanishes under way', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 1000, 1)
    const open = async () => undefined

    const store = { ...content.store, open }
    expect(await verifyAll({ ...content, store, signal })).toEqual({
      checked: 0,
      bytes: 0,
      damaged: [],
    })
    expect(await content.store.size(digest)).toBe(1000)
  })

  it('can be stopped', async () => {
    await using content = await openStoredContent()
    await content.put('a', 1000, 1)

    await expect(
      verifyAll({ ...content, signal: AbortSignal.abort(new Error('stopped')) }),
    ).rejects.toThrow('stopped')
  })
})
