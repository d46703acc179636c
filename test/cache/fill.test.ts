import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { Spool } from '../../src/cache/spool.ts'
import { createGate } from '../fakes/gate.ts'
import { within } from '../support/until.ts'
import { blob, KIB, opened, readToEnd, rejection, signal, start } from './fill-under-test.ts'
import type { Connection } from './scripted-upstream.ts'
import { makeSpoolFolder } from './spool-folder.ts'

const HELD_BACK = 64 * KIB

describe('a reader', () => {
  it('has all but the last 64 KiB as they come, and those only when all is right', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill } = start(folder, [{ end: blob.length - 1, gate, ending: 'cut' }])
    const source = await opened(fill)
    await gate.reached
    const early = Buffer.alloc(blob.length)

    const count = await source.read(early, 0, signal)
    const waiting = source.read(Buffer.alloc(1), count, signal)
    expect(count).toBe(blob.length - HELD_BACK)
    expect(early.subarray(0, count).equals(blob.subarray(0, count))).toBe(true)
    expect(await isPending(waiting)).toBe(true)

    gate.open()
    expect(await within(waiting)).toBe(1)
    expect((await readToEnd(source)).equals(blob)).toBe(true)
  })

  it('that waits is woken by the next bytes, not only by the last', async () => {
    await using folder = await makeSpoolFolder()
    const [first, second] = [createGate(), createGate()]
    const { fill } = start(folder, [
      { end: 10 * KIB, gate: first, ending: 'cut' },
      { end: 20 * KIB, gate: second, ending: 'cut' },
    ])
    const source = await opened(fill)
    await first.reached
    const waiting = source.read(Buffer.alloc(KIB), 15 * KIB, signal)

    first.open()

    expect(await within(waiting)).toBe(KIB)
    second.open()
    await source.close()
    await fill.settled
  })

  it('may leave while it waits, and nobody else notices', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill, upstream } = start(folder, [{ end: 100 * KIB, gate, ending: 'cut' }])
    const [leaving, staying] = [await opened(fill), await opened(fill)]
    const client = new AbortController()
    await gate.reached
    const waiting = leaving.read(Buffer.alloc(1), 100 * KIB, client.signal)

    const reason = new Error('The client closed the connection.')
    client.abort(reason)

    await expect(within(waiting)).rejects.toBe(reason)
    await leaving.close()
    gate.open()
    expect((await readToEnd(staying)).equals(blob)).toBe(true)
    expect(upstream.offsets).toEqual([0, 100 * KIB])
  })

  it('holds nobody up by reading nothing', async () => {
    await using folder = await makeSpoolFolder()
    const { fill } = start(folder)
    const idle = await opened(fill)

    await within(fill.settled)

    expect((await readToEnd(idle)).equals(blob)).toBe(true)
    expect(await fill.open()).toBeUndefined()
    expect(await folder.leftovers()).toEqual([])
  })

  it('may be closed twice, and closes nothing for others', async () => {
    await using folder = await makeSpoolFolder()
    const { fill } = start(folder)
    const [one, other] = [await opened(fill), await opened(fill)]
    await fill.settled

    await one.close()
    await one.close()

    expect((await readToEnd(other)).equals(blob)).toBe(true)
    expect(await folder.leftovers()).toEqual([])
  })

  it('has the whole blob also when it cannot be kept', async () => {
    await using folder = await makeSpoolFolder()
    const full = new Error('ENOSPC')
    const { fill } = start(folder, [], { keep: () => Promise.reject(full) })
    const source = await opened(fill)

    await expect(fill.settled).rejects.toBe(full)

    expect((await readToEnd(source)).equals(blob)).toBe(true)
    expect(await folder.leftovers()).toEqual([])
  })
})

