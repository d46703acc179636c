/** Tag lists, referrers, and the tags that stand for them. */
import { describe, expect, it } from 'vitest'
import { buildArtifact, buildImage, buildReferrersIndex } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import type { ClientResponse } from '../support/client.ts'
import { startMirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'
import { verdict } from './answers.ts'
import { askedSince } from './asked.ts'

const IMAGE = buildImage({ seed: 'lists' })
const TAGS = ['1.0', '1.1', '1.10', '2.0', 'latest']
const PATH = '/v2/docker.io/library/app/tags/list'
const UPSTREAM = '/v2/library/app/tags/list'

function tagsIn({ body }: ClientResponse): string[] {
  return (JSON.parse(body.toString()) as { tags: string[] }).tags
}

describe('E-37 tag lists', () => {
  it.each([
    ['n=10000', `${UPSTREAM}?n=1000`],
    ['n=999999999999999', `${UPSTREAM}?n=1000`],
    ['n=3&last=1.05', `${UPSTREAM}?n=3&last=1.05`],
    ['last=no such tag&n=2', `${UPSTREAM}?last=no+such+tag&n=2`],
    ['n=2&ns=docker.io', `${UPSTREAM}?n=2`],
  ])('E-37 %s goes upstream as it may', async (query, expected) => {
    await using registry = await startRegistry()
    for (const tag of TAGS) registry.push('library/app', tag, IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const answer = await mirror.get(`${PATH}?${query.replaceAll(' ', '%20')}`)
    expect(answer.status).toBe(200)
    expect(askedSince(registry)).toEqual([`GET ${expected}`])
    const last = new URLSearchParams(query).get('last') ?? ''
    expect(TAGS.filter((tag) => tag > last)).toEqual(expect.arrayContaining(tagsIn(answer)))
  })

  it('E-37 n=0 is an empty list, for which nobody is asked', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const answer = await mirror.get(`${PATH}?n=0`)
    expect(JSON.parse(answer.body.toString())).toEqual({ name: 'docker.io/library/app', tags: [] })
    expect(answer.headers['link']).toBeUndefined()
    expect(registry.requests).toEqual([])
  })

  it.each([
    ['absolute links', { absoluteLinks: true }],
    ['opaque tokens', { opaqueTokens: true }],
    ['opaque tokens in absolute links', { absoluteLinks: true, opaqueTokens: true }],
  ])('E-37 %s become relative, in the shape that the client used', async (_what, options) => {
    await using registry = await startRegistry({ ...options, pageSize: 2 })
    for (const tag of TAGS) registry.push('library/app', tag, IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    for (const start of [PATH, '/docker.io/v2/app/tags/list', '/v2/app/tags/list?ns=docker.io']) {
      const seen: string[] = []
      for (let path: string | undefined = start; path !== undefined;) {
        expect(path.split('?', 1)).toEqual(start.split('?', 1))
        expect(path.includes('ns=docker.io')).toBe(start.includes('ns='))
        const page: ClientResponse = await mirror.get(path)
        seen.push(...tagsIn(page))
        path = /^<([^>]+)>; rel="next"$/.exec(page.headers['link'] ?? '')?.[1]
      }
      expect(seen).toEqual(TAGS)
    }
  })

  it.each([
    [
      'on another host',
      '<https://evil.example/v2/x/tags/list?last=1.1&n=2>; rel="next"',
      '?last=1.1&n=2',
    ],
    ['unquoted', '<?last=1.1>; rel=next', '?last=1.1'],
    ['with ns', '<?last=1.1&ns=evil.example>; rel="next"', '?last=1.1'],
    ['with what would end it', '<?last=%3E%22%0d%0aX:1>; rel="next"', '?last=%3E%22%0D%0AX%3A1'],
  ])('E-37 a link %s', async (_what, link, expected) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({ headers: { link } })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const answer = await mirror.get(PATH)
    expect(answer.headers['link']).toBe(`<${PATH}${expected}>; rel="next"`)
    expect(answer.headers['x']).toBeUndefined()
  })

  it.each([
    ['{"name":"x","tags":null}', []],
    ['{"name":"x"}', []],
    ['{"name":"x","tags":["b","a","b"],"child":[],"manifest":{}}', ['b', 'a']],
    ['{"name":"x","tags":["a",1,null,{}]}', ['a']],
  ])('E-37 %s', async (body, expected) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.fault({ body })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const answer = await mirror.get(PATH)
    expect(JSON.parse(answer.body.toString())).toEqual({
      name: 'docker.io/library/app',
      tags: expected,
    })
  })

  it('E-37 each list is asked for anew; in an outage the last one is stale, another one 503', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect(tagsIn(await mirror.get(PATH))).toEqual(['v1'])
    registry.push('library/app', 'v2', IMAGE)
    expect(tagsIn(await mirror.get(PATH))).toEqual(['v1', 'v2'])

    await registry.goDown()
    const stale = await mirror.get(PATH)
    expect(tagsIn(stale)).toEqual(['v1', 'v2'])
    expect(stale.headers['warning']).toMatch(
      /^299 - "stale: docker\.io could not confirm this list/,
    )
    expect(stale.headers['cache-status']).toBe('entrepot; hit; ttl=-1; detail=stale')
    expect(verdict(await mirror.get(`${PATH}?n=1`))).toBe('503 UNAVAILABLE')
  })

  it('E-37 what is no list never takes the place of the last one', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const paths = [PATH, `/v2/docker.io/library/app/referrers/${IMAGE.digest}`]
    const good = await Promise.all(paths.map((path) => mirror.get(path)))
    registry.fault({ html200: true })
    for (const path of paths) expect(verdict(await mirror.get(path))).toBe('502 UPSTREAM_INVALID')

    await registry.goDown()
    for (const [index, path] of paths.entries()) {
      // For a moment the failure is remembered.
      const answer = await until(async () => {
        const got = await mirror.get(path)
        return got.headers['warning'] !== undefined && got
      })
      expect(answer.body.equals(good[index]?.body ?? Buffer.alloc(0))).toBe(true)
    }
  })
})

