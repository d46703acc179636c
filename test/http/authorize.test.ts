/** Rights, then rules, then age: what each of them lets through, and what is told of it. */
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { type Allowlist, compileRules, createAllowlist } from '../../src/access/allowlist.ts'
import { fileRule } from '../../src/access/rule.ts'
import type { ContentState } from '../../src/cache/describe.ts'
import { createAccessLog } from '../../src/http/access-log.ts'
import { callerOf } from '../../src/http/caller.ts'
import type { HttpEnvironment } from '../../src/http/context.ts'
import { requireAction } from '../../src/http/require-action.ts'
import { createServer } from '../../src/http/server.ts'
import { parseDigest } from '../../src/oci/digest.ts'
import { verdict } from '../protocol/answers.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { fakeControl, type FakeControlOptions, principal, REQUEST_ID } from './fake-control.ts'
import { fakeDependencies, type FakeMirror, serveMirror, type Served } from './fake-mirror.ts'

const ALICE = 'Basic alice'
const CAROL = 'Bearer carol'
const IDENTITIES = {
  [ALICE]: { principal: principal('user', 'alice', 'pull=quay.io/team/*') },
  [CAROL]: { principal: principal('user', 'carol', 'pull=**') },
} as const

const DIGEST = parseDigest(`sha256:${'a'.repeat(64)}`)
const TEAM = '/v2/quay.io/team/app'
const KINDS = [
  'manifests/v1',
  `manifests/${DIGEST}`,
  `blobs/${DIGEST}`,
  'tags/list',
  `referrers/${DIGEST}`,
]

const FOUND: Awaited<ReturnType<FakeMirror['manifest']>> = {
  digest: DIGEST,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  size: 2,
  bytes: Buffer.from('{}'),
  outcome: 'hit',
  staleBecause: undefined,
  freshUntil: 0,
}
const SERVING: Partial<FakeMirror> = {
  manifest: async () => FOUND,
  tagsLeadingTo: async () => [],
}

describe('a caller without the right', () => {
  it.each(KINDS)('gets the same answer for %s as where a rule refuses it', async (path) => {
    const allowed = await refusal(createAllowlist(['**'], []), path, ALICE)
    const unallowed = await refusal(createAllowlist([], []), path, ALICE)
    const refused = await refusal(createAllowlist([], []), path, CAROL)
    expect(verdict(allowed.answer)).toBe('403 DENIED')
    expect(allowed.answer.body.toString()).toBe(unallowed.answer.body.toString())
    expect(allowed.answer.body.toString()).toBe(refused.answer.body.toString())
    expect(contentOf(allowed.answer)).toEqual(contentOf(refused.answer))
    expect([allowed.reasons, unallowed.reasons, refused.reasons]).toEqual([
      ['right'],
      ['right'],
      ['rule'],
    ])
  })

  it.each(KINDS)('gets the same 401 for %s whatever the rules say', async (path) => {
    const allowed = await refusal(createAllowlist(['**'], []), path, undefined)
    const unallowed = await refusal(createAllowlist([], []), path, undefined)
    expect(verdict(allowed.answer)).toBe('401 UNAUTHORIZED')
    expect(allowed.answer.body.toString()).toBe(unallowed.answer.body.toString())
    expect(contentOf(allowed.answer)).toEqual(contentOf(unallowed.answer))
  })

  it('is refused before anything is looked up', async () => {
    const control = controlFor({})
    await using served = await serveMirror({}, { control })
    for (const path of KINDS) {
      expect(verdict(await ask(served, `/v2/docker.io/secret/app/${path}`, ALICE))).toBe(
        '403 DENIED',
      )
    }
  })

  it('may pull where there is one', async () => {
    await using served = await serveMirror(SERVING, { control: controlFor({}) })
    expect(verdict(await ask(served, `${TEAM}/manifests/v1`, ALICE))).toBe('200')
    expect(verdict(await ask(served, '/v2/quay.io/other/app/manifests/v1', ALICE))).toBe(
      '403 DENIED',
    )
  })

  it('may pull what everybody may', async () => {
    const control = controlFor({ anonymous: ['docker.io/**'] })
    await using served = await serveMirror(SERVING, { control })
    const answer = await ask(served, '/v2/docker.io/org/app/manifests/v1', ALICE)
    expect([verdict(answer), answer.headers['cache-control']]).toEqual(['200', undefined])
  })

  it('may have it in no other shape either', async () => {
    await using served = await serveMirror(SERVING, { control: controlFor({}) })
    for (const path of [
      '/v2/docker.io/library/app/manifests/v1',
      '/v2/app/manifests/v1',
      '/docker.io/v2/app/manifests/v1',
      '/v2/team/app/manifests/v1?ns=docker.io',
      '/v2/index.docker.io/team/app/manifests/v1',
    ]) {
      expect(verdict(await ask(served, path, ALICE))).toBe('403 DENIED')
    }
  })
})

