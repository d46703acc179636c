/** Answers that are given again from memory: the same as before, and nobody is asked. */
import { describe, expect, it } from 'vitest'
import type { ClientResponse } from '../support/client.ts'
import { createAllowlist } from '../../src/access/allowlist.ts'
import {
  ALICE,
  BLOB,
  BY_BLOB,
  BY_DIGEST,
  BY_TAG,
  blobOf,
  CAROL,
  type HotMirror,
  linesOf,
  LONG_MANIFEST,
  MANIFEST,
  MIB,
  openHotMirror,
  PATHS,
  REPOSITORY,
  sha256,
} from './hot-mirror.ts'

const EMPTY = blobOf(0)
const LONG = blobOf(16 * 1024 + 1)
const LARGEST = blobOf(MIB)
const TARGETS = [
  ['a manifest by its tag', BY_TAG],
  ['a manifest by its digest', BY_DIGEST],
  ['a long manifest', `${REPOSITORY}/manifests/long`],
  ['a blob', BY_BLOB],
  ['an empty blob', `${REPOSITORY}/blobs/${EMPTY}`],
  ['a blob that is more than one write', `${REPOSITORY}/blobs/${LONG}`],
  ['a blob of 1 MiB', `${REPOSITORY}/blobs/${LARGEST}`],
] as const

describe.each(['GET', 'HEAD'])('a second %s', (method) => {
  it.each(TARGETS)('of %s is the same answer, and asks nobody', async (_, path) => {
    await using mirror = await openHotMirror()
    const first = await mirror.ask(path, { method })
    const asked = [...mirror.calls]
    const second = await mirror.ask(path, { method })
    const third = await mirror.ask(path, { method })
    expect(asked).toHaveLength(2)
    expect(mirror.calls).toEqual(asked)
    for (const again of [second, third]) expectSame(again, first)
    expect(first.status).toBe(200)
    expect(first.headers['cache-status']).toBe('entrepot; hit')
  })

  it.each(TARGETS)('of %s is told to operators as the first', async (_, path) => {
    await using mirror = await openHotMirror({ behindProxy: true })
    const headers = { 'user-agent': 'containerd\u009b[2J', 'x-forwarded-for': '198.51.100.7' }
    await mirror.ask(path, { method, headers: { ...headers, ...ALICE } })
    const [first] = await linesOf(mirror, 1)
    const once = await counts(mirror)
    await mirror.ask(path, { method, headers: { ...headers, ...ALICE } })
    const [, second] = await linesOf(mirror, 2)
    expect(ownOf(second)).toEqual(ownOf(first))
    expect(Object.keys(second ?? {}).toSorted()).toEqual(Object.keys(first ?? {}).toSorted())
    expect(second).toMatchObject({
      client: '198.51.100.7',
      user: 'alice',
      method,
      status: 200,
      outcome: 'hit',
      ms: expect.any(Number) as number,
    })
    expect(second?.['id']).not.toBe(first?.['id'])
    expect(await counts(mirror)).toEqual(once.map(([name, count]) => [name, 2 * count]))
  })
})

