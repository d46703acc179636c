import { describe, expect, it } from 'vitest'
import { firstAdminDecision } from '../../src/control/token-decisions.ts'
import {
  createOperators,
  DAY,
  grant,
  hashOf,
  refused,
  START,
  user,
  type Settings,
} from './operator-under-test.ts'

const full = [grant('admin **')]
const puller = { name: 'ci', grants: [grant('pull docker.io/**')] }

describe('adding a token', () => {
  it('tells the secret once and keeps its hash', async () => {
    const { as, catalog } = createOperators()
    const alice = as(user('alice', 'admin docker.io/**'))
    const { token, ...listed } = await alice.addToken({ ...puller, expiresAt: START + DAY })

    expect(listed).toEqual({
      ...puller,
      id: 't1',
      owner: 'alice',
      createdAt: START,
      expiresAt: START + DAY,
    })
    expect(await alice.tokens()).toEqual([listed])
    expect((await catalog.state()).tokens).toMatchObject([
      { secretHash: hashOf(token), isFirst: false },
    ])
    expect(catalog.entries).toMatchObject([
      { action: 'token.add', subject: 't1', actor: 'user:alice', after: puller },
    ])
    const shown = JSON.stringify([await alice.tokens(), catalog.entries])
    expect(shown).not.toContain(token)
    expect(shown).not.toContain(hashOf(token))
  })

  it('lets robots share a name', async () => {
    const { host } = createOperators()
    await host().addToken(puller)
    await host().addToken(puller)

    expect((await host().tokens()).map(({ id }) => id)).toEqual(['t1', 't2'])
  })

  it.each<[string, object, string[]]>([
    ['a bad name', { name: 'a b' }, ['name']],
    ['the name of the first one', { name: 'first-admin' }, ['name']],
    ['no rights', { grants: [] }, ['grants']],
    ['a time that has passed', { expiresAt: START }, ['expiresAt']],
  ])('says what is wrong: %s', async (_, given, paths) => {
    const { host } = createOperators()
    const error = await refused(host().addToken({ ...puller, ...given }))

    expect(error.code).toBe('invalid')
    expect(error.fields.map(({ path }) => path)).toEqual(paths)
  })

  it('gives away only what the caller administers', async () => {
    const { as } = createOperators()
    const alice = as(user('alice', 'admin quay.io/**'))

    expect(await refused(alice.addToken(puller))).toMatchObject({ code: 'forbidden' })
    expect(await alice.tokens()).toEqual([])
  })
})

describe('removing a token', () => {
  it('tells an unknown one from one out of reach to nobody', async () => {
    const { host, as, catalog } = createOperators()
    await host().addToken(puller)
    const alice = as(user('alice', 'admin quay.io/**'))
    const there = await refused(alice.removeToken('t1'))
    const missing = await refused(alice.removeToken('t9'))

    expect([there.code, there.message.replace('t1', 't9')]).toEqual(['not-found', missing.message])
    expect(await alice.tokens()).toEqual([])
    expect(await host().removeToken('t1')).toMatchObject({ id: 't1', name: 'ci' })
    expect(await host().tokens()).toEqual([])
    expect(catalog.entries.at(-1)).toMatchObject({
      action: 'token.remove',
      subject: 't1',
      before: puller,
    })
  })
})

describe('the token of the first start', () => {
  async function started(settings?: Settings) {
    const operators = createOperators(settings)
    const { fileUsers = new Map() } = settings ?? {}
    const start = (id: string) =>
      operators.catalog.change(({ state }) =>
        firstAdminDecision(state, fileUsers, { id, secretHash: hashOf(id) }, operators.now()),
      )
    return { ...operators, start }
  }

  it('administers everything for a day, and replaces the one before', async () => {
    const { start, catalog } = await started()

    expect([await start('one'), await start('two')]).toEqual([true, true])
    expect((await catalog.state()).tokens).toEqual([
      {
        id: 'two',
        name: 'first-admin',
        secretHash: hashOf('two'),
        grants: full,
        owner: 'entrepot',
        createdAt: START,
        expiresAt: START + DAY,
        isFirst: true,
      },
    ])
    expect(catalog.entries.map(({ action, subject }) => `${action} ${subject}`)).toEqual([
      'token.add one',
      'token.remove one',
      'token.add two',
    ])
    expect(JSON.stringify(catalog.entries)).not.toContain(hashOf('two'))
  })

  it('is not made where there is an admin, also of the file', async () => {
    const ours = await started()
    await ours.host().addToken({ name: 'ops', grants: full })
    const theirs = await started({ fileUsers: new Map([['fiona', full]]) })

    expect([await ours.start('one'), await theirs.start('one')]).toEqual([false, false])
    expect((await theirs.catalog.state()).tokens).toEqual([])
  })

  it('ends in the change that makes the first admin', async () => {
    for (const isUser of [true, false]) {
      const { start, host, catalog } = await started()
      await start('one')
      await host().addUser({ name: 'bob', password: 'long enough', grants: [grant('pull **')] })
      expect((await catalog.state()).tokens).toHaveLength(1)

      if (isUser) await host().setGrants('bob', full)
      else await host().addToken({ name: 'ops', grants: full })
      expect((await catalog.state()).tokens.filter(({ isFirst }) => isFirst)).toEqual([])
      expect(catalog.entries.at(-1)).toMatchObject({ action: 'token.remove', subject: 'one' })
    }
  })

  it('may be removed, and is nobody whose loss would lock anybody out', async () => {
    const { start, host } = await started()
    await start('one')

    await expect(host().removeToken('one')).resolves.toMatchObject({ name: 'first-admin' })
  })
})