describe('a refusal', () => {
  it('tells what was asked for and under which id it is found', async () => {
    const { answer } = await refusal(createAllowlist([], []), 'manifests/v1', CAROL)
    const [error] = (JSON.parse(answer.body.toString()) as { errors: object[] }).errors
    expect(error).toEqual({
      code: 'DENIED',
      message: `quay.io/team/secret:v1 is not allowed through this mirror. Ask the operator of the mirror for it: request ${REQUEST_ID}.`,
      detail: { name: 'quay.io/team/secret', reference: 'v1', request: REQUEST_ID },
    })
  })

  it('is noted with all that operators need', async () => {
    const control = controlFor({ allowlist: createAllowlist([], []), anonymous: ['**'] })
    await using served = await serveMirror({}, { control, behindProxy: true })
    const headers = { 'X-Forwarded-For': '198.51.100.7', 'User-Agent': 'containerd/2' }
    await request({ url: served.url, path: `${TEAM}/manifests/v1`, headers })
    await request({ url: served.url, path: `${TEAM}/blobs/${DIGEST}`, headers })
    const { name: _, ...common } = {
      name: 'quay.io/team/app',
      reason: 'rule',
      userAgent: 'containerd/2',
      caller: { principal: { kind: 'anonymous' }, address: '198.51.100.7' },
    }
    expect(control.refusals).toMatchObject([
      { name: 'quay.io/team/app', tag: 'v1', ...common },
      { name: 'quay.io/team/app', tag: undefined, ...common },
    ])
  })

  it('is none where the request is malformed', async () => {
    const control = controlFor({ allowlist: createAllowlist([], []) })
    await using served = await serveMirror({}, { control })
    expect(verdict(await ask(served, `${TEAM}/manifests/.v1`, CAROL))).toBe('400 TAG_INVALID')
    expect(control.refusals).toEqual([])
  })
})

describe('credentials', () => {
  it('are looked at once for each request', async () => {
    const control = controlFor({})
    await using served = await serveMirror(SERVING, { control })
    await ask(served, `${TEAM}/manifests/v1`, CAROL)
    expect(control.identified).toEqual(['127.0.0.1'])
  })

  it('are looked at once even if several want to know', async () => {
    const control = controlFor({})
    const dependencies = fakeDependencies({}, { control })
    const guard = requireAction('public', dependencies)
    const app = new Hono<HttpEnvironment>().use(createAccessLog(dependencies.observe, dependencies))
    app.get('/twice', guard, guard, async (c) => {
      const { caller } = await callerOf(c, dependencies)
      return c.text(caller.principal.name)
    })
    const server = createServer(app, [])
    const url = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    const headers = { Authorization: CAROL }
    const answer = await request({ url, path: '/twice', headers })
    await server.close(0)
    expect(answer.body.toString()).toBe('carol')
    expect(control.identified).toEqual(['127.0.0.1'])
  })

  it('and the state of the moment are looked at before anything else', async () => {
    const refresh = (): Promise<void> => Promise.reject(new Error('The state cannot be read.'))
    await using served = await serveMirror(SERVING, { control: controlFor({ refresh }) })
    expect(verdict(await ask(served, `${TEAM}/manifests/v1`, CAROL))).toBe('500 UNKNOWN')
  })

  it('that are wrong leave nothing of the rights that they would give', async () => {
    const identities = {
      'Basic wrong': { ...IDENTITIES[CAROL], credential: 'rejected' },
    } as const
    await using served = await serveMirror(SERVING, { control: controlFor({ identities }) })
    const answer = await ask(served, `${TEAM}/manifests/v1`, 'Basic wrong')
    expect(verdict(answer)).toBe('401 UNAUTHORIZED')
  })
})

