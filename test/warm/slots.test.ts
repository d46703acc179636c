import { expect, it } from 'vitest'
import { createSlots } from '../../src/warm/slots.ts'
import { createGate } from '../fakes/gate.ts'

const { signal: NEVER } = new AbortController()

it('lets no more work at a time than there are places, in order of arrival', async () => {
  const slots = createSlots(2)
  const gate = createGate()
  const begun: number[] = []
  const work = [0, 1, 2, 3].map((number) =>
    slots.use(async () => {
      begun.push(number)
      await gate.opened
      return number
    }, NEVER),
  )
  await Promise.resolve()
  expect(begun).toEqual([0, 1])
  gate.open()
  expect(await Promise.all(work)).toEqual([0, 1, 2, 3])
  expect(begun).toEqual([0, 1, 2, 3])
})

it('gives a place on also when the work fails', async () => {
  const slots = createSlots(1)
  await expect(slots.use(() => Promise.reject(new Error('a fault')), NEVER)).rejects.toThrow(
    'fault',
  )
  expect(await slots.use(async () => 'next', NEVER)).toBe('next')
})

it('lets many wait with one signal, and go with it', async () => {
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)
  process.on('warning', note)
  const slots = createSlots(1)
  const gate = createGate()
  const first = slots.use(() => gate.pass(), NEVER)
  await gate.reached
  const stop = new AbortController()
  const waiting = Array.from({ length: 20 }, () => slots.use(async () => 'begun', stop.signal))
  stop.abort(new Error('enough'))
  for (const it of await Promise.allSettled(waiting)) {
    expect(it).toMatchObject({ status: 'rejected', reason: stop.signal.reason })
  }
  await expect(slots.use(async () => 'late', stop.signal)).rejects.toThrow('enough')
  gate.open()
  await first
  expect(await slots.use(async () => 'after', NEVER)).toBe('after')
  await new Promise(setImmediate)
  process.off('warning', note)
  expect(warnings).toEqual([])
})
