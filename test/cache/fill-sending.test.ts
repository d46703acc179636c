/** A blob that is on its way, for who sends it straight from the file, and for who shares what just came. */
import { readSync } from 'node:fs'
import { basename } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { ByteSource, SendableFile } from '../../src/byte-source.ts'
import { chunkWindows } from '../../src/cache/chunk-window.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { randomBlob } from '../fakes/images.ts'
import { within } from '../support/until.ts'
import { failingSpool } from './failing-spool.ts'
import { fillOf, MIB, readFrom, spoilt } from './fill-of.ts'
import { KIB, opened, rejection, signal } from './fill-under-test.ts'
import { makeSpoolFolder } from './spool-folder.ts'

const large = Buffer.from(randomBlob(12 * MIB, 'sent layer'))
const HELD_BACK = 64 * KIB

function fileOf(source: ByteSource): SendableFile {
  if (source.file === undefined) throw new Error('There is no file to send from.')
  return source.file
}

/** What sendfile(2) would send of what may be sent, until so many bytes or until there is nothing. */
async function sendFrom(source: ByteSource, first: number, length: number): Promise<Buffer> {
  const file = fileOf(source)
  const bytes = Buffer.alloc(length)
  let done = 0
  while (done < length) {
    const count = await within(file.reach(first + done, Math.min(length - done, 300_000), signal))
    if (count === 0) break
    expect(readSync(file.descriptor, bytes, done, count, first + done)).toBe(count)
    done += count
  }
  return bytes.subarray(0, done)
}

describe('who sends from the file', () => {
  it('gets every byte, as soon as it is written', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const script = [{ end: 5 * MIB, gate, ending: 'cut' as const }]
    const { fill } = fillOf(folder, large, { script })
    const source = await opened(fill)
    await within(gate.reached)

    const before = await sendFrom(source, 0, 5 * MIB)
    const waiting = sendFrom(source, 5 * MIB, 7 * MIB)
    gate.open()

    expect(Buffer.concat([before, await waiting]).equals(large)).toBe(true)
    await within(fill.settled)
    // The descriptor stays open for whoever has the source.
    expect((await sendFrom(source, MIB, MIB)).equals(large.subarray(MIB, 2 * MIB))).toBe(true)
    expect(await within(fileOf(source).reach(large.length, 10, signal))).toBe(0)
    await source.close()
    expect(await folder.leftovers()).toEqual([])
  })

  it('gets what is held back only when the digest is right', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill } = fillOf(folder, large, { script: [{ gate }] })
    const source = await opened(fill)
    await within(gate.reached)
    const sent = await sendFrom(source, 0, large.length - HELD_BACK)
    let isReached = false
    const rest = fileOf(source).reach(large.length - HELD_BACK, HELD_BACK, signal)
    void rest.then(() => (isReached = true))
    for (let turn = 0; turn < 10; turn += 1) await setImmediate()
    expect(isReached).toBe(false)

    gate.open()

    expect(await within(rest)).toBe(HELD_BACK)
    expect(sent.equals(large.subarray(0, large.length - HELD_BACK))).toBe(true)
    await source.close()
  })

  it('never gets the whole of a wrong blob', async () => {
    await using folder = await makeSpoolFolder()
    const { fill } = fillOf(folder, large, { sent: spoilt(large, 11 * MIB) })
    const source = await opened(fill)
    const failure = await rejection(sendFrom(source, 0, large.length))
    expect(failure).toMatchObject({ reason: 'corrupt' })
    await source.close()
  })

  it('is told when what is next is not in the file, and reads it instead', async () => {
    await using folder = await makeSpoolFolder()
    const spool = failingSpool(folder.spool, { write: (position) => position >= 3 * MIB })
    const { fill } = fillOf(folder, large, { spool })
    const source = await opened(fill)

    const sent = await sendFrom(source, 0, large.length)
    const rest = await readFrom(source, sent.length, large.length - sent.length)

    expect(sent).toHaveLength(3 * MIB)
    expect(rest.error).toBeUndefined()
    expect(Buffer.concat([sent, rest.bytes]).equals(large)).toBe(true)
    // Straight from upstream: nothing of it is in the file any more.
    expect(await within(fileOf(source).reach(0, 10, signal))).toBe(0)
    await source.close()
    // Nothing but what the next download goes on with.
    expect(await folder.leftovers()).toEqual((await folder.files()).map((path) => basename(path)))
  })

  it('leaves while waiting', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill } = fillOf(folder, large, { script: [{ end: MIB, gate }] })
    const source = await opened(fill)
    await within(gate.reached)
    const leaving = new AbortController()
    const reaching = fileOf(source).reach(2 * MIB, 10, leaving.signal)
    const reason = new Error('gone')
    leaving.abort(reason)
    expect(await within(rejection(reaching))).toBe(reason)
    gate.open()
    await within(fill.settled)
    await source.close()
    expect(await folder.leftovers()).toEqual([])
  })
})

