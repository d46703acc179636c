import { describe, expect, it } from 'vitest'
import { budgetDemand, spaceDemand } from '../../src/cache/room.ts'

const GIBIBYTE = 1024 ** 3
const nothing = { required: 0, wanted: 0 }

describe('the budget', () => {
  const limits = { budget: 100, lowWatermark: 80 }

  it.each([
    ['an empty store', { stored: 0, reserved: 0, size: 0 }, nothing],
    ['a store that is just full', { stored: 100, reserved: 0, size: 0 }, nothing],
    ['one that will be just full', { stored: 60, reserved: 30, size: 10 }, nothing],
    [
      'one byte too much: down to the low watermark',
      { stored: 101, reserved: 0, size: 0 },
      { required: 1, wanted: 21 },
    ],
    ['a running fill too much', { stored: 60, reserved: 41, size: 0 }, { required: 1, wanted: 21 }],
    [
      'a small blob more: it may use the room between the watermarks',
      { stored: 60, reserved: 35, size: 10 },
      { required: 5, wanted: 15 },
    ],
    [
      'a large blob more: nothing beyond what it takes',
      { stored: 60, reserved: 0, size: 90 },
      { required: 50, wanted: 50 },
    ],
  ])('and %s', (_, occupancy, demand) => {
    expect(budgetDemand(limits, occupancy)).toEqual(demand)
  })

  it('is emptied to nine tenths where nothing else is said', () => {
    expect(
      budgetDemand(
        { budget: 1000, lowWatermark: undefined },
        { stored: 1001, reserved: 0, size: 0 },
      ),
    ).toEqual({ required: 1, wanted: 101 })
  })

  it('may be absent', () => {
    expect(
      budgetDemand(
        { budget: undefined, lowWatermark: undefined },
        { stored: 2 ** 50, reserved: 2 ** 50, size: 2 ** 50 },
      ),
    ).toEqual(nothing)
  })
})

describe('the free space', () => {
  it.each([
    ['just enough', { free: 160, unwritten: 50, size: 10 }, nothing],
    ['one byte short', { free: 159, unwritten: 50, size: 10 }, { required: 1, wanted: 101 }],
    ['without a limit', { free: undefined, unwritten: 50, size: 10 }, nothing],
    ['none', { free: 0, unwritten: 0, size: 0 }, { required: 100, wanted: 200 }],
  ])('%s', (_, occupancy, demand) => {
    expect(spaceDemand({ minFree: 100 }, occupancy)).toEqual(demand)
  })

  it('is never made far beyond what is missing, however much is to be left free', () => {
    expect(
      spaceDemand({ minFree: 50 * GIBIBYTE }, { free: 49 * GIBIBYTE, unwritten: 0, size: 0 }),
    ).toEqual({ required: GIBIBYTE, wanted: 2 * GIBIBYTE })
  })
})
