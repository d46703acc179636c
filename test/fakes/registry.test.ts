import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { download, openStream, request } from '../support/client.ts'
import { pull } from '../support/pull.ts'
import { until } from '../support/until.ts'
import { createCertificateAuthority } from './certificates.ts'
import { createGate } from './gate.ts'
import { buildArtifact, buildImage, buildMultiPlatform, randomBlob } from './images.ts'
import { startRegistry } from './registry.ts'

describe('a fake registry', () => {
  it('serves an index by tag and digest, with everything below it', async () => {
    await using registry = await startRegistry()
    const image = buildMultiPlatform('served', [0, 2, 100_000])
    registry.push('library/app', 'v1', image)

    const pulled = await pull(registry.url, 'library/app', 'v1')

    expect(pulled.digest).toBe(image.digest)
    expect(pulled.manifests.map(({ digest }) => digest)).toEqual(
      image.manifests.map(({ digest }) => digest),
    )
    expect(pulled.manifests[0]?.bytes.equals(image.bytes)).toBe(true)
    // The empty layer and its config are in both platforms only once.
    expect(pulled.blobs.map(({ digest }) => digest).toSorted()).toEqual(
      [...new Set(image.blobs.map(({ digest }) => digest))].toSorted(),
    )
  })

  it('sends the headers that real ones send', async () => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'headers' })
    registry.push('app', 'v1', image)

    const get = await request({ url: registry.url, path: '/v2/app/manifests/v1' })
    const head = await request({ url: registry.url, path: '/v2/app/manifests/v1', method: 'HEAD' })

    expect(get.headers).toMatchObject({
      'content-type': image.mediaType,
      'content-length': String(image.bytes.length),
      'docker-content-digest': image.digest,
      'docker-distribution-api-version': 'registry/2.0',
    })
    expect({ ...head.headers, date: '' }).toEqual({ ...get.headers, date: '' })
    expect(head.body).toHaveLength(0)
  })

  it.each([
    ['bytes=10-19', 206, 'bytes 10-19/1000', 10, 20],
    ['bytes=990-', 206, 'bytes 990-999/1000', 990, 1000],
    ['bytes=990-5000', 206, 'bytes 990-999/1000', 990, 1000],
    ['bytes=-5', 206, 'bytes 995-999/1000', 995, 1000],
    ['bytes=1-2,4-5', 200, undefined, 0, 1000],
  ])('answers Range: %s with %i', async (range, status, contentRange, first, end) => {
    await using registry = await startRegistry()
    const bytes = randomBlob(1000, 'range')
    const digest = registry.pushBlob('app', bytes)

    const path = `/v2/app/blobs/${digest}`
    const got = await request({ url: registry.url, path, headers: { range } })

    expect(got.status).toBe(status)
    expect(got.headers['content-range']).toBe(contentRange)
    expect(got.body.equals(bytes.subarray(first, end))).toBe(true)
  })

  it.each([['bytes=1000-'], ['bytes=20-10']])('refuses Range: %s', async (range) => {
    await using registry = await startRegistry()
    const path = `/v2/app/blobs/${registry.pushBlob('app', randomBlob(1000, 'range'))}`
    const got = await request({ url: registry.url, path, headers: { range } })
    expect([got.status, got.headers['content-range']]).toEqual([416, 'bytes */1000'])
  })

  it.each([
    ['/v2/none/manifests/v1', 404, 'NAME_UNKNOWN'],
    ['/v2/app/manifests/none', 404, 'MANIFEST_UNKNOWN'],
    [`/v2/app/blobs/${digestOf(Buffer.from('none'))}`, 404, 'BLOB_UNKNOWN'],
    ['/v2/app/tags/list?n=many', 400, 'PAGINATION_NUMBER_INVALID'],
  ])('answers %s with %i %s', async (path, status, code) => {
    await using registry = await startRegistry()
    registry.push('app', 'v1', buildImage({ seed: 'known' }))

    const got = await request({ url: registry.url, path })

    expect(got.status).toBe(status)
    expect(JSON.parse(got.body.toString())).toMatchObject({ errors: [{ code }] })
  })

  it('refuses writes and answers the ping', async () => {
    await using registry = await startRegistry()
    const put = await request({ url: registry.url, path: '/v2/app/manifests/v1', method: 'PUT' })
    expect(put.status).toBe(405)
    const ping = await request({ url: registry.url, path: '/v2/' })
    expect([ping.status, ping.body.toString()]).toEqual([200, '{}'])
  })

  it('forgets and moves tags', async () => {
    await using registry = await startRegistry()
    const [one, two] = [buildImage({ seed: 'one' }), buildImage({ seed: 'two' })]
    const status = async (reference: string): Promise<number> =>
      (await request({ url: registry.url, path: `/v2/app/manifests/${reference}` })).status
    registry.push('app', 'v1', one)
    registry.push('app', undefined, two)

    registry.setTag('app', 'v1', two.digest)
    const moved = await request({ url: registry.url, path: '/v2/app/manifests/v1' })
    expect(moved.headers['docker-content-digest']).toBe(two.digest)

    registry.removeTag('app', 'v1')
    expect(await status('v1')).toBe(404)
    expect(await status(two.digest)).toBe(200)
    registry.remove('app', two.digest)
    expect(await status(two.digest)).toBe(404)
    registry.removeRepository('app')
    expect(await status(one.digest)).toBe(404)
  })

  it('records what was asked and how many bytes it sent', async () => {
    await using registry = await startRegistry()
    const digest = registry.pushBlob('app', randomBlob(500_000, 'counted'))
    const path = `/v2/app/blobs/${digest}`

    await request({ url: registry.url, path: `${path}?ns=x`, headers: { 'user-agent': 'test' } })
    await request({ url: registry.url, path, method: 'HEAD' })
    await request({ url: registry.url, path, headers: { range: 'bytes=0-99' } })

    expect(registry.requests[0]).toMatchObject({
      method: 'GET',
      path,
      query: 'ns=x',
      status: 200,
      headers: { 'user-agent': 'test' },
      bytesSent: 500_000,
    })
    expect(registry.bodyBytes(digest)).toBe(500_100)
    expect(registry.count(/^GET .*\/blobs\//)).toBe(2)
    expect(registry.count(/\?ns=x$/)).toBe(1)
    await until(() => registry.requests.every(({ ending }) => ending === 'complete'))
  })

  it('goes down in the middle of a body and comes up on the same port', async () => {
    await using registry = await startRegistry()
    const path = `/v2/app/blobs/${registry.pushBlob('app', randomBlob(1000, 'down'))}`
    registry.fault({ match: { kind: 'blob' }, hold: { after: 10, gate: createGate() } })
    const ping = (): Promise<unknown> => request({ url: registry.url, path: '/v2/' })
    const stream = await openStream({ url: registry.url, path })
    await stream.read(10)

    await registry.goDown()
    expect([(await stream.rest()).length, stream.complete]).toEqual([0, false])
    await expect(ping()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await registry.comeUp()
    await expect(ping()).resolves.toMatchObject({ status: 200 })
    await until(() => registry.connections() === 0)
  })

  it('speaks TLS with a certificate of a private authority', async () => {
    await using authority = await createCertificateAuthority()
    await using registry = await startRegistry({ tls: await authority.issue() })
    const bytes = randomBlob(1_000_000, 'tls')
    const path = `/v2/app/blobs/${registry.pushBlob('app', bytes)}`

    await expect(request({ url: registry.url, path })).rejects.toThrow(/certificate/)
    const got = await download({ url: registry.url, path, ca: authority.ca })
    expect(got.digest).toBe(digestOf(bytes))
  })

  it('counts pulls as Docker Hub does: HEAD is free', async () => {
    await using registry = await startRegistry({ pullsLeft: 1 })
    registry.push('app', 'v1', buildImage({ seed: 'limited' }))
    const ask = (method: string): ReturnType<typeof request> =>
      request({ url: registry.url, path: '/v2/app/manifests/v1', method })

    expect((await ask('HEAD')).headers['ratelimit-remaining']).toBe('1;w=21600')
    expect((await ask('GET')).headers['ratelimit-remaining']).toBe('0;w=21600')
    expect((await ask('GET')).status).toBe(429)
    expect((await ask('HEAD')).status).toBe(200)
  })
})

describe('listings of a fake registry', () => {
  const tagged = async (options: Parameters<typeof startRegistry>[0]) => {
    const registry = await startRegistry(options)
    const image = buildImage({ seed: 'tagged' })
    for (const tag of ['c', 'a', 'b', 'd']) registry.push('app', tag, image)
    const page = async (query: string) => {
      const got = await request({ url: registry.url, path: `/v2/app/tags/list${query}` })
      const { tags } = JSON.parse(got.body.toString()) as { tags: string[] }
      return { tags, link: got.headers['link'] }
    }
    return { registry, page }
  }

  it('gives tags in order and in pages', async () => {
    const { registry, page } = await tagged({})
    await using _ = registry
    expect(await page('')).toEqual({ tags: ['a', 'b', 'c', 'd'], link: undefined })
    expect(await page('?n=2')).toEqual({
      tags: ['a', 'b'],
      link: '</v2/app/tags/list?n=2&last=b>; rel="next"',
    })
    expect(await page('?n=2&last=b')).toEqual({ tags: ['c', 'd'], link: undefined })
    expect(await page('?last=bb')).toEqual({ tags: ['c', 'd'], link: undefined })
    expect(await page('?n=0')).toEqual({ tags: [], link: undefined })
  })

  it('limits the page, and links absolutely and opaquely if told so', async () => {
    const { registry, page } = await tagged({
      pageSize: 3,
      absoluteLinks: true,
      opaqueTokens: true,
    })
    await using _ = registry
    const first = await page('?n=1000')
    expect(first.tags).toEqual(['a', 'b', 'c'])
    const next = /^<(.*)>; rel="next"$/.exec(first.link ?? '')?.[1] ?? ''
    const { origin, search, searchParams } = new URL(next)
    expect(origin).toBe(registry.url)
    expect([...searchParams.keys()]).toEqual(['next_page'])
    expect(await page(search)).toEqual({ tags: ['d'], link: undefined })
  })

  it('lists referrers, filtered or not, unless it has no such API', async () => {
    const subject = buildImage({ seed: 'subject' })
    const sbom = buildArtifact({ seed: 'sbom', subject, artifactType: 'x/sbom' })
    const signature = buildArtifact({ seed: 'signature', subject, artifactType: 'x/signature' })
    const ask = async (referrers: boolean, query: string) => {
      await using registry = await startRegistry({ referrers })
      registry.push('app', 'v1', subject)
      registry.push('app', undefined, sbom)
      registry.push('app', undefined, signature)
      registry.push('app', undefined, buildArtifact({ seed: 'of another', subject: sbom }))
      const path = `/v2/app/referrers/${subject.digest}${query}`
      const got = await request({ url: registry.url, path })
      const { manifests = [] } = JSON.parse(got.body.toString()) as {
        manifests?: { digest: string }[]
      }
      return {
        status: got.status,
        filters: got.headers['oci-filters-applied'],
        found: manifests.map(({ digest }) => digest),
      }
    }

    expect(await ask(true, '')).toEqual({
      status: 200,
      filters: undefined,
      found: [sbom.digest, signature.digest],
    })
    expect(await ask(true, '?artifactType=x/sbom')).toEqual({
      status: 200,
      filters: 'artifactType',
      found: [sbom.digest],
    })
    expect(await ask(false, '')).toMatchObject({ status: 404 })
  })
})
