/** How long stretches are, and when the next one begins. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createFlow, type Flow } from '../../src/cache/flow.ts'
import { createSharedConnections } from '../../src/cache/shared-connections.ts'
import { createStretches, type Stretches } from '../../src/cache/stretches.ts'
import { createClock } from './divided-upstream.ts'
import { MIB } from './fill-of.ts'

const LEFT = 256 * MIB

afterEach(() => {
  vi.restoreAllMocks()
})

interface World {
  readonly stretches: Stretches
  /** A transfer of so many bytes from here on, that was answered after 50 ms. */
  readonly begin: (bytes: number) => Flow
  /** A second goes by, in which it brings so many bytes. */
  readonly bring: (flow: Flow, bytes: number) => void
}

function createWorld(isAwaited: () => boolean = () => true): World {
  const clock = createClock()
  const shared = createSharedConnections(() => performance.now())
  const stretches = createStretches(
    { connections: 4, canSpread: false, shared, watchLoad: () => () => false },
    isAwaited,
  )
  if (stretches === undefined) throw new Error('It is not divided.')
  return {
    stretches,
    begin(bytes) {
      const flow = createFlow({ position: 0, end: bytes })
      clock.advance(50)
      stretches.answered(flow.answered())
      return flow
    },
    bring(flow, bytes) {
      clock.advance(1000)
      flow.transfer.position += bytes
      stretches.received(bytes, [flow])
    },
  }
}

describe('the next stretch', () => {
  it('is short at first, and of the length that its rate and delay ask for later', () => {
    const { stretches, begin, bring } = createWorld()
    expect(stretches.length(LEFT)).toBe(16 * MIB)

    const flow = begin(LEFT)
    bring(flow, 100 * MIB)

    // 100 MiB/s, of which 50 ms are an eighth of the stretch.
    expect(stretches.length(LEFT) / MIB).toBeCloseTo(40, 0)
    expect(Number.isInteger(stretches.length(LEFT))).toBe(true)
  })

  it('is a share of the last bytes, and all of few', () => {
    const { stretches, begin, bring } = createWorld()
    bring(begin(LEFT), 100 * MIB)

    // Two are tried now.
    expect(stretches.length(60 * MIB)).toBe(30 * MIB)
    expect(stretches.length(14 * MIB)).toBe(8 * MIB)
    expect(stretches.length(11 * MIB)).toBe(11 * MIB)
    expect(stretches.length(3 * MIB)).toBe(3 * MIB)
  })

  it('begins beside the first as soon as that was measured, and no sooner', () => {
    const { stretches, begin, bring } = createWorld()
    const flow = begin(LEFT)
    expect(stretches.wantsNext([flow])).toBe(false)

    bring(flow, 50 * MIB)

    expect(stretches.wantsNext([flow])).toBe(true)
    expect(stretches.wantsNext([flow, flow])).toBe(false)
  })

  it('waits for the end of the first when the client has left', () => {
    let isAwaited = true
    const { stretches, begin, bring } = createWorld(() => isAwaited)
    const flow = begin(LEFT)
    bring(flow, 50 * MIB)

    isAwaited = false

    expect(stretches.wantsNext([flow])).toBe(false)
    expect(stretches.shouldDivide(LEFT)).toBe(false)
  })

  it('begins shortly before the last one ends where one connection is enough', () => {
    const { stretches, begin, bring } = createWorld(() => false)
    const flow = begin(64 * MIB)
    bring(flow, 40 * MIB)
    expect(stretches.wantsNext([flow])).toBe(false)

    bring(flow, 22 * MIB)

    expect(stretches.wantsNext([flow])).toBe(true)
    expect(stretches.wantsNext(Array.from({ length: 4 }, () => flow))).toBe(false)
  })
})

describe('a blob is divided', () => {
  const make = (
    shared: ReturnType<typeof createSharedConnections>,
    { connections = 4, isBusy = false, isAwaited = true } = {},
  ): Stretches | undefined => {
    const watchLoad = () => () => isBusy
    return createStretches({ connections, canSpread: false, shared, watchLoad }, () => isAwaited)
  }

  it('at once when it is large and that was faster for the last one', () => {
    const shared = createSharedConnections(() => 0)
    expect(make(shared)?.isDividedAtOnce(LEFT)).toBe(false)
    shared.remember({ connections: 4, spread: false })
    expect(make(shared)?.isDividedAtOnce(64 * MIB)).toBe(true)
    expect(make(shared)?.isDividedAtOnce(64 * MIB - 1)).toBe(false)
  })

  it('not at all when one connection is allowed, or was enough a moment ago', () => {
    const shared = createSharedConnections(() => 0)
    expect(make(shared, { connections: 1 })).toBeUndefined()
    shared.remember({ connections: 1, spread: false })
    expect(make(shared)).toBeUndefined()
    expect(createStretches(undefined, () => true)).toBeUndefined()
  })

  it('when its only connection has been measured, and much is left', () => {
    const { stretches, begin, bring } = createWorld()
    const flow = begin(LEFT)
    expect(stretches.shouldDivide(LEFT)).toBe(false)
    bring(flow, 50 * MIB)
    expect(stretches.shouldDivide(64 * MIB)).toBe(true)
    expect(stretches.shouldDivide(64 * MIB - 1)).toBe(false)
  })
})
