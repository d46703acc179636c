import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ACTIONS,
  authorize,
  EVERYWHERE,
  mayGrant,
  SOMEWHERE,
  type Action,
  type Resource,
} from '../../src/access/authorize.ts'
import { ROLES, type Grant, type Principal, type Role } from '../../src/access/principal.ts'

const ALL_ACTIONS = Object.keys(ACTIONS) as Action[]

/** What each role may do, written down once more: whoever changes one of them has to say so twice. */
const MAY: Readonly<Record<Role, readonly Action[]>> = {
  pull: ['public', 'pull', 'password.write'],
  push: ['public', 'pull', 'push', 'password.write'],
  operate: [
    'public',
    'pull',
    'rules.read',
    'rules.write',
    'requests.read',
    'requests.decide',
    'content.read',
    'content.write',
    'explain',
    'warm',
    'observe',
    'password.write',
  ],
  admin: ALL_ACTIONS,
}

const APP: Resource = { kind: 'repository', name: 'quay.io/team/app' }
const OTHER: Resource = { kind: 'repository', name: 'docker.io/library/redis' }

const cells = ROLES.flatMap((role) => ALL_ACTIONS.map((action) => [role, action] as const))

describe('a role', () => {
  it.each(cells)('%s, of one upstream: %s', (role, action) => {
    const mayDo = MAY[role].includes(action)
    const principal = somebody({ role, pattern: 'quay.io/**' })

    expect(authorize(principal, action, APP)).toBe(mayDo)
    expect(authorize(principal, action, pattern('quay.io/team/*'))).toBe(mayDo)
    expect(authorize(principal, action, SOMEWHERE)).toBe(mayDo)
    expect(authorize(principal, action, OTHER)).toBe(action === 'public')
    expect(authorize(principal, action, pattern('**'))).toBe(action === 'public')
    expect(authorize(principal, action, EVERYWHERE)).toBe(action === 'public')
  })

  it.each(cells)('%s, of everything: %s', (role, action) => {
    const principal = somebody({ role, pattern: '**' })

    for (const resource of [APP, OTHER, pattern('**'), SOMEWHERE, EVERYWHERE]) {
      expect(authorize(principal, action, resource)).toBe(MAY[role].includes(action))
    }
  })

  it.each(ALL_ACTIONS)('nobody: %s', (action) => {
    for (const kind of ['anonymous', 'user', 'robot', 'host'] as const) {
      const principal: Principal = { kind, name: 'nobody', grants: [] }

      for (const resource of [APP, pattern('quay.io/**'), SOMEWHERE, EVERYWHERE]) {
        expect(authorize(principal, action, resource)).toBe(action === 'public')
      }
    }
  })
})

describe('a right', () => {
  it.each([
    ['quay.io/team/*', 'quay.io/team/app', true],
    ['quay.io/team/*', 'quay.io/team', false],
    ['quay.io/team/*', 'quay.io/team/app/deep', false],
    ['quay.io/team/*', 'quay.io/teams/app', false],
    ['quay.io/**', 'quay.io.evil.test/app', false],
    ['docker.io/library/redis', 'docker.io/library/redis', true],
    ['docker.io/library/redis', 'docker.io/library/redis2', false],
    ['*/team/app', 'quay.io/team/app', true],
  ])('to %s reaches %s: %s', (granted, name, expected) => {
    const principal = somebody({ role: 'pull', pattern: granted })

    expect(authorize(principal, 'pull', { kind: 'repository', name })).toBe(expected)
  })

  it.each([
    ['quay.io/**', 'quay.io/team/app:7.*', true],
    ['quay.io/team/app', 'quay.io/team/app:7.*', true],
    ['quay.io/team/*', 'quay.io/**', false],
    ['quay.io/**', '**', false],
    ['docker.io/library/*', 'docker.io/redis', true],
    ['docker.io/library/*', 'index.docker.io/redis:7', true],
    ['docker.io/library/*', 'docker.io/team/redis', false],
    ['quay.io/**', '*/team/app', false],
  ])('to operate %s is one to write a rule about %s: %s', (granted, written, expected) => {
    const principal = somebody({ role: 'operate', pattern: granted })

    expect(authorize(principal, 'rules.write', pattern(written))).toBe(expected)
  })

  it('counts by itself: two halves are no whole', () => {
    const principal = somebody(
      { role: 'operate', pattern: 'quay.io/**' },
      { role: 'admin', pattern: 'docker.io/**' },
    )

    expect(authorize(principal, 'users.write', APP)).toBe(false)
    expect(authorize(principal, 'rules.write', pattern('**'))).toBe(false)
    expect(authorize(principal, 'rules.write', EVERYWHERE)).toBe(false)
    expect(authorize(principal, 'rules.write', APP)).toBe(true)
    expect(authorize(principal, 'users.write', OTHER)).toBe(true)
  })

  it('is what one of the grants gives, whatever else was granted', () => {
    const grants = fc.array(
      fc.record({
        role: fc.constantFrom(...ROLES),
        pattern: fc.constantFrom('**', 'quay.io/**', 'quay.io/team/*', 'docker.io/library/redis'),
      }),
      { maxLength: 5 },
    )
    const resources = fc.constantFrom(APP, OTHER, SOMEWHERE, EVERYWHERE, pattern('quay.io/team/*'))
    fc.assert(
      fc.property(grants, fc.constantFrom(...ALL_ACTIONS), resources, (all, action, resource) => {
        const alone = all.some((grant) => authorize(somebody(grant), action, resource))

        expect(authorize(somebody(...all), action, resource)).toBe(alone || action === 'public')
      }),
      { numRuns: 2000 },
    )
  })
})

describe('handing out rights', () => {
  const admin = somebody({ role: 'admin', pattern: 'quay.io/**' })

  it.each(ROLES)('an admin grants %s within what they administer, and no further', (role) => {
    expect(mayGrant(admin, { role, pattern: 'quay.io/team/*' })).toBe(true)
    expect(mayGrant(admin, { role, pattern: 'quay.io/**' })).toBe(true)
    expect(mayGrant(admin, { role, pattern: 'docker.io/**' })).toBe(false)
    expect(mayGrant(admin, { role, pattern: '*/team/app' })).toBe(false)
    expect(mayGrant(admin, { role, pattern: '**' })).toBe(false)
    expect(mayGrant(somebody({ role: 'admin', pattern: '**' }), { role, pattern: '**' })).toBe(true)
  })

  it.each(['pull', 'push', 'operate'] as const)('with %s nothing is granted', (role) => {
    const principal = somebody({ role, pattern: '**' })

    expect(mayGrant(principal, { role: 'pull', pattern: 'quay.io/team/app' })).toBe(false)
  })
})

function somebody(...grants: readonly Grant[]): Principal {
  return { kind: 'user', name: 'alice', grants }
}

function pattern(text: string): Resource {
  return { kind: 'pattern', pattern: text }
}
