/** Edits by chance: of rules, of users and what they may do, of robots. */
import { ControlError, type Grant, type Operator } from '../../src/operator.ts'
import type { Chance } from './chance.ts'
import type { Credential, KnownUser, Standing } from './live-edits-model.ts'
import { writtenRule } from './live-edits-world.ts'

export interface Edit {
  readonly kind: 'rule' | 'rights' | 'user' | 'password' | 'robot'
  /** As the audit calls it. */
  readonly action: string
  /** What may count from its beginning on. */
  readonly possible: Standing
  /** What clients may show from now on, rather than anything else. */
  readonly credential?: Credential
  /** @returns what counts when it has returned, and what clients may show from then on */
  make(operator: Operator): Promise<{ standing: Standing; credential?: Credential | undefined }>
}

const ALLOW = [
  '**',
  'docker.io/**',
  // As people write it: docker.io/library/app.
  'docker.io/app',
  'docker.io/library/*:edge',
  'quay.io/team/*',
  'quay.io/**:1',
  'quay.io/other/app:2',
]
const DENY = [
  'docker.io/library/app',
  'docker.io/library/tool:1',
  'quay.io/team/tool',
  'quay.io/**:edge',
  'quay.io/*/app:2',
]
const USERS = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank']
const GRANTS: readonly (readonly Grant[])[] = [
  [{ role: 'pull', pattern: '**' }],
  [{ role: 'operate', pattern: 'quay.io/team/*' }],
  [{ role: 'push', pattern: 'quay.io/other/**' }],
  [{ role: 'pull', pattern: 'quay.io/*/app' }],
  [{ role: 'pull', pattern: 'docker.io/**' }],
]
const MOST_ROBOTS = 4

interface Editor {
  /** @returns one that changes the state, unless another rule stands in its way */
  choose(standing: Standing): Edit
}

export function createEditor(chance: Chance): Editor {
  let made = 0

  function choose(standing: Standing): Edit {
    made += 1
    const kind = chance.next()
    if (kind < 0.62) return editRule(standing, chance)
    if (kind < 0.78) return editRights(standing, chance) ?? editRule(standing, chance)
    if (kind < 0.9) return editRobots(standing, chance, made)
    if (kind < 0.97) return editUsers(standing, chance, made)
    return setPassword(standing, chance, made) ?? editRule(standing, chance)
  }

  return { choose }
}

/** What the program refuses as contradictory changes nothing. */
export function isConflict(error: unknown): boolean {
  return error instanceof ControlError && error.code === 'conflict'
}

function editRule(standing: Standing, chance: Chance): Edit {
  const effect = chance.next() < 0.6 ? 'allow' : 'deny'
  const pattern = chance.oneOf(effect === 'allow' ? ALLOW : DENY)
  const rule = writtenRule(effect, pattern)
  const others = standing.rules.filter(({ id }) => id !== rule.id)
  if (others.length < standing.rules.length) {
    const possible = { ...standing, rules: others }
    return edit('rule', 'rule.remove', possible, (it) => it.removeRule(pattern, effect))
  }
  const possible = { ...standing, rules: [...others, rule] }
  return edit('rule', 'rule.add', possible, (it) => it.addRule({ effect, pattern }))
}

function editRights(standing: Standing, chance: Chance): Edit | undefined {
  const [name, user] = someUser(standing, chance)
  if (user === undefined) return undefined
  const grants = chance.oneOf(GRANTS.filter((it) => it !== user.rights))
  const possible = withUser(standing, name, { ...user, rights: grants })
  return edit('rights', 'user.grants', possible, (it) => it.setGrants(name, grants))
}

/** Who comes back has the old password, or a new one. */
function editUsers(standing: Standing, chance: Chance, version: number): Edit {
  const name = chance.oneOf(USERS)
  const present = standing.users.get(name)
  if (present) {
    const users = new Map([...standing.users].filter(([other]) => other !== name))
    return {
      ...edit('user', 'user.remove', { ...standing, users }, (it) => it.removeUser(name)),
      credential: { kind: 'password', user: name, password: present.password },
    }
  }
  const password = `password of ${name}${chance.next() < 0.5 ? '' : ` ${version}`}`
  const grants = chance.oneOf(GRANTS)
  const possible = withUser(standing, name, { password, version, rights: grants })
  const make = (it: Operator) => it.addUser({ name, password, grants })
  return {
    ...edit('user', 'user.add', possible, make),
    credential: { kind: 'password', user: name, password },
  }
}

function setPassword(standing: Standing, chance: Chance, version: number): Edit | undefined {
  const [name, user] = someUser(standing, chance)
  if (user === undefined) return undefined
  const password = `password of ${name} ${version}`
  const possible = withUser(standing, name, { ...user, password, version })
  return {
    ...edit('password', 'user.password', possible, (it) => it.setPassword(name, password)),
    credential: { kind: 'password', user: name, password },
  }
}

/** Its token is not known to anybody before it was told. */
function editRobots(standing: Standing, chance: Chance, number: number): Edit {
  const ids = [...standing.robots.keys()]
  if (ids.length > 0 && chance.next() < ids.length / MOST_ROBOTS) {
    const gone = chance.oneOf(ids)
    const robots = new Map([...standing.robots].filter(([id]) => id !== gone))
    return edit('robot', 'token.remove', { ...standing, robots }, (it) => it.removeToken(gone))
  }
  const grants = chance.oneOf(GRANTS)
  return {
    kind: 'robot',
    action: 'token.add',
    possible: standing,
    async make(operator) {
      const { id, token } = await operator.addToken({ name: `robot-${number}`, grants })
      const robots = new Map([...standing.robots, [id, grants] as const])
      return { standing: { ...standing, robots }, credential: { kind: 'robot', id, token } }
    },
  }
}

function edit(
  kind: Edit['kind'],
  action: string,
  possible: Standing,
  make: (operator: Operator) => Promise<unknown>,
): Edit {
  return {
    kind,
    action,
    possible,
    async make(operator) {
      await make(operator)
      return { standing: possible }
    },
  }
}

function someUser({ users }: Standing, chance: Chance): [string, KnownUser | undefined] {
  if (users.size === 0) return ['', undefined]
  return chance.oneOf([...users])
}

function withUser(standing: Standing, name: string, user: KnownUser): Standing {
  return { ...standing, users: new Map([...standing.users, [name, user]]) }
}
