/** What every catalog of operators must remember of refusals, and how much of it at most. */
import { describe, expect, it } from 'vitest'
import {
  type ControlCatalog,
  type Refusal,
  REQUESTS_IN_ALL,
  REQUESTS_PER_CALLER,
} from '../../src/catalog/control-catalog.ts'
import { type ControlCatalogUnderTest, make, refusal } from './control-records.ts'

export function testControlRequests(open: () => Promise<ControlCatalogUnderTest>): void {
  describe('refusals', () => {
    it('are remembered, every field of them, and told when they are new', async () => {
      await using under = await open()
      const catalog = under.open()
      const bare = { user: 'alice', tag: undefined, userAgent: undefined } as const
      const [one, two] = [
        refusal('r-1'),
        refusal('r-2', { ...bare, reason: 'right', lastAt: 2000 }),
      ]

      const added = await catalog.noteRefusals([one, two])

      expect(added).toEqual([
        { ...one, state: 'open' },
        { ...two, state: 'open' },
      ])
      expect(await under.open().requests({})).toEqual(added.toReversed())
      expect(await catalog.noteRefusals([])).toEqual([])
    })

    it('that are repeated are counted, and are no news', async () => {
      await using under = await open()
      const catalog = under.open()
      await catalog.noteRefusals([refusal('r', { count: 2, firstAt: 500, lastAt: 600 })])

      const again = { address: '192.0.2.9', userAgent: undefined, reason: 'right' } as const
      const added = await catalog.noteRefusals([
        refusal('r', { ...again, count: 3, firstAt: 700, lastAt: 800 }),
        refusal('r', { ...again, firstAt: 650, lastAt: 650 }),
      ])

      expect(added).toEqual([])
      const kept = refusal('r', { ...again, userAgent: 'docker/27', firstAt: 500, lastAt: 800 })
      expect(await catalog.requests({})).toEqual([{ ...kept, count: 6, state: 'open' }])
    })

    it('that are repeated in one go are one request', async () => {
      await using under = await open()
      const catalog = under.open()

      const added = await catalog.noteRefusals([refusal('r'), refusal('r'), refusal('s')])

      expect(added.map(({ id, count }) => [id, count])).toEqual([
        ['r', 2],
        ['s', 1],
      ])
    })

    it('that were settled are counted, and stay settled', async () => {
      await using under = await open()
      const catalog = under.open()
      await catalog.noteRefusals(['a', 'b', 'c'].map((id) => refusal(id)))
      await make(
        catalog,
        { kind: 'settle-request', id: 'a', state: 'approved', at: 2500 },
        { kind: 'settle-request', id: 'b', state: 'dismissed', at: 2500 },
        { kind: 'settle-request', id: 'unknown', state: 'dismissed', at: 2500 },
      )

      const added = await catalog.noteRefusals([refusal('a'), refusal('b', { lastAt: 3000 })])

      expect(added).toEqual([])
      expect(await catalog.openRequests()).toBe(1)
      const states = ['approved', 'dismissed', 'open'] as const
      for (const [index, state] of states.entries()) {
        const found = await catalog.requests({ state })
        expect(found.map(({ id, count }) => [id, count])).toEqual([
          [['a', 'b', 'c'][index], index === 2 ? 1 : 2],
        ])
      }
      expect((await catalog.requests({})).map(({ id }) => id)).toEqual(['b', 'a', 'c'])
    })
  })

  describe('what was approved and is refused by a rule all the same', () => {
    it('is open again, and told, unless it was refused before it was approved', async () => {
      await using under = await open()
      const catalog = under.open()
      await catalog.noteRefusals(['a', 'b'].map((id) => refusal(id)))
      const settle = (id: string, state: 'approved' | 'dismissed') =>
        ({ kind: 'settle-request', id, state, at: 2500 }) as const
      await make(catalog, settle('a', 'approved'), settle('b', 'dismissed'))

      const late = { firstAt: 2400, lastAt: 2600 }
      expect(await catalog.noteRefusals([refusal('a', late), refusal('b', late)])).toEqual([])
      const again = { firstAt: 2600, lastAt: 2700 }
      const reopened = await catalog.noteRefusals([refusal('a', again), refusal('b', again)])

      expect(reopened.map(({ id, state }) => [id, state])).toEqual([['a', 'open']])
      expect((await catalog.requests({ state: 'dismissed' })).map(({ id }) => id)).toEqual(['b'])
    })
  })

  describe('too many refusals', () => {
    it('of one caller push out those that are longest ago, and nobody else’s', async () => {
      await using under = await open()
      const catalog = under.open()
      await catalog.noteRefusals([
        ...series('mine', REQUESTS_PER_CALLER, { user: 'alice' }),
        refusal('another', { user: 'bob', lastAt: 1 }),
      ])
      // Asked for again, so not the oldest any more.
      await catalog.noteRefusals([refusal('mine-0', { user: 'alice', lastAt: 5000 })])

      const added = await catalog.noteRefusals([refusal('new', { user: 'alice', lastAt: 6000 })])

      expect(added.map(({ id }) => id)).toEqual(['new'])
      const ids = await idsIn(catalog)
      expect(ids.size).toBe(REQUESTS_PER_CALLER + 1)
      expect(ids.has('mine-1')).toBe(false)
      for (const id of ['mine-0', 'mine-2', 'new', 'another'])
        expect(ids.has(id), `has ${id}`).toBe(true)
    })

    it('of addresses of one network are those of one caller; names are no addresses', async () => {
      await using under = await open()
      const catalog = under.open()
      const network = series('v6', 2 * REQUESTS_PER_CALLER).map((each, index) => ({
        ...each,
        address: `2001:db8:1:2::${index.toString(16)}`,
      }))
      await catalog.noteRefusals([
        ...network,
        refusal('near', { address: '2001:db8:1:3::1', lastAt: 1 }),
        refusal('named', { user: '2001:db8:1:2::/64', lastAt: 1 }),
      ])

      const ids = await idsIn(catalog)
      expect(ids.size).toBe(REQUESTS_PER_CALLER + 2)
      expect(ids.has('near') && ids.has('named')).toBe(true)
    })

    it('of all together push out those of the caller with the most', async () => {
      await using under = await open()
      const catalog = under.open()
      const greedy = series('greedy', REQUESTS_PER_CALLER, { user: 'greedy', lastAt: 9000 })
      const modest = series('modest', REQUESTS_IN_ALL - REQUESTS_PER_CALLER, { lastAt: 1 })
      await catalog.noteRefusals([
        ...greedy,
        ...modest.map((each, index) => ({ ...each, user: `user${index}` })),
      ])
      expect((await idsIn(catalog)).size).toBe(REQUESTS_IN_ALL)

      const late = series('late', 10, { lastAt: 9500 })
      const newcomers = late.map((each, index) => ({ ...each, user: `newcomer${index}` }))
      expect(await catalog.noteRefusals(newcomers)).toHaveLength(10)

      const ids = await idsIn(catalog)
      expect(ids.size).toBe(REQUESTS_IN_ALL)
      for (let index = 0; index < REQUESTS_PER_CALLER; index++) {
        expect(ids.has(`greedy-${index}`), `greedy-${index}`).toBe(index >= 10)
      }
      expect(modest.every(({ id }) => ids.has(id))).toBe(true)
    })

    it('in a flood leave those who were there before, as long as the flood is of few', async () => {
      await using under = await open()
      const catalog = under.open()
      await catalog.noteRefusals(series('mine', 30, { user: 'alice', lastAt: 1 }))
      const flood = series('flood', 100_000).map((each, index) => ({
        ...each,
        address: `198.51.100.${index % 250}`,
      }))

      const added = await catalog.noteRefusals(flood)

      const ids = await idsIn(catalog)
      expect(ids.size).toBe(REQUESTS_IN_ALL)
      // Those that are told are those that can be found.
      expect(added.length).toBe(REQUESTS_IN_ALL - 30)
      expect(added.every(({ id }) => ids.has(id))).toBe(true)
      for (let index = 0; index < 30; index++) expect(ids.has(`mine-${index}`)).toBe(true)
    }, 60_000)
  })
}

/** One millisecond after the other. */
function series(prefix: string, length: number, rest: Partial<Refusal> = {}): Refusal[] {
  const first = rest.lastAt ?? 1000
  return Array.from({ length }, (_, index) =>
    refusal(`${prefix}-${index}`, { ...rest, firstAt: first + index, lastAt: first + index }),
  )
}

async function idsIn(catalog: ControlCatalog): Promise<Set<string>> {
  return new Set((await catalog.requests({})).map(({ id }) => id))
}
