import { describe, expect, it } from 'vitest'
import { createRateMeter } from '../../src/cache/rate.ts'

function createUnderTest() {
  let time = 1000
  const meter = createRateMeter(() => time)
  return { meter, pass: (milliseconds: number) => void (time += milliseconds) }
}

describe('the rate', () => {
  it('is nothing before there is anything to compare', () => {
    const { meter, pass } = createUnderTest()
    expect(meter.current()).toBe(0)
    meter.note(5000)
    expect(meter.current()).toBe(0)
    pass(1000)
    expect(meter.current()).toBe(0)
  })

  it('is that of the last seconds, whatever came before them', () => {
    const { meter, pass } = createUnderTest()
    // What an earlier download has left was not fetched now.
    let bytes = 1_000_000
    meter.note(bytes)
    for (let n = 0; n < 10; n += 1) {
      pass(250)
      meter.note((bytes += 250))
    }
    expect(meter.current()).toBe(1000)
    for (let n = 0; n < 40; n += 1) {
      pass(250)
      meter.note((bytes += 2500))
    }
    expect(meter.current()).toBe(10_000)
  })

  it('comes down when nothing comes', () => {
    const { meter, pass } = createUnderTest()
    meter.note(0)
    pass(1000)
    meter.note(4000)
    expect(meter.current()).toBe(4000)
    pass(3000)
    expect(meter.current()).toBe(1000)
    pass(60_000)
    expect(meter.current()).toBe(0)
  })
})
