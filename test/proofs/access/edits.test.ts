/**
 * Whatever somebody of limited rights tries, with all accounts that they can make or take over: their rights
 * do not grow, and what lies outside of them stays as it is.
 */
import { expect, it } from 'vitest'
import type { AuditEntry } from '../../../src/catalog/control-catalog.ts'
import { type Chance, LONG, openChance } from '../chance.ts'
import { basic, demand } from './callers.ts'
import { type Edit, NAMES, PASSWORD, someEdit } from './edits.ts'
import { beyond, type Everything, outside, verdictsOutside } from './edits-model.ts'
import { may, type Right } from './reference.ts'
import { openWorld, type World } from './world.ts'

const SEQUENCES = LONG ? 300 : 15
const EDITS = 120

/** Whose sequences they are; each is a user called `lead`. */
const LEADS: readonly (readonly Right[])[] = [
  [{ role: 'admin', pattern: 'quay.io/team/**' }],
  [{ role: 'admin', pattern: 'quay.io/team/*' }],
  [{ role: 'operate', pattern: 'quay.io/team/**' }],
  [
    { role: 'admin', pattern: 'quay.io/team/**' },
    { role: 'operate', pattern: 'docker.io/library/**' },
    { role: 'pull', pattern: '**' },
  ],
  [
    { role: 'operate', pattern: '**' },
    { role: 'admin', pattern: 'quay.io/team/app' },
  ],
]

it(`no ${SEQUENCES} sequences of ${EDITS} edits widen rights, or reach beyond them`, async () => {
  const chance = openChance('edits')
  const told = { granted: 0, refused: 0, accounts: 0 }
  for (let sequence = 0; sequence < SEQUENCES; sequence += 1) {
    const rights = LEADS[sequence % LEADS.length] ?? []
    await using world = await openWorld({
      anonymous: [],
      anonymousStatus: false,
      api: 'same',
      accounts: true,
    })
    const party = await settle(world, rights)
    const before = await everything(world)
    const verdicts = verdictsOutside(rights, before)
    let last = before
    const reachable = await pullable(world, party)
    for (let edit = 0; edit < EDITS; edit += 1) {
      const done = await step(world, party, chance)
      told[done.status < 300 ? 'granted' : 'refused'] += 1
      const now = await everything(world)
      // Everybody may change a password of their own.
      const self = done.who === 'user:lead' ? 'lead' : undefined
      expect({
        done,
        rights,
        outside: outside(rights, now, self),
        verdicts: verdictsOutside(rights, now),
        beyond: beyondLimits(party, now),
      }).toEqual({
        done,
        rights,
        outside: outside(rights, last, self),
        verdicts,
        beyond: [],
      })
      last = now
    }
    told.accounts += party.headers.size
    const after = await pullable(world, party)
    expect(
      after.filter((name) => !reachable.includes(name) && !may(rights, 'operate', name)),
    ).toEqual([])
    await expectAudited(world, party)
  }
  process.stdout.write(`edits: ${JSON.stringify(told)}\n`)
  expect(told.granted).toBeGreaterThan(EDITS)
  expect(told.refused).toBeGreaterThan(EDITS)
  expect(told.accounts).toBeGreaterThan(SEQUENCES)
})

/** Those who work together: the lead, and every account that one of them has made or taken over. */
interface Party {
  readonly rights: readonly Right[]
  /** Headers by `user:<name>` and `robot:<id>`. */
  readonly headers: Map<string, string>
  /** What they are called, by the same. */
  readonly names: Map<string, string>
  /** Actors in the audit. */
  readonly actors: Set<string>
  readonly admin: string
}