describe('a digest on probation', () => {
  const DAY = 24 * 60 * 60 * 1000
  const rules = compileRules([
    fileRule('allow', 'quay.io/team/app', { place: 0, minAge: 3 * DAY }),
    fileRule('allow', 'quay.io/team/app:v*', { place: 1, minAge: 7 * DAY }),
    fileRule('allow', 'quay.io/tags/app:v*', { place: 2, minAge: 7 * DAY }),
    fileRule('allow', 'quay.io/tags/app:old', { place: 3, minAge: DAY }),
    fileRule('allow', 'quay.io/free/app', { place: 4 }),
  ])

  it.each([
    ['of the repository where no tag leads to it', 'team', [], 3],
    ['of the tag that leads to it', 'team', ['v1'], 7],
    ['of the tag that wants the least', 'team', ['v1', 'main'], 3],
    ['of tags that are allowed', 'tags', ['v1', 'other'], 7],
    ['of the least of those', 'tags', ['old', 'v1'], 1],
  ])('needs the age %s', async (_, owner, leading, days) => {
    const asked: unknown[] = []
    const mirror: Partial<FakeMirror> = {
      ...SERVING,
      tagsLeadingTo: async () => [...leading],
      isOfAge: async (key, digest, minAge, kind) => {
        asked.push([key.repository, digest, minAge / DAY, kind])
        return true
      },
    }
    await using served = await serveMirror(mirror, { control: controlFor({ allowlist: rules }) })
    const path = `/v2/quay.io/${owner}/app/manifests/${DIGEST}`
    expect(verdict(await ask(served, path, CAROL))).toBe('200')
    expect(asked).toEqual([[`${owner}/app`, DIGEST, days, 'manifest']])
  })

  it('is refused, with when it may be pulled', async () => {
    const firstSeenAt = Date.UTC(2026, 0, 1)
    await using served = await serveMirror(young({ firstSeenAt }), {
      control: controlFor({ allowlist: rules }),
    })
    for (const path of [`manifests/${DIGEST}`, `blobs/${DIGEST}`, `referrers/${DIGEST}`]) {
      const answer = await ask(served, `${TEAM}/${path}`, CAROL)
      expect(verdict(answer)).toBe('403 DENIED')
      expect(answer.body.toString()).toContain('first seen upstream at 2026-01-01T00:00:00.000Z')
      expect(answer.body.toString()).toContain('may be pulled from 2026-01-04T00:00:00.000Z')
      expect(answer.body.toString()).toContain(
        `entrepot content approve quay.io/team/app@${DIGEST}`,
      )
    }
  })

  it('may never have been seen', async () => {
    await using served = await serveMirror(young({ firstSeenAt: undefined }), {
      control: controlFor({ allowlist: rules }),
    })
    const answer = await ask(served, `${TEAM}/blobs/${DIGEST}`, CAROL)
    expect(verdict(answer)).toBe('403 DENIED')
    expect(answer.body.toString()).toContain('has not been seen upstream before')
  })

  it('is told what it is: a blob has no time of its own', async () => {
    const kinds: string[] = []
    const isOfAge: FakeMirror['isOfAge'] = async (...[, , , kind]) => kinds.push(kind) === 0
    await using served = await serveMirror(
      { ...young({}), isOfAge },
      {
        control: controlFor({ allowlist: rules }),
      },
    )
    await ask(served, `${TEAM}/blobs/${DIGEST}`, CAROL)
    await ask(served, `${TEAM}/referrers/${DIGEST}`, CAROL)
    expect(kinds).toEqual(['blob', 'manifest'])
  })

  it('is none where no rule wants any, and nothing is looked up for it', async () => {
    const { manifest } = SERVING
    await using served = await serveMirror(
      { ...(manifest && { manifest }) },
      {
        control: controlFor({ allowlist: rules }),
      },
    )
    const path = `/v2/quay.io/free/app/manifests/${DIGEST}`
    expect(verdict(await ask(served, path, CAROL))).toBe('200')
  })

  function young(state: Partial<ContentState>): Partial<FakeMirror> {
    return {
      tagsLeadingTo: async () => [],
      isOfAge: async () => false,
      describe: async () => ({ firstSeenAt: undefined, ...state }) as ContentState,
    }
  }
})

function controlFor(options: FakeControlOptions): ReturnType<typeof fakeControl> {
  return fakeControl({ anonymous: [], identities: IDENTITIES, ...options })
}

/** Of a repository that alice has no right to. */
async function refusal(
  allowlist: Allowlist,
  path: string,
  authorization: string | undefined,
): Promise<{ answer: ClientResponse; reasons: string[] }> {
  const identities = {
    ...IDENTITIES,
    [ALICE]: { principal: principal('user', 'alice', 'pull=quay.io/team/other') },
  }
  const control = controlFor({ allowlist, identities })
  await using served = await serveMirror({}, { control })
  const answer = await ask(served, `/v2/quay.io/team/secret/${path}`, authorization)
  return { answer, reasons: control.refusals.map(({ reason }) => reason) }
}

/** What does not differ with every request. */
function contentOf({ status, headers }: ClientResponse): object {
  const { date: _, 'x-request-id': _id, 'www-authenticate': challenge, ...rest } = headers
  return { status, ...rest, challenge: challenge?.replace(/127\.0\.0\.1:\d+/g, 'mirror') }
}

function ask({ url }: Served, path: string, authorization?: string): Promise<ClientResponse> {
  const headers = {
    Host: 'mirror.example',
    ...(authorization !== undefined && { Authorization: authorization }),
  }
  return request({ url, path, headers })
}