describe('E-39 referrers and signatures', () => {
  const HEX = IMAGE.digest.slice('sha256:'.length)
  const SUBJECT = `/v2/docker.io/library/app/referrers/${IMAGE.digest}`

  it.each(['', '.sig', '.att', '.sbom'])(
    'E-39 sha256-<hex>%s that is not there is a cheap 404, and no error',
    async (suffix) => {
      await using registry = await startRegistry({ auth: { kind: 'token', hubStyle: true } })
      registry.push('library/app', 'v1', IMAGE)
      await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
      for (const name of ['library/app', 'no/such']) {
        const path = `/v2/docker.io/${name}/manifests/sha256-${HEX}${suffix}`
        expect(verdict(await mirror.get(path))).toBe('404 MANIFEST_UNKNOWN')
        const before = registry.requests.length
        for (let times = 0; times < 3; times += 1) await mirror.get(path)
        expect(registry.requests).toHaveLength(before)
      }
      expect(mirror.logs.filter(({ level }) => level !== 'info')).toEqual([])
    },
  )

  it('E-39 and they are pulled where they are there', async () => {
    const signature = buildArtifact({ seed: 'sig', subject: IMAGE })
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.push('library/app', `sha256-${HEX}.sig`, signature)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const pulled = await mirror.pull('docker.io/library/app', `sha256-${HEX}.sig`)
    expect(pulled.digest).toBe(signature.digest)
  })

  it.each([
    ['404, and no fallback tag', { referrers: false }, undefined],
    ['400, as quay.io for what it lacks', {}, 400],
    ['405', {}, 405],
  ])('E-39 referrers upstream is %s: an empty list, never 404', async (_what, options, status) => {
    await using registry = await startRegistry(options)
    registry.push('library/app', 'v1', IMAGE)
    if (status !== undefined) registry.fault({ match: { kind: 'referrers' }, status })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const answer = await mirror.get(SUBJECT)
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('application/vnd.oci.image.index.v1+json')
    expect(JSON.parse(answer.body.toString())).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [],
    })
  })

  it('E-39 what the list names can be pulled, with all its bytes, and without upstream', async () => {
    const artifacts = ['one', 'two'].map((seed) => buildArtifact({ seed, subject: IMAGE }))
    await using registry = await startRegistry({ referrers: false })
    registry.push('library/app', 'v1', IMAGE)
    for (const artifact of artifacts) registry.push('library/app', undefined, artifact)
    const list = buildReferrersIndex(artifacts)
    registry.push('library/app', `sha256-${HEX}`, { ...list, manifests: [list], blobs: [] })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })

    const answer = await mirror.get(SUBJECT)
    const { manifests } = JSON.parse(answer.body.toString()) as { manifests: { digest: string }[] }
    expect(manifests.map(({ digest }) => digest)).toEqual(artifacts.map(({ digest }) => digest))
    for (const { digest } of manifests) await mirror.pull('docker.io/library/app', digest)
    await registry.goDown()
    await mirror.restart({ upstreams: { 'docker.io': { registry, tagTtl: '0s' } } })
    for (const { digest } of manifests) await mirror.pull('docker.io/library/app', digest)
    const stale = await mirror.get(SUBJECT)
    expect(stale.headers['warning']).toMatch(/^299 - "stale: /)
    expect(stale.body.equals(answer.body)).toBe(true)
    const other = `/v2/docker.io/library/app/referrers/sha256:${'0'.repeat(64)}`
    expect(verdict(await mirror.get(other))).toBe('503 UNAVAILABLE')
  })

  it('E-39 a filter is passed on, and what upstream says of it', async () => {
    const artifact = buildArtifact({ seed: 'f', subject: IMAGE, artifactType: 'application/x' })
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    registry.push('library/app', undefined, artifact)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const count = async (type: string): Promise<number> => {
      const answer = await mirror.get(`${SUBJECT}?artifactType=${encodeURIComponent(type)}`)
      expect(answer.headers['oci-filters-applied']).toBe('artifactType')
      return (JSON.parse(answer.body.toString()) as { manifests: unknown[] }).manifests.length
    }
    expect([await count('application/x'), await count('application/y')]).toEqual([1, 0])
  })
})
