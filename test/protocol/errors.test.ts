/** What a client is told when upstream is limited, slow, gone, or has changed its mind; and of writes. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { createGate } from '../fakes/gate.ts'
import { buildImage, randomBlob } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { openStream } from '../support/client.ts'
import { startMirror } from '../support/mirror.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { verdict } from './answers.ts'
import { askedSince } from './asked.ts'
import { imageOf } from './handmade.ts'
import { rawVerdicts } from './raw-verdicts.ts'

const OLD = buildImage({ seed: 'errors' })
const NEW = buildImage({ seed: 'errors, moved' })
const PATH = '/v2/docker.io/library/app/manifests/v1'
const UPSTREAM = '/v2/library/app/manifests'

describe('E-32 429 from upstream', () => {
  it.each([
    ['seconds', { 'retry-after': '17' }, 17],
    ['nothing (HAP429)', {}, 60],
    ['what is no number', { 'retry-after': 'soon' }, 60],
  ] as const)('E-32 with %s to wait: 503 and Retry-After', async (_what, headers, seconds) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    registry.fault({ status: 429, headers })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const answer = await mirror.get(PATH)
    expect(verdict(answer)).toBe('503 UNAVAILABLE')
    expect(answer.headers['retry-after']).toBe(String(seconds))

    // Nobody asks again at once, whoever comes.
    await Promise.all([mirror.get(PATH), mirror.get(PATH)])
    expect(askedSince(registry)).toEqual([`GET ${UPSTREAM}/v1`])
  })

  it('E-32 with a date to wait for', async () => {
    await using registry = await startRegistry()
    const date = new Date(Date.now() + 40_000).toUTCString()
    registry.fault({ status: 429, headers: { 'retry-after': date } })
    registry.push('library/app', 'v1', OLD)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const seconds = Number((await mirror.get(PATH)).headers['retry-after'])
    expect(seconds).toBeGreaterThan(30)
    expect(seconds).toBeLessThanOrEqual(40)
  })

  it('E-32 as 429, where that is configured', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    registry.fault({ status: 429, headers: { 'retry-after': '17' } })
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { rateLimitStatus: 429 },
    })
    const answer = await mirror.get(PATH)
    expect(verdict(answer)).toBe('429 TOOMANYREQUESTS')
    expect(answer.headers['retry-after']).toBe('17')
  })

  it('E-32 what is cached is served, tags are revalidated by HEAD, which is not counted', async () => {
    await using registry = await startRegistry({ pullsLeft: 1 })
    registry.push('library/app', 'v1', OLD)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '0s' } },
    })
    await mirror.get(PATH)
    const again = await mirror.get(PATH)
    expect(again.headers['cache-status']).toBe('entrepot; fwd=stale; fwd-status=304')
    expect(again.headers['warning']).toBeUndefined()

    registry.push('library/app', 'v1', NEW)
    const limited = await mirror.get(PATH)
    expect(limited.status).toBe(200)
    expect(limited.headers['docker-content-digest']).toBe(OLD.digest)
    expect(limited.headers['warning']).toMatch(/few pulls are left/)
    expect((await mirror.get('/metrics')).body.toString()).toContain(
      'entrepot_upstream_ratelimit_remaining{upstream="docker.io",account="anonymous"} 0',
    )
  })

  it('E-32 a crowd that misses together is one request', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    const gate = createGate()
    registry.fault({ delayHeaders: gate })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const crowd = Array.from({ length: 20 }, () => mirror.get(PATH))
    await gate.reached
    gate.open()
    const answers = await Promise.all(crowd)
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect(askedSince(registry)).toEqual([`GET ${UPSTREAM}/v1`])
  })
})

describe('E-34 a slow upstream', () => {
  it('E-34 no ping ever waits for it', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    const gate = createGate()
    registry.fault({ delayHeaders: gate })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const waiting = mirror.get(PATH)
    await gate.reached
    for (const path of ['/v2/', '/docker.io/v2/', '/v2/docker.io/', '/healthz', '/readyz']) {
      expect((await mirror.get(path, { idleMs: 1000 })).status).toBe(200)
    }
    gate.open()
    expect((await waiting).status).toBe(200)
  })

  it('E-34 decided differently: no answer in time is 503, as every outage', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    const gate = createGate()
    registry.fault({ delayHeaders: gate })
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, timeouts: { firstByte: '0.2s' } } },
    })
    for (const path of [PATH, `/v2/docker.io/library/app/blobs/${OLD.blobs[0]?.digest}`]) {
      const answer = await mirror.get(path)
      expect(verdict(answer)).toBe('503 UNAVAILABLE')
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    }
    gate.open()
  })

  it('E-34 the head of a blob is sent before its first byte has come', async () => {
    const bytes = randomBlob(300_000, 'e34')
    await using registry = await startRegistry()
    const digest = registry.pushBlob('library/app', bytes)
    const gate = createGate()
    registry.fault({ hold: { after: 0, gate } })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const path = `/v2/docker.io/library/app/blobs/${digest}`
    const stream = await openStream({ url: mirror.url, path })
    expect(stream.status).toBe(200)
    expect(stream.headers['content-length']).toBe('300000')
    gate.open()
    expect(digestOf(await stream.rest())).toBe(digest)
  })
})

describe('E-36 tags that change', () => {
  it('E-36 within its time a tag costs nothing', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '1h' } },
    })
    for (let times = 0; times < 3; times += 1) await mirror.get(PATH)
    await mirror.head(PATH)
    expect(askedSince(registry)).toEqual([`GET ${UPSTREAM}/v1`])
  })

  it('E-36 unchanged: one HEAD; changed: the new one by its digest, the old one stays', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '0s' } },
    })
    await mirror.get(PATH)
    expect((await mirror.get(PATH)).headers['docker-content-digest']).toBe(OLD.digest)
    registry.push('library/app', 'v1', NEW)
    expect((await mirror.get(PATH)).headers['docker-content-digest']).toBe(NEW.digest)
    expect(askedSince(registry)).toEqual([
      `GET ${UPSTREAM}/v1`,
      `HEAD ${UPSTREAM}/v1`,
      `HEAD ${UPSTREAM}/v1`,
      `GET ${UPSTREAM}/${NEW.digest}`,
    ])
    registry.remove('library/app', OLD.digest)
    const old = await mirror.get(`/v2/docker.io/library/app/manifests/${OLD.digest}`)
    expect(old.status).toBe(200)
  })

  it.each([
    ['500', { status: 500 }],
    ['429', { status: 429 }],
    ['401', { status: 401 }],
    ['403', { status: 403 }],
    ['a reset', { resetConnection: true }],
    ['a web page', { html200: true }],
  ] as const)('E-36 %s: what is known is served as stale', async (_what, fault) => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '0s' } },
    })
    await mirror.get(PATH)
    registry.fault(fault)
    for (const answer of [await mirror.get(PATH), await mirror.head(PATH)]) {
      expect(answer.status).toBe(200)
      expect(answer.headers['docker-content-digest']).toBe(OLD.digest)
      expect(answer.headers['cache-status']).toBe('entrepot; hit; ttl=-1; detail=stale')
      expect(answer.headers['warning']).toMatch(/^299 - "stale: docker\.io [^"]+"$/)
    }
  })

  it('E-36 decided differently: a tag that upstream deleted is not removed, but stale', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', OLD)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '0s' } },
    })
    await mirror.get(PATH)
    registry.removeTag('library/app', 'v1')
    const answer = await mirror.get(PATH)
    expect(answer.status).toBe(200)
    expect(answer.headers['warning']).toBe(
      '299 - "stale: docker.io could not confirm this tag (not-found)"',
    )
    registry.removeRepository('library/app')
    expect((await mirror.get(`/v2/docker.io/library/app/manifests/${OLD.digest}`)).status).toBe(200)
    expect(verdict(await mirror.get('/v2/docker.io/library/app/manifests/v3'))).toBe(
      '404 MANIFEST_UNKNOWN',
    )
  })
})

describe('E-43 writes', () => {
  it.each([
    ['POST', '/v2/docker.io/library/app/blobs/uploads/'],
    ['POST', '/v2/docker.io/library/app/blobs/uploads/?mount=sha256:00&from=library/other'],
    ['PATCH', '/v2/docker.io/library/app/blobs/uploads/1'],
    ['PUT', '/v2/docker.io/library/app/blobs/uploads/1?digest=sha256:00'],
    ['PUT', PATH],
    ['DELETE', PATH],
    ['DELETE', `/v2/docker.io/library/app/blobs/${OLD.digest}`],
    ['POST', '/v2/'],
    ['PUT', '/docker.io/v2/library/app/manifests/v1'],
    ['OPTIONS', '/v2/'],
  ])('E-43 %s %s is 405, with what is allowed and a sentence', async (method, path) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const send = `${method} ${path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n`
    const answer = await exchangeRaw({ url: mirror.url, send })
    expect(rawVerdicts(answer)).toEqual(['405 UNSUPPORTED'])
    expect(answer.text).toMatch(/\r\nAllow: GET, HEAD\r\n/)
    expect(answer.text).toContain('This is a mirror: images can be pulled from it')
    expect(registry.requests).toEqual([])
  })

  it('E-43 a large body is not waited for', async () => {
    await using mirror = await startMirror({ upstreams: {}, yaml: 'upstreams: { docker.io: {} }' })
    const send = `PUT ${PATH} HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000000\r\n\r\n${'x'.repeat(100_000)}`
    const answer = await exchangeRaw({ url: mirror.url, send })
    expect(answer.closed).toBe(true)
    expect(rawVerdicts(answer)).toEqual(['405 UNSUPPORTED'])
  })
})

describe('what nobody expects', () => {
  it('of the data folder is logged, and costs no client its answer', async () => {
    const image = imageOf(randomBlob(1000, 'unexpected'))
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', image)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await rm(join(mirror.dataDir, 'spool'), { recursive: true })

    for (const path of [PATH, `/v2/docker.io/library/app/blobs/${image.layer}`]) {
      const answer = await mirror.get(path)
      expect(verdict(answer)).toBe('200')
      expect(JSON.stringify(answer.headers)).not.toMatch(/ENOENT|spool|\/tmp/)
    }
    await mirror.app.idle()
    expect(JSON.stringify(mirror.logs)).toContain('ENOENT')
    expect((await mirror.get('/metrics')).body.toString()).toMatch(
      /^entrepot_passed_through_total\{reason="disk"\} 2$/m,
    )
    await mkdir(join(mirror.dataDir, 'spool'))
  })
})
