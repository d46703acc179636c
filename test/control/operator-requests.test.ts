import { describe, expect, it } from 'vitest'
import type { Approval } from '../../src/control/operator.ts'
import {
  allow,
  createOperators,
  DAY,
  deny,
  refusal,
  refused,
  START,
  user,
  type Settings,
} from './operator-under-test.ts'

const redis = 'docker.io/library/redis'

async function withRequests(settings?: Settings) {
  const operators = createOperators(settings)
  await operators.catalog.noteRefusals([
    refusal('r-tag', { name: redis, tag: '7' }),
    refusal('r-digest', { name: redis, lastAt: START - 1 }),
    refusal('r-right', { name: 'quay.io/a/b', tag: '1', reason: 'right', lastAt: START - 2 }),
  ])
  return operators
}

describe('the list of requests', () => {
  it('shows those that are open unless it is asked for others', async () => {
    const { host } = await withRequests()
    await host().dismissRequest('r-tag')
    await host().approveRequest('r-digest', { as: 'repository' })
    const ids = async (state?: 'open' | 'approved' | 'dismissed' | 'all') =>
      (await host().requests({ state })).map(({ id }) => id)

    expect(await ids()).toEqual(['r-right'])
    expect(await ids('dismissed')).toEqual(['r-tag'])
    expect(await ids('approved')).toEqual(['r-digest'])
    expect(await ids('all')).toEqual(['r-tag', 'r-digest', 'r-right'])
  })

  it('shows to each what they operate', async () => {
    const { as } = await withRequests()

    expect(await as(user('alice', 'operate quay.io/**')).requests({})).toMatchObject([
      { id: 'r-right' },
    ])
  })
})

