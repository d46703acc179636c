import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Grant, Principal } from '../../src/access/principal.ts'
import type { ControlState } from '../../src/catalog/control-catalog.ts'
import { ControlError, type ControlErrorCode } from '../../src/control/error.ts'
import type { Operator } from '../../src/control/operator.ts'
import { createOperators, DAY, grant, refused, START, user } from './operator-under-test.ts'

const full = [grant('admin **')]
const password = 'a long password'

describe('the last admin', () => {
  it('stays, also when the machine itself asks', async () => {
    const { host } = createOperators()
    await host().addUser({ name: 'alice', password, grants: full })
    await host().addToken({ name: 'ops', grants: full, expiresAt: START + DAY })

    await expect(host().setGrants('alice', [grant('operate **')])).resolves.toBeDefined()
    expect(await refused(host().removeToken('t1'))).toMatchObject({ code: 'last-admin' })
    await host().setGrants('alice', full)
    await expect(host().removeToken('t1')).resolves.toBeDefined()
    for (const attempt of [
      host().removeUser('alice'),
      host().setGrants('alice', [grant('operate **')]),
      host().setGrants('alice', [grant('admin docker.io/**')]),
    ]) {
      expect(await refused(attempt)).toMatchObject({ code: 'last-admin' })
    }
    expect(await host().users()).toMatchObject([{ name: 'alice', grants: full }])
  })

  it('may be one of the file, and is none whose name the file gives to another', async () => {
    const fileUsers = new Map([['fiona', full]])
    const { host } = createOperators({ fileUsers })
    await host().addUser({ name: 'alice', password, grants: full })
    await host().addUser({ name: 'bob', password, grants: full })

    await expect(host().removeUser('bob')).resolves.toBeDefined()
    fileUsers.delete('fiona')
    await host().addUser({ name: 'carol', password, grants: full })
    fileUsers.set('carol', [grant('pull **')])
    expect(await refused(host().removeUser('alice'))).toMatchObject({ code: 'last-admin' })
  })

  it('is not a robot whose time is over', async () => {
    const { host, pass } = createOperators()
    await host().addUser({ name: 'alice', password, grants: full })
    await host().addToken({ name: 'ops', grants: full, expiresAt: START + DAY })
    pass(DAY)

    expect(await refused(host().removeUser('alice'))).toMatchObject({ code: 'last-admin' })
  })

  it('is kept by any sequence of edits, which hinders no other edit', async () => {
    const edits = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant('add'), name: names, grants: someGrants }),
        fc.record({ kind: fc.constant('grant'), name: names, grants: someGrants }),
        fc.record({ kind: fc.constant('remove'), name: names, grants: someGrants }),
        fc.record({ kind: fc.constant('token'), name: names, grants: someGrants }),
        fc.record({ kind: fc.constant('untoken'), name: tokenIds, grants: someGrants }),
      ),
      { maxLength: 25 },
    )
    const seen = new Map<ControlErrorCode | 'done', number>()
    await fc.assert(
      fc.asyncProperty(edits, async (sequence) => {
        const { host, catalog } = createOperators()
        for (const { kind, name, grants } of sequence) {
          const before = admins(await catalog.state())
          const code = await outcome(edit(host(), kind, name, grants))
          const after = admins(await catalog.state())
          seen.set(code, (seen.get(code) ?? 0) + 1)

          expect(after.length).toBeGreaterThanOrEqual(Math.min(before.length, 1))
          // Refused only where there is no other one, and the edit is about that one.
          expect(code === 'last-admin' ? before : [name]).toEqual([name])
        }
      }),
      { numRuns: 400 },
    )
    expect([...seen.keys()].toSorted()).toEqual(['conflict', 'done', 'last-admin', 'not-found'])
  })
})

describe('an admin of a part', () => {
  it('never gets more than that, nor touches who has more, whatever the sequence of edits', async () => {
    const steps = fc.array(
      fc.record({
        actor: fc.nat(),
        kind: fc.constantFrom('add', 'add', 'grant', 'remove', 'token', 'untoken', 'password'),
        name: fc.oneof(names, fc.constantFrom('root', 'wide', 'alice')),
        grants: someGrants,
      }),
      { maxLength: 25 },
    )
    const seen = new Map<ControlErrorCode | 'done', number>()
    await fc.assert(
      fc.asyncProperty(scopes, steps, async (scope, sequence) => {
        const world = await createWorld(scope)
        const untouched = await world.outsiders()
        for (const { actor, kind, name, grants } of sequence) {
          const accounts = await world.controlled()
          const code = await outcome(
            world.act(accounts[actor % accounts.length], kind, name, grants),
          )
          seen.set(code, (seen.get(code) ?? 0) + 1)

          for (const account of await world.controlled()) {
            expect(rightsOf(account.grants).filter((right) => !world.limit.has(right))).toEqual([])
          }
          expect(await world.outsiders()).toEqual(untouched)
        }
      }),
      { numRuns: 300 },
    )
    for (const code of ['done', 'forbidden', 'not-found'] as const) {
      expect(seen.get(code)).toBeGreaterThan(50)
    }
  })
})

