import { describe, expect, it } from 'vitest'
import type { NewRule } from '../../src/control/operator.ts'
import { allow, createOperators, DAY, deny, refused, START, user } from './operator-under-test.ts'

const redis = 'docker.io/library/redis'

describe('adding a rule', () => {
  it('is listed with who, when and why, and noted in the audit', async () => {
    const { as, catalog } = createOperators()
    const alice = as(user('alice', 'operate docker.io/**'))
    const added = await alice.addRule({ effect: 'allow', pattern: redis, reason: 'for the shop' })

    expect(added).toEqual({
      id: expect.stringMatching(/^a-[a-z2-7]{6}$/),
      effect: 'allow',
      pattern: redis,
      origin: 'operator',
      reason: 'for the shop',
      owner: 'alice',
      createdAt: START,
      expiresAt: undefined,
      minAge: 0,
      standing: 'in-force',
      overriddenBy: undefined,
      decides: false,
    })
    expect(await alice.rules({})).toEqual([added])
    expect(catalog.entries).toMatchObject([
      {
        at: START,
        actor: 'user:alice',
        address: '192.0.2.7',
        action: 'rule.add',
        subject: redis,
        before: null,
        after: { id: added.id, effect: 'allow', reason: 'for the shop' },
      },
    ])
  })

  it('takes an owner, an end and a least age', async () => {
    const { host } = createOperators()
    const given = { owner: 'team-a', expiresAt: START + DAY, minAge: 3 * DAY }

    expect(await host().addRule({ effect: 'allow', pattern: redis, ...given })).toMatchObject(given)
    expect(await host().addRule({ effect: 'deny', pattern: redis })).toMatchObject({
      id: expect.stringMatching(/^d-/),
      owner: 'root',
    })
  })

  it.each<[string, Partial<NewRule>, string[]]>([
    ['no image', { pattern: 'redis' }, ['pattern']],
    ['another upstream', { pattern: 'ghcr.io/a/b' }, ['pattern']],
    ['nothing', { pattern: '' }, ['pattern']],
    ['a pattern without end', { pattern: `docker.io/${'a'.repeat(800)}` }, ['pattern']],
    ['a control character', { pattern: 'docker.io/re\u0001dis' }, ['pattern']],
    ['a time that has passed', { expiresAt: START }, ['expiresAt']],
    ['a time that is none', { expiresAt: NaN }, ['expiresAt']],
    ['a time after all others', { expiresAt: Number.MAX_SAFE_INTEGER }, ['expiresAt']],
    ['an age below none', { minAge: -1 }, ['minAge']],
    ['half a millisecond', { minAge: 0.5 }, ['minAge']],
    ['an age of what is denied', { effect: 'deny', minAge: DAY }, ['minAge']],
    ['two lines', { reason: 'one\ntwo', owner: 'a\u2028b' }, ['reason', 'owner']],
    ['turned text', { reason: 'for \u202egpj.exe' }, ['reason']],
    ['half a character', { reason: '\ud800' }, ['reason']],
    ['a novel', { reason: 'a'.repeat(501) }, ['reason']],
    ['all of it', { pattern: 'x', expiresAt: 0, minAge: -1 }, ['pattern', 'expiresAt', 'minAge']],
  ])('says at once what is wrong with %s', async (_, given, paths) => {
    const { host, catalog } = createOperators()
    const error = await refused(host().addRule({ effect: 'allow', pattern: redis, ...given }))

    expect(error.code).toBe('invalid')
    expect(error.fields.map(({ path }) => path)).toEqual(paths)
    expect(catalog.entries).toEqual([])
  })

  it('is refused when it is there already, however it is spelled', async () => {
    const { host } = createOperators()
    const { id } = await host().addRule({ effect: 'allow', pattern: 'docker.io/redis:7' })
    const again = { effect: 'allow', pattern: 'index.docker.io/library/redis:7' } as const
    const error = await refused(host().addRule(again))

    expect(error.code).toBe('conflict')
    expect(error.message).toContain(id)
    await expect(host().addRule({ ...again, effect: 'deny' })).resolves.toBeDefined()
    await expect(host().addRule({ effect: 'deny', pattern: redis })).resolves.toBeDefined()
  })

  it('takes the place of one that no longer counts', async () => {
    const { host, pass, catalog } = createOperators()
    const old = await host().addRule({ effect: 'allow', pattern: redis, expiresAt: START + DAY })
    pass(DAY)
    const added = await host().addRule({ effect: 'allow', pattern: redis })

    expect(await host().rules({})).toEqual([added])
    expect(added.id).not.toBe(old.id)
    expect(catalog.entries.map(({ action }) => action)).toEqual([
      'rule.add',
      'rule.remove',
      'rule.add',
    ])
  })

  it('is refused where a rule that counts denies all of it', async () => {
    const { host, pass } = createOperators({ rules: [deny('quay.io/**')] })
    const denied = await host().addRule({
      effect: 'deny',
      pattern: 'docker.io/library/*',
      expiresAt: START + DAY,
    })
    const inFile = await refused(host().addRule({ effect: 'allow', pattern: 'quay.io/a/b:1' }))
    const ofUs = await refused(host().addRule({ effect: 'allow', pattern: redis }))

    expect([inFile.code, ofUs.code]).toEqual(['conflict', 'conflict'])
    expect(inFile.message).toMatch(/file:deny:0.*mirrors\.yml/)
    expect(ofUs.message).toContain(`Remove ${denied.id} first.`)
    await expect(
      host().addRule({ effect: 'allow', pattern: 'docker.io/**' }),
    ).resolves.toBeDefined()
    pass(DAY)
    await expect(host().addRule({ effect: 'allow', pattern: redis })).resolves.toBeDefined()
  })

  it('is for those who operate all of it', async () => {
    const { as } = createOperators()
    const alice = as(user('alice', 'operate docker.io/library/*'))
    const attempts = ['docker.io/**', 'quay.io/a', '**', '*/library/*'].map((pattern) =>
      refused(alice.addRule({ effect: 'deny', pattern })),
    )

    expect((await Promise.all(attempts)).map(({ code }) => code)).toEqual(
      Array(4).fill('forbidden'),
    )
    await expect(alice.addRule({ effect: 'deny', pattern: `${redis}:7` })).resolves.toBeDefined()
  })
})

