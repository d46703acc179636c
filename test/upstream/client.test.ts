import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { MANIFEST_ACCEPT, MANIFEST_MAX_BYTES } from '../../src/oci/manifest.ts'
import { parseDigest } from '../../src/oci/digest.ts'
import { parseReference, parseRepository } from '../../src/oci/reference.ts'
import type { Upstream } from '../../src/upstream/upstream.ts'
import {
  createTestUpstream,
  DIGEST,
  failureOf,
  patience,
  REPOSITORY,
  serve,
  TAG,
  until,
} from './loopback.ts'
import { answer, sendManifest, start } from './registry.ts'

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'

const OPERATIONS: [string, (upstream: Upstream) => Promise<unknown>][] = [
  ['headManifest', (upstream) => upstream.headManifest(REPOSITORY, TAG, patience())],
  ['getManifest', (upstream) => upstream.getManifest(REPOSITORY, TAG, patience())],
  ['headBlob', (upstream) => upstream.headBlob(REPOSITORY, DIGEST, patience())],
  ['getBlob', (upstream) => upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())],
  ['getTags', (upstream) => upstream.getTags(REPOSITORY, '', patience())],
  ['getReferrers', (upstream) => upstream.getReferrers(REPOSITORY, DIGEST, '', patience())],
]

describe('what is asked', () => {
  test('method, path and Accept of each operation', async () => {
    const { server, upstream } = await start(answer(200, { 'Content-Length': 2 }, '{}'), '/base/')
    const repository = parseRepository('a/b')
    const sha512 = parseDigest(`sha512:${'cd'.repeat(64)}`)
    await upstream.headManifest(repository, TAG, patience())
    await upstream.getManifest(repository, parseReference(sha512), patience())
    await upstream.headBlob(repository, DIGEST, patience())
    const blob = await upstream.getBlob(repository, DIGEST, { first: 0 }, patience())
    await buffer(blob.body)
    await upstream.getTags(repository, 'n=5&last=x', patience())
    await upstream.getReferrers(repository, DIGEST, 'artifactType=a%2Fb', patience())
    const seen = server.requests.map(({ method, url, headers }) => [method, url, headers.accept])
    expect(seen).toEqual([
      ['HEAD', '/base/v2/a/b/manifests/latest', MANIFEST_ACCEPT],
      ['GET', `/base/v2/a/b/manifests/${sha512}`, MANIFEST_ACCEPT],
      ['HEAD', `/base/v2/a/b/blobs/${DIGEST}`, '*/*'],
      ['GET', `/base/v2/a/b/blobs/${DIGEST}`, '*/*'],
      ['GET', '/base/v2/a/b/tags/list?n=5&last=x', 'application/json'],
      [
        'GET',
        `/base/v2/a/b/referrers/${DIGEST}?artifactType=a%2Fb`,
        'application/vnd.oci.image.index.v1+json',
      ],
    ])
    for (const { headers } of server.requests) {
      expect(headers['accept-encoding']).toBe('identity')
      expect(headers['user-agent']).toMatch(/^entrepot\/\d/)
      expect(headers.range).toBeUndefined()
    }
  })

  test('a query cannot become anything else', async () => {
    const { server, upstream } = await start(answer(200, {}, '{}'))
    await upstream.getTags(REPOSITORY, 'last=a b#c\r\nX-Evil: 1&n=é', patience())
    expect(server.requests[0]?.url).toBe(
      '/v2/library/alpine/tags/list?last=a%20b%23cX-Evil:%201&n=%C3%A9',
    )
    expect(server.requests[0]?.headers).not.toHaveProperty('x-evil')
  })
})

