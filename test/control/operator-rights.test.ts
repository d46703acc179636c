import { describe, expect, it } from 'vitest'
import type { PrincipalKind, Role } from '../../src/access/principal.ts'
import type { Operator } from '../../src/control/operator.ts'
import { ANONYMOUS, createOperators, DIGEST, grant, refused, user } from './operator-under-test.ts'

/** Each use-case, with what it is about, and the role that it needs there. */
const USE_CASES: Record<
  Exclude<keyof Operator, 'whoami'>,
  [Role, (operator: Operator) => Promise<unknown>]
> = {
  rules: ['operate', (operator) => operator.rules({})],
  addRule: ['operate', (operator) => operator.addRule({ effect: 'deny', pattern: 'quay.io/a' })],
  removeRule: ['operate', (operator) => operator.removeRule('a-aaaaaa')],
  requests: ['operate', (operator) => operator.requests({})],
  approveRequest: ['operate', (operator) => operator.approveRequest('r-1', { as: 'exact' })],
  dismissRequest: ['operate', (operator) => operator.dismissRequest('r-1')],
  explain: ['operate', (operator) => operator.explain('quay.io/a')],
  users: ['admin', (operator) => operator.users()],
  addUser: [
    'admin',
    (operator) =>
      operator.addUser({
        name: 'bob',
        password: 'a password',
        grants: [grant('pull quay.io/a')],
      }),
  ],
  setPassword: ['admin', (operator) => operator.setPassword('carol', 'a password')],
  setGrants: ['admin', (operator) => operator.setGrants('carol', [grant('pull quay.io/a')])],
  removeUser: ['admin', (operator) => operator.removeUser('carol')],
  tokens: ['admin', (operator) => operator.tokens()],
  addToken: [
    'admin',
    (operator) => operator.addToken({ name: 'ci', grants: [grant('pull quay.io/a')] }),
  ],
  removeToken: ['admin', (operator) => operator.removeToken('t1')],
  approvals: ['operate', (operator) => operator.approvals()],
  approveDigest: ['operate', (operator) => operator.approveDigest(`quay.io/a@${DIGEST}`)],
  withdrawApproval: ['operate', (operator) => operator.withdrawApproval(`quay.io/a@${DIGEST}`)],
  frozenTags: ['operate', (operator) => operator.frozenTags()],
  freezeTag: ['operate', (operator) => operator.freezeTag(`quay.io/a:1@${DIGEST}`)],
  unfreezeTag: ['operate', (operator) => operator.unfreezeTag('quay.io/a:1')],
  audit: ['admin', (operator) => allOf(() => operator.audit({}))],
}

/** What is asked of everything needs the role on everything. */
const EVERYWHERE = new Set(['audit'])

const INCLUDES: Record<Role, readonly string[]> = {
  pull: ['pull'],
  push: ['pull', 'push'],
  operate: ['pull', 'operate'],
  admin: ['pull', 'push', 'operate', 'admin'],
}

const KINDS: readonly PrincipalKind[] = ['user', 'robot', 'host']

describe.each(Object.entries(USE_CASES))('%s', (name, [role, run]) => {
  it('is for nobody without a name', async () => {
    const attempt = run(createOperators().as({ ...ANONYMOUS, grants: [grant('pull **')] }))

    expect(await refused(attempt)).toMatchObject({ code: 'unauthenticated' })
  })

  it.each(['pull', 'push', 'operate', 'admin'] as const)('asks for its role of %s', async (has) => {
    for (const kind of KINDS) {
      for (const pattern of ['**', 'quay.io/**', 'quay.io/a']) {
        const caller = { ...user('alice', `${has} ${pattern}`), kind }
        const code = await codeOf(run(createOperators().as(caller)))
        const may = INCLUDES[has].includes(role) && (pattern === '**' || !EVERYWHERE.has(name))

        expect(may ? [undefined, 'not-found'] : ['forbidden']).toContain(code)
      }
    }
  })

  it('says which role is missing', async () => {
    const error = await refused(run(createOperators().as(user('alice', 'pull **'))))

    expect(error.message).toContain(`the role ${role} on `)
    expect(error.message).toContain('alice')
  })
})

describe('somebody without any right', () => {
  it('may know who they are', async () => {
    const { as } = createOperators()

    expect(await as(user('alice')).whoami()).toEqual({ kind: 'user', name: 'alice', grants: [] })
    expect(await as(ANONYMOUS).whoami()).toEqual(ANONYMOUS)
    expect(await refused(as(user('alice')).rules({}))).toMatchObject({ code: 'forbidden' })
  })

  it('learns nothing of what would be wrong with what they gave', async () => {
    const { as } = createOperators()
    const [stranger, puller] = [as(ANONYMOUS), as(user('alice', 'pull **'))]
    const attempts = (operator: Operator) => [
      operator.addRule({ effect: 'allow', pattern: '' }),
      operator.addUser({ name: '', password: '', grants: [] }),
      operator.setGrants('', []),
      operator.addToken({ name: '', grants: [] }),
      operator.approveDigest(''),
      operator.freezeTag(''),
      operator.explain(''),
      operator.approveRequest('', { as: 'pattern', expiresAt: 0 }),
      operator.dismissRequest('', '\n'),
    ]

    for (const attempt of attempts(stranger)) {
      expect(await refused(attempt)).toMatchObject({ code: 'unauthenticated' })
    }
    for (const attempt of attempts(puller)) {
      expect(await refused(attempt)).toMatchObject({ code: 'forbidden' })
    }
  })
})

async function allOf<T>(entries: () => AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const entry of entries()) all.push(entry)
  return all
}

async function codeOf(attempt: Promise<unknown>): Promise<string | undefined> {
  const succeeded = Symbol('succeeded')
  const outcome = await attempt.then(
    () => succeeded,
    (error: unknown) => error,
  )
  return outcome === succeeded ? undefined : (await refused(Promise.reject(outcome))).code
}