describe('removing a rule', () => {
  it.each([['its id'], [redis], ['docker.io/redis']])('finds it by %s', async (given) => {
    const { host, catalog } = createOperators()
    const { id } = await host().addRule({ effect: 'allow', pattern: redis })

    expect(await host().removeRule(given === 'its id' ? id : given)).toMatchObject({ id })
    expect(await host().rules({})).toEqual([])
    expect(catalog.entries.at(-1)).toMatchObject({
      action: 'rule.remove',
      subject: redis,
      before: { id },
      after: null,
    })
  })

  it('asks which one where a pattern is both allowed and denied', async () => {
    const { host } = createOperators()
    const allowed = await host().addRule({ effect: 'allow', pattern: redis })
    const denied = await host().addRule({ effect: 'deny', pattern: redis })
    const error = await refused(host().removeRule(redis))

    expect(error.code).toBe('conflict')
    expect(error.message).toContain(allowed.id)
    expect(error.message).toContain(denied.id)
    expect(await host().removeRule(redis, 'allow')).toMatchObject({
      id: allowed.id,
      standing: 'overridden',
      overriddenBy: denied.id,
    })
    expect(await host().removeRule(redis)).toMatchObject({ id: denied.id })
  })

  it('leaves those of the file to the file', async () => {
    const { host } = createOperators({ rules: [allow(redis)] })

    for (const given of ['file:allow:0', redis]) {
      const error = await refused(host().removeRule(given))
      expect(error.code).toBe('conflict')
      expect(error.message).toContain('is in mirrors.yml; remove it there')
    }
    await host().addRule({ effect: 'allow', pattern: redis })
    expect(await host().removeRule(redis)).toMatchObject({ origin: 'operator' })
  })

  it('works for one that no longer counts', async () => {
    const { host, pass } = createOperators()
    await host().addRule({ effect: 'allow', pattern: redis, expiresAt: START + DAY })
    pass(DAY)

    expect(await host().removeRule(redis)).toMatchObject({ standing: 'expired' })
  })

  it('tells an unknown one from one out of reach to nobody', async () => {
    const { host, as } = createOperators()
    const { id } = await host().addRule({ effect: 'allow', pattern: 'quay.io/secret/app' })
    const alice = as(user('alice', 'operate docker.io/**'))
    const other = 'a-aaaaaa'
    const [there, missing, wrongEffect] = [
      await refused(alice.removeRule(id)),
      await refused(alice.removeRule(other)),
      await refused(host().removeRule(id, 'deny')),
    ]

    expect([there.code, missing.code, wrongEffect.code]).toEqual(Array(3).fill('not-found'))
    expect(there.message.replace(id, other)).toBe(missing.message)
    expect(await refused(alice.removeRule('quay.io/secret/app'))).toMatchObject({
      code: 'not-found',
    })
    expect(await host().rules({})).toHaveLength(1)
  })
})