describe('the size of a blob', () => {
  it('is known as soon as upstream says it', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill } = start(folder, [{ end: 0, gate, ending: 'cut' }])

    expect(await within(fill.size)).toBe(blob.length)
    gate.open()
    await fill.settled
  })

  it('is what the manifest says where upstream does not', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const connection: Connection = { says: 'nothing', end: 0, gate, ending: 'cut' }
    const { fill } = start(folder, [connection], { expectedSize: blob.length })

    expect(await within(fill.size)).toBe(blob.length)
    gate.open()
    await fill.settled
  })

  it('is known at the end where nobody says it', async () => {
    await using folder = await makeSpoolFolder()
    const { fill } = start(folder, [{ says: 'nothing' }])
    const source = await opened(fill)

    expect(source.size).toBe(blob.length)
    expect((await readToEnd(source)).equals(blob)).toBe(true)
    expect((await folder.kept()).map((bytes) => digestOf(bytes))).toEqual([digestOf(blob)])
  })

  it('must be known for a download to be resumed', async () => {
    await using folder = await makeSpoolFolder()
    const connection: Connection = { says: 'nothing', end: 1000, ending: 'cut' }
    const { fill, upstream } = start(folder, [connection])
    const opening = rejection(fill.open())

    await expect(fill.settled).rejects.toMatchObject({ reason: 'unavailable' })

    expect(await opening).toMatchObject({ reason: 'unavailable' })
    expect(upstream.offsets).toEqual([0])
    expect(await folder.leftovers()).toEqual([])
  })

  it('E-15: that is short is found out by the digest where nobody says it', async () => {
    await using folder = await makeSpoolFolder()
    const { fill } = start(folder, [{ says: 'nothing', end: blob.length - 1 }])
    const opening = rejection(fill.open())

    await expect(fill.settled).rejects.toMatchObject({ reason: 'corrupt' })

    expect(await opening).toMatchObject({ reason: 'corrupt' })
    expect(await folder.kept()).toEqual([])
  })

  it.each([blob.length - 1, blob.length + 1])(
    'E-15: of %i is refused where it is another',
    async (says) => {
      await using folder = await makeSpoolFolder()
      const { fill, upstream } = start(folder, [{ says }], { expectedSize: blob.length })

      await expect(fill.settled).rejects.toMatchObject({ reason: 'corrupt' })

      expect(upstream.sentBytes()).toBe(0)
      expect(upstream.bodies.map((body) => body.destroyed)).toEqual([true])
    },
  )

  it('E-15: is enforced while the bytes come, so that an endless body ends', async () => {
    await using folder = await makeSpoolFolder()
    const body = Readable.from(endless(), { objectMode: false })
    const connect = async () => ({ offset: 0, size: blob.length, body, distrust })
    const { fill } = start(folder, [], { connect })

    await expect(within(fill.settled)).rejects.toMatchObject({ reason: 'corrupt' })

    expect(body.destroyed).toBe(true)
    expect(await folder.leftovers()).toEqual([])
  })

  it('E-15: that nobody says is limited, so that an endless body ends', async () => {
    await using folder = await makeSpoolFolder()
    const body = Readable.from(endless(), { objectMode: false })
    const connect = async () => ({ offset: 0, size: undefined, body, distrust })
    const noDisk: Spool = {
      ...folder.spool,
      async resume(upstream, digest) {
        const file = await folder.spool.resume(upstream, digest)
        const write = async (_: Buffer, __: number, length: number) => ({ bytesWritten: length })
        Object.assign(file.handle, { write })
        return file
      },
    }
    const { fill } = start(folder, [], { connect, spool: noDisk })

    await expect(within(fill.settled)).rejects.toMatchObject({ reason: 'corrupt' })

    expect(body.destroyed).toBe(true)
    expect(await folder.leftovers()).toEqual([])
  })
})

const distrust = (): void => undefined

async function* endless(): AsyncGenerator<Buffer> {
  const chunk = Buffer.alloc(1024 * KIB)
  for (;;) yield chunk
}

/** After all that could happen by itself has happened. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  const turnOfEventLoop = new Promise((resolve) =>
    setImmediate(() => setImmediate(resolve, pending)),
  )
  return (await Promise.race([promise, turnOfEventLoop])) === pending
}