describe('statuses', () => {
  test.each([
    [204, 'corrupt'],
    [206, 'corrupt'],
    [304, 'corrupt'],
    [307, 'corrupt'],
    [401, 'unauthorized'],
    [403, 'forbidden'],
    [404, 'not-found'],
    [408, 'unavailable'],
    [409, 'corrupt'],
    [410, 'not-found'],
    [416, 'corrupt'],
    [418, 'corrupt'],
    [429, 'rate-limited'],
    [451, 'forbidden'],
    [500, 'unavailable'],
    [502, 'unavailable'],
    [503, 'unavailable'],
    [504, 'unavailable'],
  ])('%d is %s for every operation, counted once', async (status, reason) => {
    const { upstream, seen } = await start(answer(status, {}, ''))
    for (const [name, operation] of OPERATIONS) {
      seen.failures.length = 0
      const failure = await failureOf(operation(upstream))
      expect([name, failure.reason]).toEqual([name, reason])
      expect(failure.message).toContain('/library/alpine/')
      expect(seen.failures).toEqual([reason])
    }
  })

  test('protocol E-2: HEAD that is not supported becomes GET, without its body', async () => {
    for (const status of [405, 501]) {
      const { server, upstream, seen } = await start((request, response) => {
        if (request.method === 'HEAD') return response.writeHead(status).end()
        response.writeHead(200, { 'Content-Length': 1_000_000, 'Content-Type': MANIFEST_TYPE })
        return response.write('{')
      })
      const manifest = await upstream.headManifest(REPOSITORY, TAG, patience())
      expect(manifest).toEqual({ digest: undefined, size: 1_000_000, contentType: MANIFEST_TYPE })
      const blob = await upstream.headBlob(REPOSITORY, DIGEST, patience())
      expect(blob.size).toBe(1_000_000)
      expect(server.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET', 'HEAD', 'GET'])
      expect(seen.bytes).toBe(0)
      await until(() => server.open() === 0)
    }
  })

  test.each([401, 403])('public.ecr.aws: %d for HEAD of a blob only', async (status) => {
    const { upstream } = await start((request, response) => {
      if (request.method === 'HEAD') return response.writeHead(status).end()
      return response.writeHead(200, { 'Content-Length': 9 }).end('123456789')
    })
    expect((await upstream.headBlob(REPOSITORY, DIGEST, patience())).size).toBe(9)
    const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe(status === 401 ? 'unauthorized' : 'forbidden')
  })

  test.each([400, 405, 501])('%d: upstream lists no referrers', async (status) => {
    const { upstream } = await start(answer(status))
    const failure = await failureOf(upstream.getReferrers(REPOSITORY, DIGEST, '', patience()))
    expect(failure.reason).toBe('not-found')
  })
})

describe('protocol E-32: limits', () => {
  test.each([
    ['seconds', () => '120', 120, 120],
    ['zero', () => '0', 0, 0],
    ['a date', () => new Date(Date.now() + 90_000).toUTCString(), 88, 90],
    ['a date that is over', () => 'Wed, 21 Oct 2015 07:28:00 GMT', 0, 0],
    ['nothing', () => undefined, 60, 60],
    ['nonsense', () => 'later', 60, 60],
    ['a year', () => '31536000', 86_400, 86_400],
    ['a number beyond numbers', () => '9'.repeat(400), 86_400, 86_400],
  ])('Retry-After with %s', async (_, retryAfter, least, most) => {
    const text = retryAfter()
    const { upstream } = await start(answer(429, text === undefined ? {} : { 'Retry-After': text }))
    const failure = await failureOf(upstream.getManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('rate-limited')
    expect(failure.retryAfter).toBeGreaterThanOrEqual(least)
    expect(failure.retryAfter).toBeLessThanOrEqual(most)
  })

  test('an outage says how long only where upstream does', async () => {
    const silent = await start(answer(503))
    const first = await failureOf(silent.upstream.getManifest(REPOSITORY, TAG, patience()))
    expect(first.retryAfter).toBeUndefined()
    const telling = await start(answer(503, { 'Retry-After': '5' }))
    const second = await failureOf(telling.upstream.getManifest(REPOSITORY, TAG, patience()))
    expect(second.retryAfter).toBe(5)
  })

  test.each([
    ['99;w=21600', 99],
    [' 0;w=21600', 0],
    ['many', undefined],
    ['-1', undefined],
  ])('ratelimit-remaining: %s', async (value, remaining) => {
    for (const status of [200, 429]) {
      const { upstream, seen } = await start(answer(status, { 'RateLimit-Remaining': value }, '{}'))
      await upstream.getManifest(REPOSITORY, TAG, patience()).catch(() => undefined)
      expect(seen.limits['anonymous']?.remaining).toBe(remaining)
    }
  })
})

describe('protocol E-1, E-22, E-23: what a manifest comes with', () => {
  test.each([
    [
      'everything',
      { 'Docker-Content-Digest': DIGEST, 'Content-Type': MANIFEST_TYPE, 'Content-Length': 2 },
      { digest: DIGEST, contentType: MANIFEST_TYPE, size: 2 },
    ],
    ['no digest', { 'Content-Length': 2 }, { digest: undefined, size: 2 }],
    [
      'a digest of an unknown algorithm',
      { 'Docker-Content-Digest': 'md5:00' },
      { digest: undefined },
    ],
    [
      'two digests',
      { 'Docker-Content-Digest': [DIGEST, DIGEST.replaceAll('ab', 'cd')] },
      { digest: undefined },
    ],
    ['the same digest twice', { 'Docker-Content-Digest': [DIGEST, DIGEST] }, { digest: DIGEST }],
    [
      'parameters',
      { 'Content-Type': 'text/plain; charset=utf-8' },
      { contentType: 'text/plain; charset=utf-8' },
    ],
    [
      'an encoding, so that the length is another',
      { 'Content-Encoding': 'gzip', 'Content-Length': 2 },
      { size: undefined },
    ],
    [
      'no encoding, said aloud',
      { 'Content-Encoding': 'Identity', 'Content-Length': 2 },
      { size: 2 },
    ],
  ])('%s', async (_, headers, expected) => {
    const { upstream } = await start(answer(200, headers))
    const head = await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(head).toMatchObject(expected)
  })

  test('protocol E-21: a sha512 digest is known', async () => {
    const sha512 = parseDigest(`sha512:${'cd'.repeat(64)}`)
    const { upstream } = await start(answer(200, { 'Docker-Content-Digest': sha512 }))
    const head = await upstream.headManifest(REPOSITORY, parseReference(sha512), patience())
    expect(head.digest).toBe(sha512)
  })

  test('its bytes are what was sent', async () => {
    const bytes = Buffer.from([0x7b, 0x20, 0xff, 0x00, 0x7d])
    const { upstream, seen } = await start(answer(200, { 'Content-Type': MANIFEST_TYPE }, bytes))
    const manifest = await upstream.getManifest(REPOSITORY, TAG, patience())
    expect(Buffer.compare(Buffer.from(manifest.bytes), bytes)).toBe(0)
    expect(manifest).toMatchObject({ size: 5, contentType: MANIFEST_TYPE, digest: undefined })
    expect(seen.bytes).toBe(5)
  })
})

describe('documents that are too large, broken or encoded', () => {
  test('a manifest of just the limit is read', async () => {
    const { upstream } = await start(answer(200, {}, Buffer.alloc(MANIFEST_MAX_BYTES)))
    const { size } = await upstream.getManifest(REPOSITORY, TAG, patience())
    expect(size).toBe(MANIFEST_MAX_BYTES)
  })

  test.each([
    ['announced', true],
    ['without end', false],
  ])('a document that is too large, %s', async (_, announced) => {
    const { server, upstream, seen } = await start((__, response) => {
      if (announced) response.setHeader('Content-Length', MANIFEST_MAX_BYTES + 1)
      response.writeHead(200)
      const pour = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
      }
      response.on('drain', pour)
      if (!announced) pour()
      else response.flushHeaders()
    })
    for (const [name, operation] of OPERATIONS) {
      if (name !== 'getManifest' && name !== 'getTags' && name !== 'getReferrers') continue
      const failure = await failureOf(operation(upstream))
      expect([name, failure.reason]).toEqual([name, 'corrupt'])
    }
    expect(seen.bytes).toBeLessThan(announced ? 1 : 3 * (MANIFEST_MAX_BYTES + 1_000_000))
    await until(() => server.open() === 0)
  })

  test('a body that breaks off', async () => {
    const { upstream } = await start((_, response) => {
      response.writeHead(200, { 'Content-Length': 100 })
      response.write('{', () => response.destroy())
    })
    const failure = await failureOf(upstream.getManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
  })

  test.each([
    ['stops', 0],
    ['drips', 20],
  ])('a body that %s', async (_, interval) => {
    const server = await serve((__, response) => {
      response.writeHead(200).write('{')
      if (interval === 0) return
      const drip = setInterval(() => response.write(' '), interval)
      response.on('close', () => clearInterval(drip))
    })
    const timeouts = { connect: 500, firstByte: 100, idle: 200 }
    const { upstream } = createTestUpstream([server.url], { timeouts })
    const failure = await failureOf(upstream.getManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('unavailable')
    await until(() => server.open() === 0)
  })

  test.each(['gzip', 'GZIP', 'x-gzip'])('protocol E-26: %s is undone', async (encoding) => {
    const { upstream } = await start(
      answer(200, { 'Content-Encoding': encoding }, gzipSync('{"a":1}')),
    )
    const manifest = await upstream.getManifest(REPOSITORY, TAG, patience())
    expect(Buffer.from(manifest.bytes).toString()).toBe('{"a":1}')
    expect(manifest.size).toBe(7)
  })

  test.each([
    ['a bomb', 'gzip', gzipSync(Buffer.alloc(MANIFEST_MAX_BYTES + 1))],
    ['no gzip', 'gzip', Buffer.from('{"a":1}')],
    ['half of it', 'gzip', gzipSync('{"a":1}').subarray(0, 15)],
    ['br', 'br', Buffer.from('{}')],
    ['zstd', 'zstd', Buffer.from('{}')],
    ['a chain', 'gzip, gzip', gzipSync(gzipSync('{}'))],
  ])('protocol E-26: %s is refused', async (_, encoding, body) => {
    const { server, upstream } = await start(answer(200, { 'Content-Encoding': encoding }, body))
    const failure = await failureOf(upstream.getManifest(REPOSITORY, TAG, patience()))
    expect(failure.reason).toBe('corrupt')
    await until(() => server.open() <= 1)
  })
})

describe('protocol E-37: pages', () => {
  test('tags and the next page', async () => {
    const body = '{"name":"library/alpine","tags":null}'
    const { upstream } = await start(
      answer(
        200,
        {
          'Content-Type': 'application/json',
          Link: '<https://elsewhere.test/v2/x/tags/list?next_page=abc>; rel="next"',
        },
        body,
      ),
    )
    const page = await upstream.getTags(REPOSITORY, '', patience())
    expect(Buffer.from(page.bytes).toString()).toBe(body)
    expect(page).toMatchObject({
      contentType: 'application/json',
      nextQuery: 'next_page=abc',
      filtersApplied: undefined,
    })
  })

  test('referrers and the filters that upstream applied', async () => {
    const { upstream } = await start(answer(200, { 'OCI-Filters-Applied': 'artifactType' }, '{}'))
    const page = await upstream.getReferrers(REPOSITORY, DIGEST, '', patience())
    expect(page).toMatchObject({ filtersApplied: 'artifactType', nextQuery: undefined })
  })
})

test('offline: nothing is ever sent', async () => {
  const server = await serve((_, response) => sendManifest(response))
  const { upstream, seen } = createTestUpstream([server.url], {}, { offline: true })
  expect(upstream.name).toBe('registry.test')
  for (const [, operation] of OPERATIONS) {
    const failure = await failureOf(operation(upstream))
    expect(failure.reason).toBe('unavailable')
    expect(failure.message).toContain('offline')
  }
  expect(upstream.state()).toEqual({
    offline: true,
    pullBudget: 'ample',
    endpoints: [{ origin: server.url, restsFor: 0 }],
    accounts: [],
  })
  expect(server.connections()).toBe(0)
  expect(seen.requests).toBe(0)
  await upstream.close()
})
