import { describe, expect, it } from 'vitest'
import { createOperators, grant, hashOf, refused, START, user } from './operator-under-test.ts'

const password = 'correct horse'
const reader = { name: 'bob', password, grants: [grant('pull **')] }
const fileUsers = new Map([
  ['filip', [grant('pull docker.io/**')]],
  ['fiona', [grant('admin **')]],
])

describe('adding a user', () => {
  it('keeps the hash only, which is shown nowhere', async () => {
    const { host, catalog } = createOperators()
    const added = await host().addUser(reader)

    expect(added).toEqual({
      name: 'bob',
      origin: 'operator',
      grants: [grant('pull **')],
      createdAt: START,
    })
    expect((await catalog.state()).users).toMatchObject([
      { passwordHash: hashOf(password), passwordSetAt: START },
    ])
    expect(catalog.entries).toMatchObject([
      { action: 'user.add', subject: 'bob', after: { grants: [grant('pull **')] } },
    ])
    const shown = JSON.stringify([added, await host().users(), catalog.entries])
    expect(shown).not.toContain(password)
    expect(shown).not.toContain(hashOf(password))
  })

  it('keeps each right once, in the form that all are compared in', async () => {
    const { host } = createOperators()
    const grants = ['pull docker.io/redis', 'pull index.docker.io/library/redis', 'push **']

    expect(await host().addUser({ ...reader, grants: grants.map(grant) })).toMatchObject({
      grants: [grant('pull docker.io/library/redis'), grant('push **')],
    })
  })

  it.each<[string, object, string[]]>([
    ['no name', { name: '' }, ['name']],
    ['a colon', { name: 'a:b' }, ['name']],
    ['a dash in front', { name: '-a' }, ['name']],
    ['a long name', { name: 'a'.repeat(65) }, ['name']],
    ['a line break', { name: 'a\n' }, ['name']],
    ['nobody', { name: 'Anonymous' }, ['name']],
    ['the host', { name: 'host' }, ['name']],
    ['no rights', { grants: [] }, ['grants']],
    ['too many rights', { grants: Array(101).fill(grant('pull **')) }, ['grants']],
    ['no such role', { grants: [grant('pull **'), grant('own **')] }, ['grants[1].role']],
    ['no such upstream', { grants: [grant('pull ghcr.io/**')] }, ['grants[0].pattern']],
    ['a tag', { grants: [grant('pull quay.io/a:1')] }, ['grants[0].pattern']],
    ['a short password', { password: 'short' }, ['password']],
    [
      'everything',
      { name: '', password: '', grants: [grant('own x')] },
      ['name', 'grants[0].role', 'grants[0].pattern', 'password'],
    ],
  ])('says at once what is wrong: %s', async (_, given, paths) => {
    const { host, catalog } = createOperators()
    const error = await refused(host().addUser({ ...reader, ...given }))

    expect(error.code).toBe('invalid')
    expect(error.fields.map(({ path }) => path)).toEqual(paths)
    expect((await catalog.state()).users).toEqual([])
  })

  it('is refused for a name that is taken, here or in the file', async () => {
    const { host } = createOperators({ fileUsers })
    await host().addUser(reader)

    expect(await refused(host().addUser(reader))).toMatchObject({ code: 'conflict' })
    const inFile = await refused(host().addUser({ ...reader, name: 'filip' }))
    expect(inFile.code).toBe('conflict')
    expect(inFile.message).toContain('htpasswd')
  })

  it('gives away only what the caller administers', async () => {
    const { as } = createOperators()
    const alice = as(user('alice', 'admin docker.io/**', 'operate **'))

    for (const right of ['pull **', 'pull quay.io/a', 'admin *.io/**']) {
      const error = await refused(alice.addUser({ ...reader, grants: [grant(right)] }))
      expect(error.code).toBe('forbidden')
      expect(error.message).toContain(right.split(' ')[1])
    }
    const grants = [grant('admin docker.io/**')]
    await expect(alice.addUser({ ...reader, grants })).resolves.toBeDefined()
  })
})

describe('the list of users', () => {
  it('shows those of the file and of operators by name', async () => {
    const { host } = createOperators({ fileUsers })
    await host().addUser(reader)

    expect(await host().users()).toMatchObject([
      { name: 'bob', origin: 'operator' },
      { name: 'filip', origin: 'file', createdAt: undefined },
      { name: 'fiona', origin: 'file' },
    ])
  })

  it('shows to each those of whom they administer every right', async () => {
    const { host, as } = createOperators({ fileUsers })
    await host().addUser({ ...reader, grants: ['pull docker.io/a', 'pull quay.io/a'].map(grant) })

    expect(await as(user('alice', 'admin docker.io/**')).users()).toMatchObject([{ name: 'filip' }])
  })
})

