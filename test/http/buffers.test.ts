import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createBuffers, type Buffers } from '../../src/http/buffers.ts'

const KIB = 1024
const MIB = 1024 * KIB

interface Loan {
  readonly buffer: Buffer
  readonly end: () => Promise<void>
}

/** Holds a buffer until its end. */
async function borrow(buffers: Buffers, most?: number): Promise<Loan> {
  let release!: () => void
  const ended = new Promise<void>((resolve) => (release = resolve))
  let settled: Promise<void> = Promise.resolve()
  const buffer = await new Promise<Buffer>((resolve) => {
    settled = buffers.lend(async (lent) => {
      resolve(lent)
      await ended
    }, most)
  })
  return {
    buffer,
    end: () => {
      release()
      return settled
    },
  }
}

async function borrowMany(buffers: Buffers, count: number, most?: number): Promise<Loan[]> {
  const loans: Loan[] = []
  for (let time = 0; time < count; time += 1) loans.push(await borrow(buffers, most))
  return loans
}

describe('buffers', () => {
  it('are large for few clients, and shrink with their number', async () => {
    const buffers = createBuffers()

    const sizes = (await borrowMany(buffers, 2000)).map(({ buffer }) => buffer.length)

    expect(sizes.slice(0, 96).every((size) => size === 256 * KIB)).toBe(true)
    expect(sizes.slice(96, 384).every((size) => size === 64 * KIB)).toBe(true)
    expect(sizes.slice(384).every((size) => size === 16 * KIB)).toBe(true)
  })

  it('are as small as was asked for, and leave the large ones to others', async () => {
    const buffers = createBuffers()
    const loans = [
      ...(await borrowMany(buffers, 1000, 16 * KIB)),
      ...(await borrowMany(buffers, 1000, 4 * KIB)),
    ]

    const sizes = new Set(loans.map(({ buffer }) => buffer.length))
    expect(sizes).toEqual(new Set([16 * KIB, 4 * KIB]))
    expect((await borrow(buffers)).buffer).toHaveLength(256 * KIB)
    expect((await borrow(buffers, 100 * KIB)).buffer).toHaveLength(64 * KIB)
  })

  it('stay within a bound that many clients together do not move', async () => {
    const loans = await borrowMany(createBuffers(), 5000)

    const lent = loans.reduce((total, { buffer }) => total + buffer.length, 0)

    expect(lent).toBeLessThan(120 * MIB)
  })

  it('are large again when the crowd has gone', async () => {
    const buffers = createBuffers()
    for (const { end } of await borrowMany(buffers, 500)) await end()

    expect((await borrow(buffers)).buffer).toHaveLength(256 * KIB)
  })

  it('are used again', async () => {
    const buffers = createBuffers()
    const first = await borrow(buffers)
    await first.end()

    expect((await borrow(buffers)).buffer).toBe(first.buffer)
  })

  it('are not all kept when a crowd has gone', async () => {
    const buffers = createBuffers()
    const crowd = await borrowMany(buffers, 96)
    for (const { end } of crowd) await end()
    const before = new Set(crowd.map(({ buffer }) => buffer))

    const again = await borrowMany(buffers, 96)

    expect(again.filter(({ buffer }) => before.has(buffer))).toHaveLength(48)
  })

  it('are never lent to two at a time', async () => {
    const steps = fc.array(fc.oneof(fc.constant('borrow' as const), fc.nat({ max: 400 })), {
      maxLength: 400,
    })
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const buffers = createBuffers()
        const loans: Loan[] = []
        for (const step of script) {
          if (step === 'borrow') loans.push(await borrow(buffers))
          else await loans.splice(step % (loans.length + 1), 1)[0]?.end()
          expect(new Set(loans.map(({ buffer }) => buffer.buffer)).size).toBe(loans.length)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('give what their user gives', async () => {
    const buffers = createBuffers()

    expect(await buffers.lend(async ({ length }) => length)).toBe(256 * KIB)
  })

  it('come back when their user fails', async () => {
    const buffers = createBuffers()
    const failure = new Error('The client left.')
    let lent: Buffer | undefined
    const failing = buffers.lend(async (buffer) => {
      lent = buffer
      throw failure
    })

    await expect(failing).rejects.toBe(failure)

    expect((await borrow(buffers)).buffer).toBe(lent)
  })
})
