/**
 * Whoever may not pull something learns nothing of it: not a byte, not a size, not that it is there. Every
 * answer about what exists is compared with the answer about what does not.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createGate } from '../fakes/gate.ts'
import { buildImage } from '../fakes/images.ts'
import { BARE, type Shape, SHAPES } from '../scenarios/shapes.ts'
import { download, request } from '../support/client.ts'
import { within } from '../support/until.ts'
import type { Headers } from './leak-people.ts'
import {
  demandRefusal,
  digestQuestions,
  fingerprint,
  type Question,
  questionsAbout,
  type Wanted,
} from './leak-requests.ts'
import {
  HIDDEN,
  HIDDEN_SECRET,
  isNamed,
  NOTHING,
  openWorld,
  PUBLIC,
  REPOSITORIES,
  SECRET,
  UPSTREAM,
  warm,
  YAML,
  type World,
} from './leak-world.ts'

const ALL_SHAPES: readonly Shape[] = [...SHAPES, BARE]
const [PREFIX] = SHAPES
const { ofOneTeam, ofAnotherTeam, ofNoTeam, refused, unallowed, unknown } = REPOSITORIES
const AT_ONCE = 8
const MINUTE = 60_000

let world: World
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  world = await openWorld()
})
afterEach(async () => {
  vi.useRealTimers()
  await world[Symbol.asyncDispose]()
})

describe('who has no right to a repository', () => {
  it('is told the same as of one that does not exist, in every shape and by every way to ask', async () => {
    await warm(world, world.carol, ofAnotherTeam, SECRET)
    tell('warm', await compareStrangers(ALL_SHAPES, Object.keys(world.strangers)))
  })

  it.each(['cold', 'in flight', 'stale', 'in an outage', 'offline', 'after a restart'] as const)(
    'is told the same %s',
    async (when) => {
      const end = await bringAbout(when, ofAnotherTeam, SECRET)
      try {
        tell(when, await compareStrangers([shape()], Object.keys(world.strangers)))
      } finally {
        await end()
      }
    },
  )
})

describe('what a rule refuses', () => {
  it('is refused in the same words to whoever has a right to it and to whoever has none', async () => {
    await warm(world, world.carol, ofAnotherTeam, SECRET)
    const alice = world.strangers['alice'] ?? {}
    let cells = 0
    for (const question of questionsAbout(SECRET)) {
      for (const repository of [refused, unallowed]) {
        const before = world.asked()
        const [one, other] = [
          await ask(shape(), repository, question, world.carol),
          await ask(shape(), repository, question, alice),
        ]
        demandRefusal(one, 403, `${question.method} ${question.title} by carol`)
        expect(fingerprint(one, [])).toBe(fingerprint(other, []))
        expect(world.asked()).toBe(before)
        cells += 1
      }
    }
    tell('refused by a rule', cells)
  })
})

describe('who asks for the content of one repository through another', () => {
  it.each(['cold', 'warm', 'in flight', 'after a restart', 'in an outage', 'offline'] as const)(
    'is told what is told of a digest that nobody has, %s',
    async (when) => {
      const end = await bringAbout(when, ofNoTeam, HIDDEN_SECRET)
      const before = world.registry.count(new RegExp(ofNoTeam))
      try {
        tell(`through another, ${when}`, await compareDigests())
        expect(world.registry.count(new RegExp(ofNoTeam))).toBe(before)
      } finally {
        await end()
      }
    },
  )

  it('gets nothing by a manifest of the other repository that names it', async () => {
    await warm(world, world.carol, ofNoTeam, HIDDEN_SECRET)
    // A registry that does not look takes such a manifest from anybody who may push to it.
    const { blobs: _elsewhere, ...borrowing } = HIDDEN
    world.registry.push(ofAnotherTeam, 'borrowing', {
      ...buildImage({ seed: 'borrowing' }),
      ...borrowing,
      blobs: [],
    })
    const base = `/v2/${UPSTREAM}/${ofAnotherTeam}`
    const manifest = await world.mirror.get(`${base}/manifests/borrowing`, { headers: world.bob })
    expect(manifest.status).toBe(200)
    await world.mirror.app.idle()

    let cells = 0
    for (const question of digestQuestions(HIDDEN_SECRET)) {
      if (!question.rest.startsWith(`blobs/${HIDDEN_SECRET.blob}`)) continue
      const answer = await ask(shape(), ofAnotherTeam, question, world.bob)
      demandRefusal(answer, 404, `${question.method} ${question.title}`)
      cells += 1
    }
    expect(cells).toBeGreaterThan(30)
    tell('named by a manifest', cells)
  })
})

describe('a fill that is running for one repository', () => {
  it('is joined by its own readers alone', async () => {
    const end = await bringAbout('in flight', ofAnotherTeam, SECRET)
    const path = `/v2/${UPSTREAM}/${ofAnotherTeam}/blobs/${SECRET.blob}`
    for (const headers of Object.values(world.strangers)) {
      expect((await world.mirror.get(path, { headers })).status).toBeGreaterThan(400)
    }
    const joined = download({ url: world.mirror.url, path, headers: world.bob })
    await end()
    expect(await within(joined)).toMatchObject({ digest: SECRET.blob, status: 200, complete: true })
    const gets = new RegExp(`^GET /v2/\\S+/blobs/${SECRET.blob}`)
    expect(world.registry.count(gets)).toBe(1)
  })
})

describe('the list of repositories', () => {
  it('is of each caller alone, page by page, from wherever it is read', async () => {
    await warm(world, world.carol, ofAnotherTeam, SECRET)
    await warm(world, world.carol, ofNoTeam, HIDDEN_SECRET)
    await world.mirror.pull(`docker.io/${PUBLIC}`, 'v1')
    const own = `/v2/${UPSTREAM}/${ofOneTeam}/manifests/own`
    expect((await world.mirror.get(own, { headers: world.strangers['alice'] ?? {} })).status).toBe(
      200,
    )

    const everybodys = [`docker.io/${PUBLIC}`]
    const teams = [ofOneTeam, ofAnotherTeam, ofNoTeam].map((name) => `${UPSTREAM}/${name}`)
    const expected: [Headers, readonly string[]][] = [
      ...Object.entries(world.strangers).map(([name, headers]): [Headers, readonly string[]] => [
        headers,
        isNamed(name) ? [...everybodys, ...teams.slice(0, 1)] : everybodys,
      ]),
      [world.bob, [...everybodys, ...teams.slice(1, 2)]],
      [world.carol, [...everybodys, ...teams]],
    ]
    let cells = 0
    for (const [headers, names] of expected) {
      for (const start of ['', ...teams, `${UPSTREAM}/${refused}`, `${UPSTREAM}/team-a/zzz`]) {
        for (const n of [1, 2, 1000]) {
          const behind = names.filter((name) => name > start)
          expect(await allPages(headers, `?n=${n}&last=${start}`)).toEqual(behind)
          cells += 1
        }
      }
    }
    tell('lists', cells)
  })
})

describe('an upload', () => {
  it('that mounts the blob of another repository is refused like one of a blob that nobody has', async () => {
    await warm(world, world.carol, ofAnotherTeam, SECRET)
    const before = world.asked()
    let cells = 0
    for (const headers of [...Object.values(world.strangers), world.bob, world.carol]) {
      const answers = await Promise.all(
        [SECRET, NOTHING].map(async ({ blob }) => {
          const path = `/v2/${UPSTREAM}/${ofOneTeam}/blobs/uploads/?mount=${blob}&from=${ofAnotherTeam}`
          const answer = await request({ url: world.mirror.url, path, method: 'POST', headers })
          demandRefusal(answer, 405, path)
          return fingerprint(answer, [blob])
        }),
      )
      expect(new Set(answers).size).toBe(1)
      cells += 1
    }
    expect(world.asked()).toBe(before)
    tell('mounts', cells)
  })
})

describe('the pages for operators', () => {
  it('say nothing of a repository to whoever does not operate it', async () => {
    await warm(world, world.carol, ofAnotherTeam, SECRET)
    const image = (repository: string) => `${UPSTREAM}/${repository}:v1`
    await world.people.api('POST', '/frozen-tags', {
      image: `${image(ofAnotherTeam)}@${SECRET.manifest}`,
    })
    await world.people.api('POST', '/approvals', {
      image: `${UPSTREAM}/${ofAnotherTeam}@${SECRET.manifest}`,
    })
    await world.mirror.get(`/v2/${UPSTREAM}/${refused}/manifests/v1`, { headers: world.carol })
    await world.mirror.app.idle()

    let cells = 0
    const headers = world.operator
    for (const path of ['explain', 'rules']) {
      const [one, other] = await Promise.all(
        [ofAnotherTeam, unknown].map(async (repository) =>
          fingerprint(
            await world.mirror.get(`/api/v1/${path}?image=${image(repository)}`, { headers }),
            [repository],
          ),
        ),
      )
      expect(one).toBe(other)
      cells += 1
    }
    for (const path of [
      'rules',
      'requests?state=all',
      'approvals',
      'frozen-tags',
      'users',
      'tokens',
    ]) {
      const answer = await world.mirror.get(`/api/v1/${path}`, { headers })
      for (const name of [ofAnotherTeam, ofNoTeam, refused]) {
        expect(answer.body.toString()).not.toContain(name)
      }
      cells += 1
    }
    for (const path of ['/metrics', '/status']) {
      expect((await world.mirror.get(path)).body.toString()).not.toMatch(/team-|sha256|alice|bob/)
      cells += 1
    }
    tell('pages for operators', cells)
  })
})

describe('what only some may pull', () => {
  it('is marked as such for caches in front, and nothing else is', async () => {
    await warm(world, world.carol, ofAnotherTeam, SECRET)
    for (const question of questionsAbout(SECRET)) {
      const { headers, status } = await ask(shape(), ofAnotherTeam, question, world.bob)
      expect(headers, `${question.title}: ${status}`).toHaveProperty('cache-control', 'private')
    }
    const open = await world.mirror.get(`/v2/docker.io/${PUBLIC}/manifests/v1`)
    expect(open.status).toBe(200)
    expect(open.headers).not.toHaveProperty('cache-control')
  })
})

type Moment =
  'cold' | 'warm' | 'in flight' | 'stale' | 'in an outage' | 'offline' | 'after a restart'

/** @returns what ends it */
async function bringAbout(
  when: Moment,
  repository: string,
  wanted: Wanted,
): Promise<() => Promise<void>> {
  const { mirror, registry, carol } = world
  if (when === 'cold') return async () => undefined
  if (when === 'in flight') return beginFill(repository, wanted)
  await warm(world, carol, repository, wanted)
  // What a tag means has to be asked for again, and in an outage it is served as it was.
  if (when === 'stale' || when === 'in an outage') vi.setSystemTime(Date.now() + 2 * MINUTE)
  if (when === 'after a restart') await mirror.restart()
  if (when === 'offline') mirror.reload({ yaml: { ...YAML, offline: true } })
  if (when !== 'in an outage') return async () => undefined
  await registry.goDown()
  return () => registry.comeUp()
}

