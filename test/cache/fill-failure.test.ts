import { describe, expect, it } from 'vitest'
import type { Spool } from '../../src/cache/spool.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { UpstreamError, type ByteWindow } from '../../src/upstream/upstream.ts'
import { createGate } from '../fakes/gate.ts'
import { within } from '../support/until.ts'
import { blob, KIB, opened, readToEnd, rejection, signal, start } from './fill-under-test.ts'
import { makeSpoolFolder } from './spool-folder.ts'

describe('a fill that is aborted', () => {
  const reason = new Error('The mirror is shutting down.')

  it('while it connects ends with the reason', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const connect = (_: ByteWindow, aborted: AbortSignal) =>
      new Promise<never>((_, reject) => {
        aborted.addEventListener('abort', () => reject(new Error('ABORT_ERR')))
        void gate.pass()
      })
    const { fill } = start(folder, [], { connect })
    const opening = rejection(fill.open())
    await gate.reached

    fill.abort(reason)

    await expect(within(fill.settled)).rejects.toBe(reason)
    expect(await opening).toBe(reason)
    expect(await folder.leftovers()).toEqual([])
  })

  it('while bytes come ends with the reason, for its readers too', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill, upstream } = start(folder, [{ end: 1000, gate, ending: 'cut' }])
    const source = await opened(fill)
    await gate.reached
    const waiting = rejection(source.read(Buffer.alloc(1), 1000, signal))

    fill.abort(reason)

    await expect(within(fill.settled)).rejects.toBe(reason)
    expect(await waiting).toBe(reason)
    await source.close()
    expect(upstream.offsets).toEqual([0])
    expect(await folder.leftovers()).toEqual([])
  })

  it('while it pauses before the next connection ends with the reason', async () => {
    await using folder = await makeSpoolFolder()
    const cut = new UpstreamError('unavailable', 'Cut.')
    const { fill, upstream } = start(folder, [{ end: 1000, ending: cut }])
    Object.defineProperty(cut, 'reason', {
      get: () => {
        fill.abort(reason)
        return 'unavailable'
      },
    })

    await expect(within(fill.settled)).rejects.toBe(reason)

    expect(upstream.offsets).toEqual([0])
    expect(await folder.leftovers()).toEqual([])
  })
})

describe('the failure of a fill', () => {
  it('is an error, also where what was thrown is none', async () => {
    await using folder = await makeSpoolFolder()
    const connect = () => Promise.reject('a text')
    const { fill } = start(folder, [], { connect })

    await expect(fill.settled).rejects.toMatchObject({ name: 'Error', cause: 'a text' })
  })
})

describe('the spool of a fill', () => {
  it('that cannot be made fails it for everybody', async () => {
    await using folder = await makeSpoolFolder()
    const full = new StorageError('full', 'No space is left.')
    const spool: Spool = { ...folder.spool, resume: () => Promise.reject(full) }
    const { fill, upstream } = start(folder, [], { spool })

    await expect(fill.open()).rejects.toBe(full)

    await expect(fill.settled).rejects.toBe(full)
    await expect(fill.size).rejects.toBe(full)
    expect(upstream.offsets).toEqual([])
  })

  it('that is full fails it, but serves its readers from upstream', async () => {
    await using folder = await makeSpoolFolder()
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
    const { fill, upstream } = start(folder, [], {
      spool: writingBy(folder.spool, () => Promise.reject(full)),
    })
    const source = await opened(fill)

    await expect(fill.settled).rejects.toMatchObject({ name: 'StorageError', code: 'full' })

    expect(digestOf(await readToEnd(source))).toBe(digestOf(blob))
    expect(upstream.offsets).toEqual([0, 16 * KIB])
    expect(upstream.bodies.map((body) => body.destroyed)).toEqual([true, true])
    expect(await folder.leftovers()).toEqual([])
  })

  it('may take fewer bytes at a time than it is given', async () => {
    await using folder = await makeSpoolFolder()
    const atMost1000: Write = (write, bytes, offset, length, position) =>
      write(bytes, offset, Math.min(length, 1000), position)
    const { fill } = start(folder, [], { spool: writingBy(folder.spool, atMost1000) })

    await fill.settled

    expect((await folder.kept()).map((bytes) => digestOf(bytes))).toEqual([digestOf(blob)])
  })
})

type WriteAt = (
  bytes: Buffer,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesWritten: number }>
type Write = (write: WriteAt, ...parameters: Parameters<WriteAt>) => ReturnType<WriteAt>

/** The spool, with files that are written to in another way. */
function writingBy(spool: Spool, write: Write): Spool {
  return {
    ...spool,
    async resume(upstream, digest) {
      const file = await spool.resume(upstream, digest)
      const { handle } = file
      const real: WriteAt = handle.write.bind(handle)
      Object.defineProperty(handle, 'write', {
        value: (...parameters: Parameters<WriteAt>) => write(real, ...parameters),
      })
      return file
    },
  }
}
