import { describe, expect, it } from 'vitest'
import { createSharedConnections } from '../../src/cache/shared-connections.ts'

describe('the connections that large blobs share', () => {
  it('are enough for two blobs, and for others when they are given back', () => {
    const shared = createSharedConnections(() => 0)
    const taken = [1, 2, 3, 4, 5, 6].map(() => shared.take(4))

    expect(taken.every((release) => release !== undefined)).toBe(true)
    expect(shared.take(4)).toBeUndefined()
    taken[0]?.()
    expect(shared.take(4)).toBeDefined()
    expect(shared.take(4)).toBeUndefined()
  })

  it('are none where a blob may have one', () => {
    expect(createSharedConnections(() => 0).take(1)).toBeUndefined()
  })

  it('remember for ten minutes what the last blob has shown', () => {
    let now = 0
    const shared = createSharedConnections(() => now)
    expect(shared.remembered()).toBeUndefined()
    shared.remember({ connections: 2, spread: true })
    now = 10 * 60_000 - 1
    expect(shared.remembered()).toEqual({ connections: 2, spread: true })
    now += 1
    expect(shared.remembered()).toBeUndefined()
  })
})