describe('a password', () => {
  it('is set by those who administer the user, and ends what was proven before', async () => {
    const { host, as, catalog } = createOperators()
    await host().addUser({ ...reader, grants: [grant('pull docker.io/**')] })
    const alice = as(user('alice', 'admin docker.io/**'))
    const times = []
    for (const next of ['first password', 'second password']) {
      expect(await alice.setPassword('bob', next)).toMatchObject({ name: 'bob' })
      const [bob] = (await catalog.state()).users
      expect(bob?.passwordHash).toBe(hashOf(next))
      times.push(bob?.passwordSetAt)
    }

    expect(times).toEqual([START + 1, START + 2])
    expect(catalog.entries.slice(1)).toMatchObject([
      { action: 'user.password', subject: 'bob', actor: 'user:alice', before: null, after: null },
      { action: 'user.password' },
    ])
  })

  it('is changed by its user, whatever their rights', async () => {
    const { host, as, catalog } = createOperators()
    await host().addUser(reader)
    const bob = user('bob', 'pull **')

    await expect(as(bob).setPassword('bob', 'another one')).resolves.toBeDefined()
    expect((await catalog.state()).users).toMatchObject([{ passwordHash: hashOf('another one') }])
    expect(await refused(as(bob).setPassword('bob', 'x'))).toMatchObject({ code: 'invalid' })
    expect(await refused(as(bob).setPassword('carol', 'another one'))).toMatchObject({
      code: 'forbidden',
    })
    expect(
      await refused(as({ ...bob, kind: 'robot' }).setPassword('bob', 'another one')),
    ).toMatchObject({ code: 'forbidden' })
    const gone = as(user('carol', 'pull **')).setPassword('carol', 'another one')
    expect(await refused(gone)).toMatchObject({ code: 'not-found' })
  })

  it('of a user of the file is changed there, as are the rights', async () => {
    const { host, as } = createOperators({ fileUsers })
    const attempts = [
      host().setPassword('filip', password),
      host().setGrants('filip', [grant('pull **')]),
      host().removeUser('filip'),
      as(user('filip', 'pull docker.io/**')).setPassword('filip', password),
    ]

    for (const attempt of attempts) {
      const error = await refused(attempt)
      expect(error.code).toBe('conflict')
      expect(error.message).toContain('htpasswd')
    }
  })
})

describe('the rights of a user', () => {
  it('are replaced, with old and new in the audit', async () => {
    const { host, catalog } = createOperators()
    await host().addUser(reader)
    const grants = [grant('push quay.io/a')]

    expect(await host().setGrants('bob', grants)).toMatchObject({ grants })
    expect(await host().users()).toMatchObject([{ grants }])
    expect(catalog.entries.at(-1)).toMatchObject({
      action: 'user.grants',
      subject: 'bob',
      before: { grants: [grant('pull **')] },
      after: { grants },
    })
    expect((await refused(host().setGrants('bob', []))).fields).toMatchObject([{ path: 'grants' }])
  })

  it('are given and taken by those who administer the old and the new', async () => {
    const { host, as } = createOperators()
    await host().addUser({ ...reader, grants: [grant('pull docker.io/**')] })
    const alice = as(user('alice', 'admin docker.io/**'))
    const carol = as(user('carol', 'admin quay.io/**'))

    const wider = alice.setGrants('bob', [grant('pull docker.io/**'), grant('pull quay.io/a')])
    expect(await refused(wider)).toMatchObject({ code: 'forbidden' })
    const taken = carol.setGrants('bob', [grant('pull quay.io/a')])
    expect(await refused(taken)).toMatchObject({ code: 'not-found' })
    await expect(alice.setGrants('bob', [grant('admin docker.io/a')])).resolves.toBeDefined()
  })
})

describe('removing a user', () => {
  it('is noted with what they had', async () => {
    const { host, catalog } = createOperators()
    await host().addUser(reader)

    expect(await host().removeUser('bob')).toMatchObject({ name: 'bob' })
    expect(await host().users()).toEqual([])
    expect(catalog.entries.at(-1)).toMatchObject({
      action: 'user.remove',
      subject: 'bob',
      before: { grants: [grant('pull **')] },
    })
  })

  it('works where the file has the same name by now', async () => {
    const laterFile = new Map<string, []>()
    const { host } = createOperators({ fileUsers: laterFile })
    await host().addUser(reader)
    laterFile.set('bob', [])

    expect(await refused(host().setPassword('bob', password))).toMatchObject({ code: 'conflict' })
    expect(await host().removeUser('bob')).toMatchObject({ origin: 'operator' })
  })

  it('tells an unknown one from one out of reach to nobody', async () => {
    const { host, as } = createOperators({ fileUsers })
    await host().addUser(reader)
    const alice = as(user('alice', 'admin docker.io/**'))

    for (const act of [
      (name: string) => alice.removeUser(name),
      (name: string) => alice.setPassword(name, password),
      (name: string) => alice.setGrants(name, [grant('pull docker.io/a')]),
    ]) {
      const missing = await refused(act('nobody'))
      expect(missing.code).toBe('not-found')
      for (const name of ['bob', 'fiona']) {
        const error = await refused(act(name))
        expect([error.code, error.message.replace(name, 'nobody')]).toEqual([
          'not-found',
          missing.message,
        ])
      }
    }
    expect(await host().users()).toHaveLength(3)
  })
})
