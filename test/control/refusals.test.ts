import { describe, expect, it } from 'vitest'
import type { Principal } from '../../src/access/principal.ts'
import type { AccessRequest, Refusal } from '../../src/catalog/control-catalog.ts'
import { createRefusals } from '../../src/control/refusals.ts'
import { createLog } from '../../src/log.ts'

const ANONYMOUS: Principal = { kind: 'anonymous', name: 'anonymous', grants: [] }
const ALICE: Principal = { kind: 'user', name: 'alice', grants: [] }
const REDIS = {
  name: 'docker.io/library/redis',
  tag: '7',
  reason: 'rule',
  userAgent: 'curl',
} as const

describe('refused pulls', () => {
  it('have one id for each caller and name, which another secret does not give', () => {
    const { refusals } = setUp()
    const { refusals: others } = setUp({ secret: Buffer.alloc(32, 2) })
    const caller = { principal: ALICE, address: '10.0.0.1' }
    const id = refusals.note(caller, REDIS)
    expect(id).toMatch(/^r-[a-z2-9]{10}$/)
    expect(refusals.note({ ...caller, address: '10.0.0.2' }, REDIS)).toBe(id)
    expect(refusals.note({ ...caller, principal: ANONYMOUS }, REDIS)).not.toBe(id)
    expect(refusals.note(caller, { ...REDIS, tag: undefined })).not.toBe(id)
    expect(others.note(caller, REDIS)).not.toBe(id)
  })

  it('of nobody are told apart by address, IPv6 by network', () => {
    const { refusals } = setUp()
    const idFrom = (address: string) => refusals.note({ principal: ANONYMOUS, address }, REDIS)
    expect(idFrom('10.0.0.1')).not.toBe(idFrom('10.0.0.2'))
    expect(idFrom('2001:db8:1:2::1')).toBe(idFrom('2001:db8:1:2:ffff::9'))
    expect(idFrom('2001:db8:1:2::1')).not.toBe(idFrom('2001:db8:1:3::1'))
    expect(idFrom('::ffff:10.0.0.1')).toBe(idFrom('10.0.0.1'))
  })

  it('are counted, and written together', async () => {
    const { refusals, written } = setUp()
    for (let time = 0; time < 5; time += 1) {
      refusals.note({ principal: ALICE, address: '10.0.0.1' }, REDIS)
    }
    refusals.note({ principal: ALICE, address: '10.0.0.1' }, { ...REDIS, tag: '8' })
    await refusals.idle()
    expect(written).toHaveLength(1)
    expect(written[0]).toMatchObject([
      { user: 'alice', tag: '7', count: 5 },
      { user: 'alice', tag: '8', count: 1 },
    ])
    await refusals.idle()
    expect(written).toHaveLength(1)
  })

  it('are bounded while they wait, and have an id all the same', async () => {
    const { refusals, written } = setUp()
    const ids = new Set<string>()
    for (let tag = 0; tag < 10_000; tag += 1) {
      const pull = { ...REDIS, tag: String(tag) }
      const address = `10.0.${tag % 25}.1`
      ids.add(refusals.note({ principal: ANONYMOUS, address }, pull))
    }
    await refusals.idle()
    expect(ids.size).toBe(10_000)
    expect(written.flat()).toHaveLength(2000)
  })

  it('of one caller leave the others their places', async () => {
    const { refusals, written } = setUp()
    for (let tag = 0; tag < 10_000; tag += 1) {
      const pull = { ...REDIS, tag: String(tag) }
      refusals.note({ principal: ANONYMOUS, address: '10.0.0.1' }, pull)
    }
    refusals.note({ principal: ALICE, address: '10.0.0.1' }, REDIS)
    await refusals.idle()
    expect(written.flat()).toHaveLength(101)
    expect(written.flat().at(-1)?.user).toBe('alice')
  })

  it('of robots are told apart from those of users who are called alike', async () => {
    const { refusals, written } = setUp()
    const robot = { ...ALICE, kind: 'robot' } as const
    const id = refusals.note({ principal: robot, address: '10.0.0.1' }, REDIS)
    expect(refusals.note({ principal: ALICE, address: '10.0.0.1' }, REDIS)).not.toBe(id)
    await refusals.idle()
    expect(written.flat().map(({ user }) => user)).toEqual(['robot:alice', 'alice'])
  })

  it('that are new are told, others not', async () => {
    const { refusals, told, counted } = setUp({ known: new Set(['8']) })
    refusals.note({ principal: ALICE, address: '10.0.0.1' }, REDIS)
    refusals.note({ principal: ALICE, address: '10.0.0.1' }, { ...REDIS, tag: '8' })
    await refusals.idle()
    expect(told.map(({ tag }) => tag)).toEqual(['7'])
    expect(counted()).toBe(1)
  })

  it('that cannot be written are logged, and the next are', async () => {
    const { refusals, written, logs, fail } = setUp()
    fail(true)
    refusals.note({ principal: ALICE, address: '10.0.0.1' }, REDIS)
    await refusals.idle()
    expect(logs.join('')).toContain('refused pulls could not be remembered')
    fail(false)
    refusals.note({ principal: ALICE, address: '10.0.0.1' }, REDIS)
    await refusals.close()
    expect(written).toHaveLength(1)
  })

  it('keep no control characters of a user agent', async () => {
    const { refusals, written } = setUp()
    const userAgent = `evil\u001b[31m${'x'.repeat(1000)}`
    refusals.note({ principal: ALICE, address: '10.0.0.1' }, { ...REDIS, userAgent })
    await refusals.idle()
    expect(written[0]?.[0]?.userAgent).toMatch(/^evil\?\[31mx{246,248}$/)
  })
})

function setUp({ secret = Buffer.alloc(32, 1), known = new Set<string>() } = {}) {
  const written: Refusal[][] = []
  const told: AccessRequest[] = []
  const logs: string[] = []
  let count = 0
  let fails = false
  const refusals = createRefusals({
    catalog: {
      async noteRefusals(batch) {
        if (fails) throw new Error('The disk is full.')
        written.push([...batch])
        return batch
          .filter(({ tag }) => !known.has(tag ?? ''))
          .map((refusal) => ({ ...refusal, state: 'open' as const }))
      },
    },
    secret,
    onNew: (requests) => void told.push(...requests),
    metrics: { accessRequested: (more) => void (count += more) },
    log: createLog({ write: (line) => void logs.push(line) }),
    now: () => 1_000_000,
  })
  return {
    refusals,
    written,
    told,
    logs,
    counted: () => count,
    fail: (it: boolean) => (fails = it),
  }
}