describe('an answer from memory', () => {
  it('has an id of its own, by which the log has it', async () => {
    await using mirror = await openHotMirror()
    const answers = [await mirror.ask(BY_TAG), await mirror.ask(BY_TAG), await mirror.ask(BY_TAG)]
    const ids = answers.map(({ headers }) => headers['x-request-id'])
    expect(new Set(ids).size).toBe(3)
    expect((await linesOf(mirror, 3)).map(({ id }) => id)).toEqual(ids)
  })

  it('names each client, whoever was the first', async () => {
    await using mirror = await openHotMirror({ behindProxy: true })
    for (const number of [1, 2, 3]) {
      const headers = {
        'x-forwarded-for': `198.51.100.${number}`,
        'user-agent': `client ${number}`,
      }
      await mirror.ask(BY_TAG, { headers })
    }
    expect(mirror.calls).toEqual(['identify', 'GET v1'])
    expect((await linesOf(mirror, 3)).map(({ client, userAgent }) => [client, userAgent])).toEqual([
      ['198.51.100.1', 'client 1'],
      ['198.51.100.2', 'client 2'],
      ['198.51.100.3', 'client 3'],
    ])
  })

  it('may be kept by no cache in front where the repository takes a login', async () => {
    await using mirror = await openHotMirror()
    const path = '/v2/quay.io/secret/app/manifests/v1'
    const first = await mirror.ask(path, { headers: ALICE })
    const second = await mirror.ask(path, { headers: ALICE })
    expect(mirror.calls).toEqual(['identify', 'GET v1'])
    expectSame(second, first)
    expect(second.headers['cache-control']).toBe('private')
    expect((await mirror.ask(BY_TAG, { headers: ALICE })).headers['cache-control']).toBeUndefined()
    expect((await mirror.ask(BY_TAG, { headers: ALICE })).headers['cache-control']).toBeUndefined()
  })

  it('echoes the namespace that was asked for, and no other', async () => {
    await using mirror = await openHotMirror()
    const path = '/v2/library/app/manifests/v1'
    const named = `${path}?ns=docker.io`
    for (let time = 0; time < 2; time += 1) {
      expect((await mirror.ask(named)).headers['oci-namespace']).toBe('docker.io')
      expect((await mirror.ask(path)).headers['oci-namespace']).toBeUndefined()
    }
    expect(mirror.calls.filter((it) => it === 'GET v1')).toHaveLength(2)
  })

  it('is never of the wrong kind: GET and HEAD, tags and digests, manifests and blobs', async () => {
    await using mirror = await openHotMirror()
    const asked = [...PATHS, `${REPOSITORY}/manifests/long`].flatMap((path) =>
      ['GET', 'HEAD'].map((method) => ({ path, method })),
    )
    for (let time = 0; time < 3; time += 1) {
      for (const { path, method } of asked) {
        const { status, body, headers } = await mirror.ask(path, { method })
        const whole =
          path === BY_BLOB ? BLOB : sha256(path.endsWith('long') ? LONG_MANIFEST : MANIFEST)
        expect([status, headers['docker-content-digest']]).toEqual([200, whole])
        expect(method === 'HEAD' ? body.length : sha256(body)).toBe(method === 'HEAD' ? 0 : whole)
      }
    }
    expect(mirror.calls).toHaveLength(2 * asked.length)
  })

  it('is for who has asked before, and nobody else', async () => {
    await using mirror = await openHotMirror()
    const path = '/v2/quay.io/secret/app/manifests/v1'
    for (let time = 0; time < 3; time += 1) {
      expect((await mirror.ask(path, { headers: ALICE })).status).toBe(200)
      expect((await mirror.ask(path, { headers: CAROL })).status).toBe(403)
      expect((await mirror.ask(path, { headers: { authorization: 'Basic foreign' } })).status).toBe(
        401,
      )
      expect((await mirror.ask(path)).status).toBe(401)
    }
    expect(mirror.calls.filter((it) => it === 'GET v1')).toHaveLength(1)
  })

  it('is given where rules on tags admit the tag, and not where they judge a digest', async () => {
    const allowlist = createAllowlist(['docker.io/library/app:v*'], [])
    await using mirror = await openHotMirror({ allowlist })
    for (const path of PATHS) await mirror.ask(path)
    expect(await mirror.isAsked(BY_TAG)).toBe(false)
    expect(await mirror.isAsked(BY_DIGEST)).toBe(true)
    expect(await mirror.isAsked(BY_BLOB)).toBe(true)
  })
})

/** But for what each answer has of its own. */
function expectSame(one: ClientResponse, other: ClientResponse): void {
  expect(one.status).toBe(other.status)
  expect(one.complete).toBe(true)
  expect(one.body.equals(other.body)).toBe(true)
  expect(shared(one)).toEqual(shared(other))
}

function shared({ headers }: ClientResponse): Readonly<Record<string, string>> {
  const { 'x-request-id': _id, date: _date, ...others } = headers
  return others
}

function ownOf(line: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const { id: _id, time: _time, ms: _ms, ...fields } = line
  return fields
}

/** Of requests and the bytes that were sent, by their labels. */
async function counts({ metrics }: HotMirror): Promise<[string, number][]> {
  const { text } = await metrics.render()
  const samples = text.matchAll(
    /^(entrepot_(?:requests_total|client_bytes_total|request_duration_seconds_count)\{.*\}) (\S+)$/gm,
  )
  return [...samples].map(([, name = '', count]) => [name, Number(count)])
}