const names = fc.constantFrom('ann', 'ben')
const tokenIds = fc.constantFrom('t1', 't2', 't3', 't4')
const patterns = fc.constantFrom(
  '**',
  '*/**',
  '*.io/**',
  '**/app',
  'docker.io/**',
  'docker.io/team/*',
  'docker.io/team/app',
  'docker.io/app',
  'quay.io/**',
  'quay.io/*',
  'quay.io/team/app',
)
const scopes = fc.constantFrom('docker.io/**', 'docker.io/team/*', 'quay.io/*', '*/team/app')
const someGrants: fc.Arbitrary<Grant[]> = fc.array(
  fc.record({
    role: fc.constantFrom('pull', 'push', 'operate', 'admin', 'admin'),
    pattern: patterns,
  }),
  { minLength: 1, maxLength: 2 },
)

/** Every repository that there is in this world, so that rights can be counted. */
const REPOSITORIES = ['docker.io', 'quay.io', 'registry.lan'].flatMap((upstream) =>
  ['app', 'team/app', 'team/web', 'team/sub/app', 'library/app', 'other'].map(
    (repository) => `${upstream}/${repository}`,
  ),
)

const ROLES_OF = {
  pull: ['pull'],
  push: ['pull', 'push'],
  operate: ['pull', 'operate'],
  admin: ['pull', 'push', 'operate', 'admin'],
}

/** The model: each role in each repository, by regular expressions instead of our matcher. */
function rightsOf(grants: readonly Grant[]): string[] {
  return grants.flatMap(({ role, pattern }) => {
    const text = pattern
      .replace(/[.]/g, '\\.')
      .replace(/\*\*/g, '%')
      .replace(/\*/g, '[^/]*')
      .replace(/%/g, '.*')
    const matching = REPOSITORIES.filter((name) => new RegExp(`^${text}$`).test(name))
    return matching.flatMap((name) => ROLES_OF[role].map((included) => `${included} ${name}`))
  })
}

/** `root` and `wide` have more than the scope, `alice` administers the scope. */
async function createWorld(scope: string) {
  const operators = createOperators()
  const { host, catalog, as } = operators
  await host().addUser({ name: 'root', password, grants: full })
  await host().addUser({ name: 'wide', password, grants: [grant('pull **')] })
  await host().addUser({ name: 'alice', password, grants: [grant(`admin ${scope}`)] })
  await host().addToken({ name: 'wide', grants: full })
  const outside = new Set(['root', 'wide', 't1'])

  async function controlled(): Promise<Principal[]> {
    const { users, tokens } = await catalog.state()
    return [
      user('alice', `admin ${scope}`),
      ...users
        .filter(({ name }) => !outside.has(name))
        .map(({ name, grants }): Principal => ({ kind: 'user', name, grants })),
      ...tokens
        .filter(({ id }) => !outside.has(id))
        .map(({ name, grants }): Principal => ({ kind: 'robot', name, grants })),
    ]
  }

  return {
    limit: new Set(rightsOf([grant(`admin ${scope}`)])),
    controlled,
    async outsiders() {
      const { users, tokens } = await catalog.state()
      return [
        users.filter(({ name }) => outside.has(name)),
        tokens.filter(({ id }) => outside.has(id)),
      ]
    },
    act: (
      actor: Principal | undefined,
      kind: string,
      name: string,
      grants: readonly Grant[],
    ): Promise<unknown> => {
      if (actor === undefined) throw new TypeError('Nobody acts.')
      const id = name.length % 2 === 0 ? 't1' : 't2'
      return edit(as(actor), kind, kind === 'untoken' ? id : name, grants)
    },
  }
}

function edit(
  operator: Operator,
  kind: string,
  name: string,
  grants: readonly Grant[],
): Promise<unknown> {
  switch (kind) {
    case 'add':
      return operator.addUser({ name, password, grants })
    case 'grant':
      return operator.setGrants(name, grants)
    case 'remove':
      return operator.removeUser(name)
    case 'token':
      return operator.addToken({ name, grants })
    case 'untoken':
      return operator.removeToken(name)
    default:
      return operator.setPassword(name, password)
  }
}

async function outcome(attempt: Promise<unknown>): Promise<ControlErrorCode | 'done'> {
  try {
    await attempt
    return 'done'
  } catch (error) {
    if (error instanceof ControlError) return error.code
    throw error
  }
}

/** Names and ids of those who administer everything. */
function admins({ users, tokens }: ControlState): string[] {
  const isFull = ({ grants }: { grants: readonly Grant[] }) =>
    grants.some(({ role, pattern }) => role === 'admin' && pattern === '**')
  return [
    ...users.filter(isFull).map(({ name }) => name),
    ...tokens.filter(isFull).map(({ id }) => id),
  ]
}