describe('the list of rules', () => {
  it('shows those of the file and of operators, and which have no effect', async () => {
    const { host, pass } = createOperators({ rules: [allow('docker.io/**'), deny('quay.io/x/**')] })
    await host().addRule({ effect: 'allow', pattern: 'quay.io/y/**', expiresAt: START + DAY })
    await host().addRule({ effect: 'allow', pattern: `${redis}:7` })
    const denial = await host().addRule({ effect: 'deny', pattern: 'docker.io/redis' })
    pass(DAY)

    expect(await host().rules({})).toMatchObject([
      { id: 'file:allow:0', standing: 'in-force', overriddenBy: undefined },
      { id: 'file:deny:0', standing: 'in-force' },
      { pattern: 'quay.io/y/**', standing: 'expired' },
      { pattern: `${redis}:7`, standing: 'overridden', overriddenBy: denial.id },
      { id: denial.id, standing: 'in-force' },
    ])
    expect(await host().rules({ effect: 'deny' })).toHaveLength(2)
  })

  it('shows of an image what is about it, and what decides', async () => {
    const { host } = createOperators({ rules: [allow('docker.io/**')] })
    await host().addRule({ effect: 'deny', pattern: 'docker.io/redis:6*' })
    await host().addRule({ effect: 'deny', pattern: 'docker.io/nginx' })
    const about = async (image: string) =>
      (await host().rules({ image })).map(({ pattern, decides }) => [pattern, decides])

    expect(await about('redis:6.2')).toEqual([
      ['docker.io/**', false],
      ['docker.io/redis:6*', true],
    ])
    expect(await about('redis:7')).toEqual([['docker.io/**', true]])
    expect(await about('redis')).toEqual([
      ['docker.io/**', true],
      ['docker.io/redis:6*', false],
    ])
    expect(await about('quay.io/a/b')).toEqual([])
    expect((await refused(host().rules({ image: 'Redis' }))).fields).toMatchObject([
      { path: 'image' },
    ])
    expect(await refused(host().rules({ image: 'ghcr.io/a/b' }))).toMatchObject({ code: 'invalid' })
    expect(await refused(host().rules({ image: 'a'.repeat(2000) }))).toMatchObject({
      code: 'invalid',
    })
  })

  it('lets no rule decide that no longer counts', async () => {
    const { host, pass } = createOperators()
    await host().addRule({ effect: 'allow', pattern: redis, expiresAt: START + DAY })
    pass(DAY)

    expect(await host().rules({ image: 'redis' })).toMatchObject([
      { standing: 'expired', decides: false },
    ])
  })

  it('shows to each what they operate', async () => {
    const { as } = createOperators({ rules: [allow('docker.io/**'), allow('quay.io/a/*', 1)] })
    const patterns = async (...grants: string[]) =>
      (await as(user('alice', ...grants)).rules({})).map(({ pattern }) => pattern)

    expect(await patterns('operate quay.io/**')).toEqual(['quay.io/a/*'])
    expect(await patterns('admin **')).toEqual(['docker.io/**', 'quay.io/a/*'])
    expect(await patterns('operate quay.io/b')).toEqual([])
  })
})