describe('who reads', () => {
  it('does so from memory while he keeps up, and from the file when he is late', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const fileReads: number[] = []
    const spool = failingSpool(folder.spool, {
      read: (position) => {
        fileReads.push(position)
        return false
      },
    })
    const { fill } = fillOf(folder, large, { spool, script: [{ gate }] })
    const [prompt, late] = [await opened(fill), await opened(fill)]
    // From here on what comes is kept, as somebody waits for it.
    const reading = readFrom(prompt, 0, large.length)
    await within(gate.reached)
    expect(chunkWindows.bytes()).toBeGreaterThan(0)
    expect(chunkWindows.bytes()).toBeLessThanOrEqual(8 * MIB)
    const readsOfPrompt = fileReads.length
    const lateBytes = await readFrom(late, 0, MIB)
    gate.open()

    expect((await reading).bytes.equals(large)).toBe(true)
    expect(lateBytes.bytes.equals(large.subarray(0, MIB))).toBe(true)
    expect(readsOfPrompt).toBeLessThan(large.length / (128 * KIB) / 2)
    expect(fileReads.length).toBeGreaterThan(readsOfPrompt)
    await within(fill.settled)
    await prompt.close()
    await late.close()
    expect(chunkWindows.bytes()).toBe(0)
  })

  it('nothing is kept in memory for a download that nobody reads', async () => {
    await using folder = await makeSpoolFolder()
    const gate = createGate()
    const { fill } = fillOf(folder, large, { script: [{ gate }] })
    await within(gate.reached)
    expect(chunkWindows.bytes()).toBe(0)
    gate.open()
    await within(fill.settled)
  })

  it('nothing is left in memory by a download that failed', async () => {
    await using folder = await makeSpoolFolder()
    const { fill } = fillOf(folder, large, { sent: spoilt(large, 9 * MIB) })
    const source = await opened(fill)
    expect((await readFrom(source, 0, large.length)).error).toMatchObject({ reason: 'corrupt' })
    await source.close()
    expect(chunkWindows.bytes()).toBe(0)
    expect(await folder.leftovers()).toEqual([])
  })
})

it('a crash costs a sixteenth of what came, or one MiB', async () => {
  await using folder = await makeSpoolFolder()
  const notes: number[] = []
  const spool: typeof folder.spool = {
    ...folder.spool,
    async resume(upstream, digest) {
      const file = await folder.spool.resume(upstream, digest)
      return {
        ...file,
        async note(size, extents) {
          notes.push(extents[0]?.end ?? 0)
          await file.note(size, extents)
        },
      }
    },
  }
  const bytes = Buffer.from(randomBlob(40 * MIB, 'noted layer'))
  const { fill } = fillOf(folder, bytes, { spool })
  await within(fill.settled)
  const gaps = notes.map((end, index) => end - (notes[index - 1] ?? 0))
  for (const [index, gap] of gaps.entries()) {
    const allowed = Math.max(MIB, (notes[index] ?? 0) / 16) + 512 * KIB
    expect(gap).toBeLessThanOrEqual(allowed)
  }
  expect(notes.length).toBeLessThan(40)
  expect(digestOf((await folder.kept())[0] ?? Buffer.alloc(0))).toBe(digestOf(bytes))
})
