/** Content comes in once it has been known upstream for a while, or an operator has let it through. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildImage, buildMultiPlatform, type FakeImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { openPeople, type People } from '../support/people.ts'
import type { ClientResponse } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { expectOciError } from './oci-error.ts'

const NAME = 'docker.io/library/app'
const OTHER_NAME = 'docker.io/library/web'
const OLD = buildMultiPlatform('probation/old')
const NEW = buildMultiPlatform('probation/new')
const NEWEST = buildImage({ seed: 'probation/newest' })
const MINUTE = 60_000
/** Longer than a tag is believed without asking. */
const WHILE = 10 * MINUTE
const DAY = 24 * 60 * MINUTE
const BEGIN = Date.UTC(2026, 0, 1)

let registry: FakeRegistry
let mirror: Mirror
let people: People
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: BEGIN })
  registry = await startRegistry()
  mirror = await startMirror({
    upstreams: { 'docker.io': registry },
    allow: [
      { image: NAME, minAge: '3d' },
      { image: OTHER_NAME, minAge: '3d' },
    ],
  })
  people = await openPeople(mirror)
})
afterEach(async () => {
  vi.useRealTimers()
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

describe('content that is new', () => {
  it('is refused by tag with the day from which it may be pulled, and comes in on that day', async () => {
    registry.push('library/app', 'v1', NEW)
    const { code, message } = expectOciError(await get('manifests/v1'), 403)
    expect(code).toBe('DENIED')
    for (const told of [NEW.digest, '2026-01-01T00:00:00.000Z', '2026-01-04T00:00:00.000Z']) {
      expect(message).toContain(told)
    }
    expect(message).toContain(`entrepot content approve ${NAME}@${NEW.digest}`)
    expect((await mirror.head(`/v2/${NAME}/manifests/v1`)).status).toBe(403)

    pass(3 * DAY - 1)
    expectOciError(await get('manifests/v1'), 403)
    pass(1)
    expect((await mirror.pull(NAME, 'v1')).digest).toBe(NEW.digest)
  })

  it('is refused by digest, with all that is in it, and no body is asked for', async () => {
    registry.push('library/app', 'v1', NEW)
    await get('manifests/v1')
    const answers = await everythingOf(NEW)
    for (const answer of answers) {
      expect(expectOciError(answer, 403).code).toBe('DENIED')
      expect(answer.headers).not.toHaveProperty('docker-content-digest')
    }
    expect(registry.count(/^GET /)).toBe(0)

    pass(3 * DAY)
    await mirror.pull(NAME, 'v1')
    expect(statuses(await everythingOf(NEW))).toEqual([200])
  })

  it('has its time begin when somebody asks for its digest', async () => {
    registry.push('library/app', undefined, NEWEST)
    expectOciError(await get(`manifests/${NEWEST.digest}`), 403)
    pass(3 * DAY)
    expect(digestOf((await get(`manifests/${NEWEST.digest}`)).body)).toBe(NEWEST.digest)
  })

  it('is no older for having been seen in another repository', async () => {
    registry.push('library/web', 'v1', NEW)
    await mirror.get(`/v2/${OTHER_NAME}/manifests/v1`)
    pass(3 * DAY)
    expect((await mirror.pull(OTHER_NAME, 'v1')).digest).toBe(NEW.digest)

    registry.push('library/app', 'v1', NEW)
    for (const answer of [await get('manifests/v1'), ...(await everythingOf(NEW))]) {
      expect(answer.status).toBe(403)
    }
  })

  it('stays as old as it is over a restart', async () => {
    registry.push('library/app', 'v1', NEW)
    await get('manifests/v1')
    pass(2 * DAY)
    await mirror.restart()
    expectOciError(await get('manifests/v1'), 403)
    pass(DAY)
    expect((await mirror.pull(NAME, 'v1')).digest).toBe(NEW.digest)
  })

  it('is refused in an outage as well', async () => {
    registry.push('library/app', 'v1', NEW)
    await get('manifests/v1')
    pass(WHILE)
    await registry.goDown()
    expect((await get('manifests/v1')).status).toBeGreaterThanOrEqual(403)
    expect((await get(`manifests/${NEW.digest}`)).status).toBe(403)
    await registry.comeUp()
  })
})

describe('a tag that has moved to something new', () => {
  it('means what it meant before, with a warning, until that is old enough', async () => {
    await ageOld()
    registry.push('library/app', 'v1', NEW)
    const pulled = await mirror.pull(NAME, 'v1')
    expect(pulled.digest).toBe(OLD.digest)
    const served = await get('manifests/v1')
    expect(served.headers['warning']).toMatch(/^299 - "stale: .*on probation until 2026-01-07T/)
    expect(statuses(await everythingOf(NEW))).toEqual([403])

    pass(3 * DAY)
    const later = await mirror.pull(NAME, 'v1')
    expect(later.digest).toBe(NEW.digest)
    expect((await get('manifests/v1')).headers).not.toHaveProperty('warning')
  })

  it('does so too when the new content moves on before it is old enough', async () => {
    await ageOld()
    registry.push('library/app', 'v1', NEW)
    expect(await digestOfTag()).toBe(OLD.digest)
    pass(2 * DAY)
    registry.push('library/app', 'v1', NEWEST)
    expect(await digestOfTag()).toBe(OLD.digest)
    pass(2 * DAY)
    // What it meant in between is old enough now, but nobody was ever given it, so it is not here.
    expect(await digestOfTag()).toBe(OLD.digest)
    pass(DAY)
    expect(await digestOfTag()).toBe(NEWEST.digest)
  })

  it('does so in an outage, and after a restart', async () => {
    await ageOld()
    registry.push('library/app', 'v1', NEW)
    expect(await digestOfTag()).toBe(OLD.digest)
    await registry.goDown()
    pass(WHILE)
    expect(await digestOfTag()).toBe(OLD.digest)
    await mirror.restart()
    expect(await digestOfTag()).toBe(OLD.digest)
    await registry.comeUp()
  })
})

describe('an operator who approves a digest', () => {
  it('lets it in at once, by tag and by digest, with all that is in it', async () => {
    registry.push('library/app', 'v1', NEW)
    expect((await get('manifests/v1')).status).toBe(403)
    await people.api('POST', '/approvals', { image: `${NAME}@${NEW.digest}`, reason: 'urgent' })
    expect((await mirror.pull(NAME, 'v1')).digest).toBe(NEW.digest)
    expect(statuses(await everythingOf(NEW))).toEqual([200])
  })

  it('lets nothing else in, and not in another repository', async () => {
    registry.push('library/app', 'v1', NEW)
    registry.push('library/app', 'v2', NEWEST)
    registry.push('library/web', 'v1', NEW)
    await people.api('POST', '/approvals', { image: `${NAME}@${NEW.digest}` })
    await mirror.pull(NAME, 'v1')
    expect((await get('manifests/v2')).status).toBe(403)
    expect((await mirror.get(`/v2/${OTHER_NAME}/manifests/v1`)).status).toBe(403)
    expect(statuses(await everythingOf(NEW, OTHER_NAME))).toEqual([403])
  })

  it('may take it back: then it waits like any other', async () => {
    registry.push('library/app', 'v1', NEW)
    const image = `${NAME}@${NEW.digest}`
    await people.api('POST', '/approvals', { image })
    await mirror.pull(NAME, 'v1')
    await people.api('DELETE', `/approvals?image=${image}`)
    expect(statuses([await get('manifests/v1'), ...(await everythingOf(NEW))])).toEqual([403])
    pass(3 * DAY)
    expect(await digestOfTag()).toBe(NEW.digest)
  })

  it('makes a tag mean it at once that meant something older until then', async () => {
    await ageOld()
    registry.push('library/app', 'v1', NEW)
    expect(await digestOfTag()).toBe(OLD.digest)
    await people.api('POST', '/approvals', { image: `${NAME}@${NEW.digest}` })
    expect((await mirror.pull(NAME, 'v1')).digest).toBe(NEW.digest)
  })
})

describe('a tag that an operator has frozen', () => {
  it('means its digest without upstream being asked, whatever it means there', async () => {
    await ageOld()
    await mirror.pull(NAME, 'v1')
    await freeze(OLD)
    registry.push('library/app', 'v1', NEW)
    pass(30 * DAY)
    const before = registry.requests.length
    expect((await mirror.pull(NAME, 'v1')).digest).toBe(OLD.digest)
    expect(registry.requests).toHaveLength(before)

    registry.removeRepository('library/app')
    pass(30 * DAY)
    expect((await mirror.pull(NAME, 'v1')).digest).toBe(OLD.digest)
  })

  it('may mean what is new', async () => {
    registry.push('library/app', 'v1', NEW)
    await freeze(NEW)
    expect((await mirror.pull(NAME, 'v1')).digest).toBe(NEW.digest)
    registry.setTag('library/app', 'v2', NEW.digest)
    expect((await get('manifests/v2')).status).toBe(403)
  })

  it('follows upstream again when it is let go, and what is new there has to wait', async () => {
    await ageOld()
    await mirror.pull(NAME, 'v1')
    await freeze(OLD)
    registry.push('library/app', 'v1', NEW)
    pass(DAY)
    await people.api('DELETE', `/frozen-tags?image=${NAME}:v1`)
    expect(await digestOfTag()).toBe(OLD.digest)
    pass(3 * DAY)
    expect(await digestOfTag()).toBe(NEW.digest)
  })

  it('gives nobody the content of another repository', async () => {
    registry.push('library/web', 'v1', NEWEST)
    registry.push('library/app', 'v1', OLD)
    await people.api('POST', '/approvals', { image: `${OTHER_NAME}@${NEWEST.digest}` })
    await mirror.pull(OTHER_NAME, 'v1')
    await freeze(NEWEST)
    expect((await get('manifests/v1')).status).toBe(404)
    expect((await get(`blobs/${NEWEST.blobs.at(-1)?.digest}`)).status).toBe(403)
  })
})

describe('a rule of an operator', () => {
  const rule = (more: object) => people.api('POST', '/rules', { effect: 'allow', ...more })

  it('asks for an age as one of the file does, and stops when it is removed', async () => {
    const image = 'docker.io/library/extra'
    registry.push('library/extra', 'v1', NEWEST)
    const { id } = await rule({ pattern: image, minAgeSeconds: 3600 })
    expect((await mirror.get(`/v2/${image}/manifests/v1`)).status).toBe(403)
    pass(60 * MINUTE)
    expect((await mirror.pull(image, 'v1')).digest).toBe(NEWEST.digest)
    await people.api('DELETE', `/rules/${String(id)}`)
    expect((await mirror.get(`/v2/${image}/manifests/v1`)).status).toBe(403)
  })

  it('that has ended admits nothing, though it is stored and old enough', async () => {
    const image = 'docker.io/library/extra'
    registry.push('library/extra', 'v1', NEWEST)
    const expiresAt = new Date(BEGIN + DAY).toISOString()
    await rule({ pattern: image, minAgeSeconds: 3600, expiresAt })
    await mirror.get(`/v2/${image}/manifests/v1`)
    pass(DAY - 1)
    expect((await mirror.pull(image, 'v1')).digest).toBe(NEWEST.digest)
    const before = registry.requests.length
    pass(1)
    const rests = ['manifests/v1', `manifests/${NEWEST.digest}`, 'tags/list']
    for (const rest of [...rests, ...NEWEST.blobs.map(({ digest }) => `blobs/${digest}`)]) {
      expect((await mirror.get(`/v2/${image}/${rest}`)).status).toBe(403)
    }
    expect(registry.requests).toHaveLength(before)
  })

  it('without an age takes none away that the file asks for', async () => {
    registry.push('library/app', 'v1', NEW)
    await rule({ pattern: NAME })
    expect((await get('manifests/v1')).status).toBe(403)
  })

  it('with an end asks for its age until then', async () => {
    mirror.reload({ allow: [OTHER_NAME] })
    registry.push('library/web', 'v1', NEW)
    await rule({
      pattern: 'docker.io/library/*',
      minAgeSeconds: 30 * 24 * 3600,
      expiresAt: new Date(BEGIN + DAY).toISOString(),
    })
    const path = `/v2/${OTHER_NAME}/manifests/v1`
    expect((await mirror.get(path)).status).toBe(403)
    pass(DAY)
    expect((await mirror.get(path)).status).toBe(200)
  })
})

function get(rest: string): Promise<ClientResponse> {
  return mirror.get(`/v2/${NAME}/${rest}`)
}

/** Every manifest and every blob of it, by digest, by GET and by HEAD. */
async function everythingOf(image: FakeImage, name = NAME): Promise<ClientResponse[]> {
  const rests = [
    ...image.manifests.map(({ digest }) => `manifests/${digest}`),
    ...image.blobs.map(({ digest }) => `blobs/${digest}`),
  ]
  const answers: ClientResponse[] = []
  for (const rest of rests) {
    const [head, body] = [
      await mirror.head(`/v2/${name}/${rest}`),
      await mirror.get(`/v2/${name}/${rest}`),
    ]
    expect(head.status).toBe(body.status)
    answers.push(body)
  }
  return answers
}

function statuses(answers: readonly ClientResponse[]): number[] {
  return [...new Set(answers.map(({ status }) => status))]
}

/** `v1` has meant the older image for three days. */
async function ageOld(): Promise<void> {
  registry.push('library/app', 'v1', OLD)
  await get('manifests/v1')
  pass(3 * DAY)
  await mirror.pull(NAME, 'v1')
  pass(WHILE)
}

async function digestOfTag(): Promise<string> {
  const { status, body } = await get('manifests/v1')
  expect(status).toBe(200)
  return digestOf(body)
}

async function freeze({ digest }: FakeImage): Promise<void> {
  await people.api('POST', '/frozen-tags', { image: `${NAME}:v1@${digest}` })
}

/** @param ms of the clock, not of the test */
function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms)
}
