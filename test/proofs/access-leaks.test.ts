/**
 * Whoever may not pull something learns nothing of it: not a byte, not a size, not that it is there. Every
 * answer about what exists is compared with the answer about what does not.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { BARE, SHAPES } from '../scenarios/shapes.ts'
import { download, request } from '../support/client.ts'
import { within } from '../support/until.ts'
import { ask, compareDigests, compareStrangers } from './leak-compare.ts'
import { bringAbout } from './leak-moments.ts'
import type { Headers } from '../support/people.ts'
import { demandRefusal, digestQuestions, fingerprint, questionsAbout } from './leak-requests.ts'
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
  type World,
} from './leak-world.ts'

const { ofOneTeam, ofAnotherTeam, ofNoTeam, refused, unallowed, unknown } = REPOSITORIES
/** One of each kind. */
const SOME_STRANGERS = ['nobody', 'foreigner', 'alice', 'robot']

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
    const strangers = Object.keys(world.strangers)
    const cells = await compareStrangers(world, [...SHAPES, BARE], strangers)
    expect(tell('warm', cells)).toBeGreaterThan(10_000)
  })

  it.each(['cold', 'in flight', 'stale', 'in an outage', 'offline', 'after a restart'] as const)(
    'is told the same %s',
    async (when) => {
      const end = await bringAbout(world, when, ofAnotherTeam, SECRET)
      try {
        const cells = await compareStrangers(world, SHAPES.slice(0, 1), SOME_STRANGERS)
        expect(tell(when, cells)).toBeGreaterThan(1000)
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
          await ask(world, { repository, question, headers: world.carol }),
          await ask(world, { repository, question, headers: alice }),
        ]
        demandRefusal(one, 403, `${question.method} ${question.title} by carol`)
        expect(fingerprint(one, [])).toBe(fingerprint(other, []))
        expect(world.asked()).toBe(before)
        cells += 1
      }
    }
    expect(tell('refused by a rule', cells)).toBeGreaterThan(0)
  })
})

describe('who asks for the content of one repository through another', () => {
  it.each(['cold', 'warm', 'in flight', 'after a restart', 'in an outage', 'offline'] as const)(
    'is told what is told of a digest that nobody has, %s',
    async (when) => {
      const end = await bringAbout(world, when, ofNoTeam, HIDDEN_SECRET)
      const before = world.registry.count(new RegExp(ofNoTeam))
      try {
        expect(tell(`through another, ${when}`, await compareDigests(world))).toBeGreaterThan(50)
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
      const answer = await ask(world, { repository: ofAnotherTeam, question, headers: world.bob })
      demandRefusal(answer, 404, `${question.method} ${question.title}`)
      cells += 1
    }
    expect(cells).toBeGreaterThan(30)
    expect(tell('named by a manifest', cells)).toBeGreaterThan(0)
  })
})

describe('a fill that is running for one repository', () => {
  it('is joined by its own readers alone', async () => {
    const end = await bringAbout(world, 'in flight', ofAnotherTeam, SECRET)
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
    expect(tell('lists', cells)).toBeGreaterThan(0)
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
    expect(tell('mounts', cells)).toBeGreaterThan(0)
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
    expect(tell('pages for operators', cells)).toBeGreaterThan(0)
  })
})

describe('what only some may pull', () => {
  it('is marked as such for caches in front, and nothing else is', async () => {
    await warm(world, world.carol, ofAnotherTeam, SECRET)
    for (const question of questionsAbout(SECRET)) {
      const { headers, status } = await ask(world, {
        repository: ofAnotherTeam,
        question,
        headers: world.bob,
      })
      expect(headers, `${question.title}: ${status}`).toHaveProperty('cache-control', 'private')
    }
    const open = await world.mirror.get(`/v2/docker.io/${PUBLIC}/manifests/v1`)
    expect(open.status).toBe(200)
    expect(open.headers).not.toHaveProperty('cache-control')
  })
})

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

function tell(what: string, cells: number): number {
  process.stdout.write(`access leaks, ${what}: ${cells} cells\n`)
  return cells
}