/** Half of the blob is here and no more, until the end. */
async function beginFill(repository: string, { tag, blob }: Wanted): Promise<() => Promise<void>> {
  const { mirror, registry, carol: headers } = world
  const base = `/v2/${UPSTREAM}/${repository}`
  expect((await mirror.get(`${base}/manifests/${tag}`, { headers })).status).toBe(200)
  const gate = createGate()
  const match = { kind: 'blob', method: 'GET', digest: blob } as const
  registry.fault({ match, times: 1, hold: { after: 2000, gate } })
  const reader = download({ url: mirror.url, path: `${base}/blobs/${blob}`, headers })
  await within(gate.reached)
  return async () => {
    gate.open()
    expect(await within(reader)).toMatchObject({ digest: blob, complete: true })
  }
}

/** No stranger can tell any repository from one that does not exist, and no upstream is asked. */
async function compareStrangers(
  shapes: readonly Shape[],
  strangers: readonly string[],
): Promise<number> {
  const before = world.asked()
  const cells = strangers.flatMap((stranger) =>
    shapes.flatMap((shape) =>
      questionsAbout(SECRET).map((question, place) => ({ stranger, shape, question, place })),
    ),
  )
  const about = questionsAbout(NOTHING)
  await eachOf(cells, async ({ stranger, shape, question, place }) => {
    const headers = world.strangers[stranger] ?? {}
    const status = isNamed(stranger) ? 403 : 401
    const nowhere = await ask(shape, unknown, about[place] ?? question, headers)
    const reference = fingerprint(nowhere, namesOf(unknown, NOTHING))
    for (const repository of [ofAnotherTeam, ofNoTeam, refused, unallowed]) {
      const answer = await ask(shape, repository, question, headers)
      const what = `${question.method} ${question.title} of ${repository}, as ${shape.name}, by ${stranger}`
      demandRefusal(answer, status, what)
      expect(fingerprint(answer, namesOf(repository, SECRET)), what).toBe(reference)
    }
  })
  expect(world.asked()).toBe(before)
  return cells.length * 4
}