/** Everybody and everything that is there before: some of it within the rights, some not. */
async function settle(world: World, rights: readonly Right[]): Promise<Party> {
  const first = await world.mirror.app.makeFirstAdminToken()
  const everywhere = [{ role: 'admin', pattern: '**' }]
  const { token } = await demand(world, `Bearer ${first}`, 'POST', '/tokens', {
    name: 'root',
    grants: everywhere,
  })
  const admin = `Bearer ${String(token)}`
  const add = (path: string, json: unknown) => demand(world, admin, 'POST', path, json)
  const password = 'nobody else knows it'
  await add('/users', { name: 'root', password, grants: everywhere })
  await add('/users', { name: 'lead', password: PASSWORD, grants: rights })
  const pulling = (pattern: string) => ({ role: 'pull', pattern })
  const inner = pulling('quay.io/team/app')
  const outer = pulling('quay.io/other/app')
  await add('/users', { name: 'insider', password, grants: [inner] })
  await add('/users', { name: 'outsider', password, grants: [outer] })
  await add('/users', { name: 'mixed', password, grants: [inner, outer] })
  await add('/tokens', { name: 'inner', grants: [inner] })
  await add('/tokens', { name: 'outer', grants: [inner, outer] })
  for (const [place, name] of NAMES.entries()) {
    await add('/rules', { effect: 'allow', pattern: name })
    await add('/rules', { effect: 'deny', pattern: `${name}:2` })
    await add('/approvals', { image: `${name}@sha256:${'a'.repeat(64)}` })
    await add('/frozen-tags', { image: `${name}:1@sha256:${'a'.repeat(64)}` })
    for (const tag of [undefined, '1', '3', '4', '5', '6']) {
      await world.note({ id: `r-${place}-${tag}`, user: 'somebody', name, tag })
    }
  }
  await add('/rules', { effect: 'allow', pattern: 'quay.io/*/app:3' })
  const headers = new Map([['user:lead', basic('lead', PASSWORD)]])
  const names = new Map([['user:lead', 'lead']])
  return { rights, headers, names, actors: new Set(['user:lead']), admin }
}

interface Done extends Edit {
  readonly who: string
  readonly status: number
}

async function step(world: World, party: Party, chance: Chance): Promise<Done> {
  const [who, authorization] = chance.oneOf([...party.headers])
  const known = await everything(world)
  const self = party.names.get(who) ?? ''
  const edit = someEdit(chance, { ...known, self })
  const { status, body } = await world.send({ ...edit, authorization })
  if (status === 401) party.headers.delete(who === 'user:lead' ? '' : who)
  if (status < 300) join(party, edit, JSON.parse(body.toString()) as Answer)
  return { ...edit, who, status }
}

interface Answer {
  readonly id?: string
  readonly name?: string
  readonly token?: string
}

/** Whose password or token was told, or set, is one of them from now on. */
function join(
  { headers, names, actors }: Party,
  { method, path, json }: Edit,
  answer: Answer,
): void {
  const { id, name, token } = answer
  if (token !== undefined && id !== undefined) {
    headers.set(`robot:${id}`, `Bearer ${token}`)
    names.set(`robot:${id}`, name ?? '')
    actors.add(`robot:${name}`)
  }
  if (method !== 'DELETE' && json !== undefined && 'password' in (json as object) && name) {
    headers.set(`user:${name}`, basic(name, PASSWORD))
    names.set(`user:${name}`, name)
    actors.add(`user:${name}`)
  }
  if (method === 'DELETE' && path.includes('/users/') && name !== 'lead')
    headers.delete(`user:${name}`)
  if (method === 'DELETE' && path.includes('/tokens/')) headers.delete(`robot:${id}`)
}

/** What any of them may do that the lead could not when it began. */
function beyondLimits({ rights, headers }: Party, { users, tokens }: Everything): string[] {
  const theirs = [
    ...users.filter(({ name }) => headers.has(`user:${name}`)),
    ...tokens.filter(({ id }) => headers.has(`robot:${id}`)),
  ]
  return theirs.flatMap(({ name, grants }) =>
    beyond(grants, rights).map((right) => `${name}: ${right}`),
  )
}

async function everything({ catalog }: World): Promise<Everything> {
  const requests = (await catalog.requests({})).filter(({ user }) => user === 'somebody')
  return { ...(await catalog.state()), requests }
}

/** Images that one of them gets, as far as rights and rules go: nothing else refuses with 401 or 403. */
async function pullable(world: World, { headers }: Party): Promise<string[]> {
  const found = new Set<string>()
  for (const authorization of headers.values()) {
    for (const name of NAMES) {
      const path = `/v2/${name}/tags/list`
      const { status } = await world.send({ method: 'GET', path, authorization })
      if (status !== 401 && status !== 403) found.add(name)
    }
  }
  return [...found]
}

/** Each of their changes is there under one of their names, and none of them may read that. */
async function expectAudited(world: World, { actors, headers, admin }: Party): Promise<void> {
  const ask = (authorization: string) =>
    world.send({ method: 'GET', path: '/api/v1/audit', authorization })
  for (const header of headers.values()) expect([401, 403]).toContain((await ask(header)).status)
  const { body } = await ask(admin)
  const lines = body.toString().trimEnd().split('\n')
  const entries = lines.map((line) => JSON.parse(line) as AuditEntry)
  const known = new Set([
    ...actors,
    'robot:root',
    'robot:first-admin',
    'host:entrepot',
    'anonymous',
  ])
  expect(entries.filter(({ actor }) => !known.has(actor))).toEqual([])
}
