import { describe, expect, it } from 'vitest'
import {
  createParallelismSearch,
  type Parallelism,
  type ParallelismSearch,
} from '../../src/cache/parallelism.ts'

const MIB = 1024 * 1024
const SECOND = 1000

type World = (tried: Parallelism) => number

/** Tells the search what each number of connections brings, until it is settled. @returns what was tried */
function run(search: ParallelismSearch, megabytesPerSecond: World): Parallelism[] {
  const tried: Parallelism[] = []
  while (!search.isSettled) {
    const { current } = search
    // Once more where it brought nothing: the moment may have been a bad one.
    if (current !== tried.at(-1)) tried.push(current)
    expect(tried.length).toBeLessThan(10)
    search.observe(megabytesPerSecond(current) * MIB, SECOND, current.connections)
  }
  return tried
}

function one(connections: number, spread = false): Parallelism {
  return { connections, spread }
}

const perConnection: World = ({ connections }) => 50 * connections
const line: World = () => 100

describe('the search for the number of connections', () => {
  it.each<[string, World, number, boolean, Parallelism[], Parallelism]>([
    [
      'doubles as long as it helps, up to the limit',
      perConnection,
      4,
      false,
      [one(1), one(2), one(4)],
      one(4),
    ],
    [
      'takes the limit for the last step',
      perConnection,
      3,
      false,
      [one(1), one(2), one(3)],
      one(3),
    ],
    [
      'asks less of a step that is smaller than the double',
      ({ connections }) => [0, 50, 100, 150, 200, 225][connections] ?? 0,
      5,
      false,
      [one(1), one(2), one(4), one(5)],
      one(5),
    ],
    ['stays with one where two bring no more', line, 4, false, [one(1), one(2)], one(1)],
    [
      'goes back to the last that helped',
      ({ connections }) => 50 * Math.min(2, connections),
      8,
      false,
      [one(1), one(2), one(4)],
      one(2),
    ],
    [
      'is not impressed by a little more',
      ({ connections }) => 60 + 12 * connections,
      4,
      false,
      [one(1), one(2)],
      one(1),
    ],
    [
      'tries several endpoints where one brings no more',
      ({ spread }) => (spread ? 200 : 100),
      4,
      true,
      [one(1), one(2), one(2, true), one(4, true)],
      one(2, true),
    ],
    ['stays with one when not even they do', line, 4, true, [one(1), one(2), one(2, true)], one(1)],
    ['never begins where one is the limit', perConnection, 1, true, [], one(1)],
  ])('%s', (_, world, limit, canSpread, expected, best) => {
    const search = createParallelismSearch({ limit, canSpread, known: undefined })

    expect(run(search, world)).toEqual(expected)
    expect(search.current).toEqual(best)
  })

  it.each<[string, World, Parallelism]>([
    ['keeps', perConnection, one(4)],
    ['drops', line, one(1)],
  ])('%s what was best before, after it has tried that alone', (_, world, best) => {
    const search = createParallelismSearch({ limit: 4, canSpread: true, known: one(4) })

    expect(run(search, world)).toEqual([one(1), one(4)])
    expect(search.current).toEqual(best)
  })

  it('tries nothing where one connection fills a line of 1 Gbit/s', () => {
    const search = createParallelismSearch({ limit: 4, canSpread: true, known: one(4) })

    expect(run(search, () => 130)).toEqual([one(1)])
    expect(search.current).toEqual(one(1))
  })

  it('judges by enough bytes in enough time, over as many connections as are tried', () => {
    const search = createParallelismSearch({ limit: 2, canSpread: false, known: undefined })
    search.observe(MIB, SECOND, 1)
    search.observe(10 * MIB, SECOND, 2)
    expect(search.current).toEqual(one(1))
    search.observe(MIB, SECOND, 1)
    expect(search.current).toEqual(one(2))
    search.observe(100 * MIB, 149, 2)
    expect(search.isSettled).toBe(false)
    search.observe(0, 1, 2)
    expect(search).toMatchObject({ current: one(2), isSettled: true })
  })

  it('looks twice before it gives up what brought nothing', () => {
    const search = createParallelismSearch({ limit: 2, canSpread: false, known: undefined })
    search.observe(50 * MIB, SECOND, 1)
    search.observe(40 * MIB, SECOND, 2)
    expect(search.isSettled).toBe(false)
    search.observe(100 * MIB, SECOND, 2)
    expect(search).toMatchObject({ current: one(2), isSettled: true })
  })

  it('settles for fewer when no more are to be had', () => {
    const search = createParallelismSearch({ limit: 4, canSpread: false, known: undefined })
    search.observe(50 * MIB, SECOND, 1)

    search.settleFor(1)

    expect(search).toMatchObject({ current: one(1), isSettled: true })
  })
})
