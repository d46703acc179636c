import { describe, expect, it } from 'vitest'
import { fileRule } from '../../src/access/rule.ts'
import { createMoments } from '../../src/control/moments.ts'
import { EMPTY, SETTINGS } from './empty-control.ts'

describe('the policy of this moment', () => {
  it('is not made again while nothing changes', async () => {
    const { moments, reads } = await setUp()
    expect(moments.refresh()).toBeUndefined()
    expect(reads()).toBe(1)
  })

  it('is made again when the catalog has changed', async () => {
    const { moments, allow, admits } = await setUp()
    allow('docker.io/library/redis')
    expect(admits('redis')).toBe(false)
    await moments.refresh()
    expect(admits('redis')).toBe(true)
    expect(moments.refresh()).toBeUndefined()
  })

  it('is read anew for whoever comes after a change, though a reading is under way', async () => {
    const { moments, allow, admits, holdReads } = await setUp()
    const release = holdReads()
    allow('docker.io/library/redis')
    const first = moments.refresh()
    allow('docker.io/library/nginx')
    const second = moments.refresh()
    const third = moments.refresh()
    release()
    await first
    await Promise.all([second, third])
    expect(admits('nginx')).toBe(true)
  })

  it('is read no more often than needed by many who ask at once', async () => {
    const { moments, allow, reads } = await setUp()
    allow('docker.io/library/redis')
    await Promise.all(Array.from({ length: 100 }, async () => moments.refresh()))
    expect(reads()).toBeLessThanOrEqual(3)
  })

  it('ends when a rule does', async () => {
    const { moments, allow, admits, setTime } = await setUp()
    allow('docker.io/library/redis', 2000)
    await moments.refresh()
    expect(admits('redis')).toBe(true)
    setTime(1999)
    expect(moments.refresh()).toBeUndefined()
    setTime(2000)
    await moments.refresh()
    expect(admits('redis')).toBe(false)
  })

  it('stays as it was when it cannot be read, and is tried again by the next', async () => {
    const { moments, allow, admits, failReads } = await setUp()
    failReads(true)
    allow('docker.io/library/redis')
    await expect(moments.refresh()).rejects.toThrow('The disk is gone.')
    failReads(false)
    await moments.refresh()
    expect(admits('redis')).toBe(true)
  })

  it('follows the file of users', async () => {
    const { moments, changeFile } = await setUp()
    changeFile('alice')
    await moments.refresh()
    expect(moments.current().user('alice')?.origin).toBe('file')
    expect(moments.current().policy.asksForLogin).toBe(true)
  })

  it('is current until something has changed, and again when that was read', async () => {
    const { moments, allow } = await setUp()
    expect(moments.isCurrent()).toBe(true)
    allow('docker.io/library/redis')
    expect(moments.isCurrent()).toBe(false)
    expect(moments.isCurrent()).toBe(false)
    await moments.refresh()
    expect(moments.isCurrent()).toBe(true)
  })

  it('is not current while it is read, nor when that has failed', async () => {
    const { moments, allow, holdReads, failReads } = await setUp()
    const release = holdReads()
    allow('docker.io/library/redis')
    const reading = moments.refresh()
    expect(moments.isCurrent()).toBe(false)
    release()
    await reading
    expect(moments.isCurrent()).toBe(true)
    failReads(true)
    allow('docker.io/library/nginx')
    await expect(moments.refresh()).rejects.toThrow('The disk is gone.')
    expect(moments.isCurrent()).toBe(false)
  })

  it('is not current from the moment at which a rule ends', async () => {
    const { moments, allow, setTime } = await setUp()
    allow('docker.io/library/redis', 2000)
    await moments.refresh()
    setTime(1999)
    expect(moments.isCurrent()).toBe(true)
    setTime(2000)
    expect(moments.isCurrent()).toBe(false)
  })

  it('is not current when the file of users has changed, whoever has noticed it', async () => {
    const { moments, changeFile } = await setUp()
    changeFile('alice')
    // The file tells it once.
    expect(moments.isCurrent()).toBe(false)
    expect(moments.isCurrent()).toBe(false)
    await moments.refresh()
    expect(moments.current().user('alice')?.origin).toBe('file')
    expect(moments.isCurrent()).toBe(true)
  })

  it('is not current from the call on by which it is made anew', async () => {
    const { moments } = await setUp()
    const policy = moments.current().policy
    const renewing = moments.renew()
    expect(moments.isCurrent()).toBe(false)
    await renewing
    expect(moments.isCurrent()).toBe(true)
    expect(moments.current().policy).not.toBe(policy)
  })

  it('is the same object while nothing has changed', async () => {
    const { moments } = await setUp()
    const { policy } = moments.current()
    await moments.refresh()
    expect(moments.isCurrent()).toBe(true)
    expect(moments.current().policy).toBe(policy)
  })
})

async function setUp() {
  let state = EMPTY
  let version = 1
  let reads = 0
  let fails = false
  let time = 0
  let held: Promise<void> = Promise.resolve()
  let fileChanged = false
  let users = new Map<string, string>()
  const moments = await createMoments({
    catalog: {
      version: () => version,
      async state() {
        reads += 1
        const read = state
        await held
        if (fails) throw new Error('The disk is gone.')
        return read
      },
    },
    settings: () => SETTINGS,
    file: () => ({
      refresh() {
        const changed = fileChanged
        fileChanged = false
        return changed
      },
      users: () => users,
    }),
    now: () => time,
  })
  return {
    moments,
    reads: () => reads,
    admits: (name: string) =>
      !moments.current().policy.allowlist.judge('docker.io', `library/${name}`).refused,
    allow: (pattern: string, expiresAt?: number) => {
      const place = state.rules.length
      const rule = {
        ...fileRule('allow', pattern, { place }),
        origin: 'operator',
        expiresAt,
      } as const
      state = { ...state, rules: [...state.rules, rule] }
      version += 1
    },
    holdReads: () => {
      const { promise, resolve } = withResolvers()
      held = promise
      return resolve
    },
    failReads: (it: boolean) => (fails = it),
    setTime: (it: number) => (time = it),
    changeFile: (name: string) => {
      users = new Map([[name, '$2b$05$x']])
      fileChanged = true
    },
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}