describe('approving a request', () => {
  it.each<[string, string, Approval]>([
    ['r-tag', `${redis}:7`, { as: 'exact' }],
    ['r-tag', redis, { as: 'repository' }],
    ['r-tag', 'docker.io/redis:7*', { as: 'pattern', pattern: 'docker.io/redis:7*' }],
    ['r-tag', 'docker.io/**', { as: 'pattern', pattern: 'docker.io/**' }],
    ['r-digest', redis, { as: 'exact' }],
  ])('%s lets in %s', async (id, pattern, approval) => {
    const { host, catalog } = await withRequests()
    const rule = await host().approveRequest(id, {
      ...approval,
      expiresAt: START + DAY,
      reason: 'asked for by phone',
    })

    expect(rule).toMatchObject({
      effect: 'allow',
      pattern,
      owner: 'root',
      reason: 'asked for by phone',
      expiresAt: START + DAY,
      standing: 'in-force',
    })
    expect(await host().rules({})).toEqual([rule])
    expect(await host().requests({ state: 'approved' })).toMatchObject([{ id }])
    expect(catalog.entries).toMatchObject([
      { action: 'request.approve', subject: id, after: { state: 'approved', rule: rule.id } },
      { action: 'rule.add', subject: pattern, actor: 'host:root', address: 'local' },
    ])
  })

  it.each<[string, string, Approval]>([
    ['is about something else', 'r-tag', { as: 'pattern', pattern: 'docker.io/library/nginx' }],
    ['is about another tag', 'r-tag', { as: 'pattern', pattern: `${redis}:8` }],
    [
      'is about tags, when none was asked for',
      'r-digest',
      { as: 'pattern', pattern: `${redis}:*` },
    ],
    ['is missing', 'r-tag', { as: 'pattern' }],
    ['is none', 'r-tag', { as: 'pattern', pattern: 'redis' }],
    ['is given but not meant', 'r-tag', { as: 'exact', pattern: redis }],
  ])('is refused when the pattern %s', async (_, id, approval) => {
    const { host } = await withRequests()
    const error = await refused(host().approveRequest(id, approval))

    expect(error).toMatchObject({ code: 'invalid', fields: [{ path: 'pattern' }] })
    expect(await host().requests({})).toHaveLength(3)
  })

  it('is refused with a time that has passed, and with two lines of reason', async () => {
    const { host } = await withRequests()
    const given = { as: 'exact', expiresAt: START, reason: 'a\nb' } as const
    const error = await refused(host().approveRequest('r-tag', given))

    expect(error.fields.map(({ path }) => path)).toEqual(['expiresAt', 'reason'])
  })

  it('is refused while a rule denies what was asked for', async () => {
    const { host } = await withRequests({ rules: [deny(`${redis}:7`)] })
    const error = await refused(host().approveRequest('r-tag', { as: 'repository' }))

    expect(error).toMatchObject({ code: 'conflict' })
    expect(error.message).toContain('file:deny:0')
    expect(await host().requests({})).toHaveLength(3)
    await expect(host().approveRequest('r-digest', { as: 'repository' })).resolves.toBeDefined()
  })

  it('adds nothing where the same rule counts already', async () => {
    const { host, catalog } = await withRequests({ rules: [allow('docker.io/redis')] })
    const known = await host().addRule({ effect: 'allow', pattern: `${redis}:7` })

    expect(await host().approveRequest('r-tag', { as: 'exact' })).toMatchObject({ id: known.id })
    expect(await host().approveRequest('r-digest', { as: 'repository' })).toMatchObject({
      id: 'file:allow:0',
    })
    expect(await host().rules({})).toHaveLength(2)
    expect(catalog.entries.map(({ action }) => action)).toEqual([
      'rule.add',
      'request.approve',
      'request.approve',
    ])
  })

  it('makes the same rule anew where it no longer counts', async () => {
    const { host, pass } = await withRequests()
    await host().addRule({ effect: 'allow', pattern: redis, expiresAt: START + DAY })
    pass(DAY)
    const rule = await host().approveRequest('r-tag', { as: 'repository' })

    expect(rule).toMatchObject({ standing: 'in-force', expiresAt: undefined })
    expect(await host().rules({})).toEqual([rule])
  })

  it('adds nothing where only a right was missing, and a rule where one was missing too', async () => {
    const admitted = await withRequests({ rules: [allow('quay.io/**')] })
    const bare = await withRequests()

    expect(await admitted.host().approveRequest('r-right', { as: 'exact' })).toMatchObject({
      id: 'file:allow:0',
    })
    expect(await bare.host().approveRequest('r-right', { as: 'exact' })).toMatchObject({
      pattern: 'quay.io/a/b:1',
    })
  })

  it('happens once', async () => {
    const { host } = await withRequests()
    await host().approveRequest('r-tag', { as: 'exact' })
    await host().dismissRequest('r-digest')

    for (const id of ['r-tag', 'r-digest']) {
      expect(await refused(host().approveRequest(id, { as: 'exact' }))).toMatchObject({
        code: 'conflict',
      })
      expect(await refused(host().dismissRequest(id))).toMatchObject({ code: 'conflict' })
    }
  })

  it('is for those who operate all that it lets in', async () => {
    const { as } = await withRequests()
    const alice = as(user('alice', `operate ${redis}`))
    const wide = alice.approveRequest('r-tag', { as: 'pattern', pattern: 'docker.io/**' })

    expect(await refused(wide)).toMatchObject({ code: 'forbidden' })
    expect(await alice.requests({})).toHaveLength(2)
    await expect(alice.approveRequest('r-tag', { as: 'repository' })).resolves.toBeDefined()
  })

  it('tells an unknown one from one out of reach to nobody', async () => {
    const { as } = await withRequests()
    const alice = as(user('alice', `operate ${redis}`))
    const there = await refused(alice.approveRequest('r-right', { as: 'exact' }))
    const missing = await refused(alice.approveRequest('r-other', { as: 'exact' }))

    expect(there.code).toBe('not-found')
    expect(there.message.replace('r-right', 'r-other')).toBe(missing.message)
    expect(await refused(alice.dismissRequest('r-right'))).toMatchObject({ code: 'not-found' })
  })
})

describe('dismissing a request', () => {
  it('settles it, with the reason in the audit', async () => {
    const { host, catalog } = await withRequests()

    expect(await host().dismissRequest('r-tag', 'use ours')).toMatchObject({
      id: 'r-tag',
      state: 'dismissed',
    })
    expect(catalog.entries).toMatchObject([
      { action: 'request.dismiss', subject: 'r-tag', after: { reason: 'use ours' } },
    ])
    expect(await refused(host().dismissRequest('r-digest', 'a\tb'))).toMatchObject({
      code: 'invalid',
      fields: [{ path: 'reason' }],
    })
  })
})
