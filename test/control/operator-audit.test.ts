import { describe, expect, it } from 'vitest'
import { actorName, configChangedRecord } from '../../src/control/audit-record.ts'
import { fileRule } from '../../src/access/rule.ts'
import {
  allow,
  ANONYMOUS,
  createOperators,
  DAY,
  deny,
  grant,
  refused,
  settingsWith,
  START,
  user,
} from './operator-under-test.ts'

describe('reading the audit', () => {
  it('gives all entries in order, or those since a time', async () => {
    const { host, pass } = createOperators()
    await host().addRule({ effect: 'allow', pattern: 'quay.io/a' })
    pass(DAY)
    await host().addRule({ effect: 'allow', pattern: 'quay.io/b' })
    const subjects = async (since?: number) => {
      const found: string[] = []
      for await (const { subject } of host().audit({ since })) found.push(subject)
      return found
    }

    expect(await subjects()).toEqual(['quay.io/a', 'quay.io/b'])
    expect(await subjects(START + 1)).toEqual(['quay.io/b'])
  })

  it('is refused at once, before an answer has begun', async () => {
    const { as } = createOperators()
    const read = async () => as(user('alice', 'admin docker.io/**')).audit({})

    expect(await refused(read())).toMatchObject({ code: 'forbidden' })
  })
})

describe('an entry of the audit', () => {
  it.each([
    ['user:alice', user('alice')],
    ['robot:ci', { ...user('ci'), kind: 'robot' as const }],
    ['host:root', { ...user('root'), kind: 'host' as const }],
    ['anonymous', ANONYMOUS],
  ])('calls its actor %s', (name, principal) => {
    expect(actorName(principal)).toBe(name)
  })
})

describe('a changed configuration', () => {
  const before = settingsWith({
    rules: [allow('docker.io/**'), deny('quay.io/x')],
    anonymous: ['docker.io/**', 'quay.io/**'],
    fileGrants: new Map([['alice', [grant('pull **')]]]),
  })

  it('is noted with what went and what came, and nothing that stayed', () => {
    const slow = fileRule('allow', 'docker.io/**', { place: 0, minAge: DAY })
    const after = settingsWith({
      rules: [slow, deny('quay.io/x')],
      anonymous: [],
      fileGrants: new Map([
        ['zoe', [grant('pull **')]],
        ['bob', [grant('admin **')]],
      ]),
      htpasswd: '/etc/users',
      anonymousStatus: false,
    })

    expect(configChangedRecord(before, after, START)).toEqual({
      at: START,
      actor: 'file',
      address: 'local',
      action: 'config.changed',
      subject: 'mirrors.yml',
      before: {
        rules: ['allow docker.io/**'],
        anonymous: ['docker.io/**', 'quay.io/**'],
        anonymousStatus: true,
        grants: [{ user: 'alice', grants: [grant('pull **')] }],
        htpasswd: null,
      },
      after: {
        rules: ['allow docker.io/** after 86400 s'],
        anonymous: [],
        anonymousStatus: false,
        grants: [
          { user: 'bob', grants: [grant('admin **')] },
          { user: 'zoe', grants: [grant('pull **')] },
        ],
        htpasswd: '/etc/users',
      },
    })
    expect(configChangedRecord(before, { ...before, anonymous: ['**'] }, START)).toMatchObject({
      before: { anonymous: ['docker.io/**', 'quay.io/**'] },
      after: { anonymous: ['**'] },
    })
    expect(configChangedRecord(before, { ...before, rules: [] }, START)?.after).toEqual({
      rules: [],
    })
  })

  it('is not noted when nobody may do more or less than before', () => {
    const after = {
      ...before,
      rules: before.rules.toReversed(),
      anonymous: before.anonymous.toReversed(),
      webhook: { url: 'https://hooks.example/secret-path', secret: 'a secret of the webhook' },
    }

    expect(configChangedRecord(before, after, START)).toBeUndefined()
    const both = configChangedRecord(before, { ...after, htpasswd: '/etc/users' }, START)
    expect(JSON.stringify(both)).not.toContain('secret')
  })

  it('takes any name of a user', () => {
    const odd = new Map([['__proto__', [grant('pull **')]]])

    expect(configChangedRecord(before, { ...before, fileGrants: odd }, START)?.after).toEqual({
      grants: [{ user: '__proto__', grants: [grant('pull **')] }],
    })
  })
})
