/** What the mirror as a whole adds to its parts, where operators keep content back. */
import { describe, expect, it, vi } from 'vitest'
import { createMirror, type Mirror } from '../../src/cache/mirror.ts'
import type { CacheSettings } from '../../src/cache/upstreams.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { parseRepository, parseTag, type Reference } from '../../src/oci/reference.ts'
import { UpstreamError, type Upstream } from '../../src/upstream/upstream.ts'
import { buildImage } from '../fakes/images.ts'
import { ORDINARY, type ScriptedManifests, scriptManifests } from './scripted-manifests.ts'
import { openStoredContent } from './stored-content.ts'

const APP = { upstream: 'docker.io', repository: parseRepository('library/app') }
const V1: Reference = { kind: 'tag', tag: parseTag('v1') }
const IMAGE = buildImage({ seed: 'image' })
const HOUR = 3_600_000

interface UnderTest extends AsyncDisposable {
  readonly mirror: Mirror
  readonly upstream: ScriptedManifests
  readonly clock: { now: number }
  readonly rules: { minAge: number; approves: boolean }
  /** Digests of blobs that upstream was asked for. */
  readonly blobs: readonly string[]
}

async function openMirror(): Promise<UnderTest> {
  const clock = { now: 1_700_000_000_000 }
  const now = () => clock.now
  const content = await openStoredContent(now)
  const upstream = scriptManifests('docker.io')
  const rules = { minAge: 0, approves: false }
  const blobs: string[] = []
  const getBlob = vi.fn<Upstream['getBlob']>((_repository, digest) => {
    blobs.push(digest)
    return Promise.reject(new UpstreamError('not-found', 'There are no blobs.'))
  })
  const client = { ...upstream.client, getBlob }
  const settings = (): CacheSettings => ({
    upstreams: new Map([['docker.io', { ...ORDINARY, complete: 'pulled', client }]]),
    rateLimitStatus: 503,
    admits: () => true,
    minAge: () => rules.minAge,
    isApproved: () => rules.approves,
    frozenTo: () => undefined,
    frozenDigests: () => [],
    isPinned: () => false,
  })
  const mirror = await createMirror({
    ...content,
    disk: { budget: undefined, lowWatermark: 0.9, maxUnused: undefined, minFree: 0 },
    scrubRate: 0,
    settings,
    metrics: createMetrics(),
    log: createLog(undefined, 'silent'),
    now,
  })
  return {
    mirror,
    upstream,
    clock,
    rules,
    blobs,
    async [Symbol.asyncDispose]() {
      await mirror.close()
      await content[Symbol.asyncDispose]()
    },
  }
}

describe('an image on probation', () => {
  it('is not completed in the background, until it may be pulled', async () => {
    await using it = await openMirror()
    it.rules.minAge = HOUR
    it.upstream.push('v1', IMAGE.bytes)

    await expect(it.mirror.manifest(APP, V1, true)).rejects.toMatchObject({ code: 'DENIED' })
    await it.mirror.idle()
    expect(it.blobs).toEqual([])

    it.clock.now += HOUR
    await it.mirror.manifest(APP, V1, true)
    await it.mirror.idle()
    expect(new Set(it.blobs)).toEqual(new Set(IMAGE.blobs.map(({ digest }) => digest)))
  })

  it('is described as what upstream announced, with the time since when', async () => {
    await using it = await openMirror()
    it.rules.minAge = HOUR
    it.upstream.push('v1', IMAGE.bytes)
    await expect(it.mirror.manifest(APP, V1, true)).rejects.toMatchObject({ code: 'DENIED' })
    const asked = it.upstream.asked.length

    expect(await it.mirror.describe(APP, V1)).toEqual({
      digest: IMAGE.digest,
      checkedAt: it.clock.now,
      freshness: 'fresh',
      isStored: false,
      blobs: { stored: 0, missing: 0, missingBytes: 0 },
      firstSeenAt: it.clock.now,
      upstream: { offline: false, endpoint: undefined, account: undefined, pullsLeft: undefined },
    })
    expect(it.upstream.asked).toHaveLength(asked)
    const unmirrored = { ...APP, upstream: 'quay.io' }
    expect(await it.mirror.describe(unmirrored, V1)).toMatchObject({ upstream: undefined })
  })

  it('is of age when it is approved', async () => {
    await using it = await openMirror()
    it.upstream.push('v1', IMAGE.bytes)

    expect(await it.mirror.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')).toBe(false)
    it.rules.approves = true
    expect(await it.mirror.isOfAge(APP, IMAGE.digest, HOUR, 'manifest')).toBe(true)
  })
})

describe('the age of a manifest', () => {
  it('that upstream does not have, or cannot be asked for, is told as an error of the protocol', async () => {
    await using it = await openMirror()
    const ask = (seed: string) =>
      it.mirror.isOfAge(APP, buildImage({ seed }).digest, HOUR, 'manifest')

    await expect(ask('nowhere')).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
    it.upstream.mood.failure = new UpstreamError('unavailable', 'The connection was refused.')
    await expect(ask('elsewhere')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

describe('the repositories', () => {
  it('are those of which something was pulled', async () => {
    await using it = await openMirror()
    it.upstream.push('v1', IMAGE.bytes)
    const other = { ...APP, repository: parseRepository('library/other') }
    for (const key of [other, APP]) await it.mirror.manifest(key, V1, true)

    expect(await it.mirror.repositories(undefined, 10)).toEqual([APP, other])
    expect(await it.mirror.repositories(undefined, 1)).toEqual([APP])
    expect(await it.mirror.repositories(APP, 10)).toEqual([other])
  })
})
