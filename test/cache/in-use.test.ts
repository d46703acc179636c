import { describe, expect, it } from 'vitest'
import { createInUse } from '../../src/cache/in-use.ts'
import { digestOf } from '../../src/oci/digest.ts'

const one = digestOf(Buffer.from('one'))
const two = digestOf(Buffer.from('two'))

describe('what is in use', () => {
  it('is in use until the last has let go', () => {
    const inUse = createInUse()
    const first = inUse.hold(one)
    const second = inUse.hold(one)

    expect([inUse.has(one), inUse.has(two)]).toEqual([true, false])
    first()
    expect(inUse.has(one)).toBe(true)
    second()
    expect(inUse.has(one)).toBe(false)
  })

  it('is let go once, however often that is said', () => {
    const inUse = createInUse()
    const first = inUse.hold(one)
    const second = inUse.hold(one)

    first()
    first()

    expect(inUse.has(one)).toBe(true)
    second()
    expect(inUse.has(one)).toBe(false)
    const again = inUse.hold(one)
    first()
    second()
    expect(inUse.has(one)).toBe(true)
    again()
  })
})