/** Whoever may pull from one repository cannot tell by it what is in another. */
async function compareDigests(): Promise<number> {
  const about = digestQuestions(NOTHING)
  const cells = digestQuestions(HIDDEN_SECRET).map((question, place) => ({ question, place }))
  await eachOf(cells, async ({ question, place }) => {
    const what = `${question.method} ${question.title}`
    const [one, other] = [
      await ask(shape(), ofAnotherTeam, question, world.bob),
      await ask(shape(), ofAnotherTeam, about[place] ?? question, world.bob),
    ]
    if (!question.rest.startsWith('referrers/'))
      expect(one.status, what).toBeGreaterThanOrEqual(400)
    expect(fingerprint(one, namesOf(ofAnotherTeam, HIDDEN_SECRET)), what).toBe(
      fingerprint(other, namesOf(ofAnotherTeam, NOTHING)),
    )
  })
  return cells.length
}

function ask(shape: Shape, repository: string, question: Question, headers: Headers) {
  const shaped = shape.request(UPSTREAM, repository, question.rest)
  const path = joined(shaped.path)
  return request({
    url: world.mirror.url,
    path,
    method: question.method,
    headers: { ...shaped.headers, ...question.headers, ...headers },
  })
}

/** A question may have a query of its own. */
function joined(path: string): string {
  const [before, ...queries] = path.split('?')
  return queries.length === 0 ? path : `${before}?${queries.join('&')}`
}

function namesOf(repository: string, { manifest, blob }: Wanted): string[] {
  return [repository, ...[manifest, blob].map((digest) => digest.slice(digest.indexOf(':') + 1))]
}

async function allPages(headers: Headers, query: string): Promise<string[]> {
  const names: string[] = []
  for (let path: string | undefined = `/v2/_catalog${query}`; path !== undefined;) {
    const answer = await world.mirror.get(path, { headers })
    expect(answer.status).toBe(200)
    const { repositories } = JSON.parse(answer.body.toString()) as { repositories: string[] }
    names.push(...repositories)
    path = /^<(.+)>; rel="next"$/.exec(answer.headers['link'] ?? '')?.[1]
  }
  return names
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

function shape(): Shape {
  if (PREFIX === undefined) throw new Error('There is a shape.')
  return PREFIX
}

function tell(what: string, cells: number): void {
  process.stdout.write(`access leaks, ${what}: ${cells} cells\n`)
  expect(cells).toBeGreaterThan(0)
}
