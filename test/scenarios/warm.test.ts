/** Images that are fetched before anybody pulls them. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { buildImage, buildIndex, buildMultiPlatform, type FakeImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { createGate } from '../fakes/gate.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { startMirror } from '../support/mirror.ts'
import { within } from '../support/until.ts'
import { BLOBS, MANIFESTS, warm } from './warm-jobs.ts'

const HOUR = 3_600_000

afterEach(() => {
  vi.useRealTimers()
})

function push(registry: FakeRegistry, repository: string, tag: string): FakeImage {
  const image = buildImage({ seed: `${repository}:${tag}` })
  registry.push(repository, tag, image)
  return image
}

describe('an image', () => {
  it('is here for whoever pulls it then, of the platform that was wanted, and costs nothing again', async () => {
    await using registry = await startRegistry()
    const index = buildMultiPlatform('app', [1000, 2000])
    registry.push('library/app', '1', index)
    // Its manifests are not completed in the background besides: the figures are those of the job.
    const yaml = 'complete: pulled'
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry }, yaml })
    const first = await warm(mirror, ['app:1'])
    expect(first.summary).toMatchObject({ images: 1, failed: 0, blobs: 3, alreadyThere: 0 })
    expect(first.summary.bytes).toBeGreaterThan(3000)
    expect(registry.count(BLOBS)).toBe(3)
    expect(registry.count(MANIFESTS)).toBe(2)
    expect(first.of('image-planned')).toMatchObject([{ digest: index.digest, blobs: 3 }])
    expect(first.of('image-finished')).toMatchObject([
      { image: 'app:1', digest: index.digest, blobs: 3, alreadyThere: 0 },
    ])

    const again = await warm(mirror, ['app:1'])
    expect(again.summary).toMatchObject({ blobs: 0, bytes: 0, alreadyThere: 3, failed: 0 })
    await mirror.pull('docker.io/library/app', index.manifests[1]?.digest ?? '')
    await mirror.get('/v2/docker.io/library/app/manifests/1')
    await mirror.app.idle()
    expect(registry.count(BLOBS)).toBe(3)
    expect(registry.count(MANIFESTS)).toBe(2)
    expect(mirror.logs.filter(({ level }) => level === 50)).toEqual([])
  })

  it('may be wanted for all platforms, or some', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', '1', buildMultiPlatform('app', [1000]))
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const missing = await warm(mirror, ['app:1'], { platforms: ['linux/s390x', 'linux/arm/v7'] })
    expect(missing.failures).toEqual({
      'app:1': 'invalid: It is not there for this platform; there is: linux/amd64, linux/arm64/v8.',
    })
    const { summary } = await warm(mirror, ['app:1'], { platforms: ['linux/arm64'] })
    expect(summary).toMatchObject({ blobs: 2, failed: 0 })
    const all = await warm(mirror, ['app:1'], { platforms: ['all'] })
    expect(all.summary).toMatchObject({ blobs: 2, alreadyThere: 2, failed: 0 })
  })

  it('may be an index of indexes, and of what is for no platform', async () => {
    await using registry = await startRegistry()
    const plain = buildImage({ seed: 'plain', layers: [10] })
    const nested = buildIndex({ children: [{ image: plain }] })
    registry.push('library/app', '1', buildIndex({ children: [{ image: nested }] }))
    let deep = plain
    for (let depth = 0; depth < 6; depth += 1) deep = buildIndex({ children: [{ image: deep }] })
    registry.push('library/app', 'deep', deep)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { summary, failures } = await warm(mirror, ['app:1', 'app:deep'])
    expect(summary).toMatchObject({ images: 2, failed: 1, blobs: 2 })
    expect(failures['app:deep']).toBe('upstream: It is made of more manifests than any image has.')
  })

  it('is what its tag means now, also while clients are given what it was', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using registry = await startRegistry()
    push(registry, 'library/app', '1')
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '1h', staleWhileRevalidate: '10h' } },
    })
    await warm(mirror, ['app:1'])
    const changed = buildImage({ seed: 'changed' })
    registry.push('library/app', '1', changed)
    expect((await warm(mirror, ['app:1'])).of('image-finished')[0]?.digest).not.toBe(changed.digest)
    vi.setSystemTime(Date.now() + 2 * HOUR)
    expect((await warm(mirror, ['app:1'])).of('image-finished')[0]?.digest).toBe(changed.digest)
  })

  it('is fetched without what is not for everybody', async () => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'windows', layers: [100, 200] })
    const text = Buffer.from(image.bytes).toString()
    const last = text.lastIndexOf('application/vnd.oci.image.layer.v1.tar')
    const foreign = `${text.slice(0, last)}application/vnd.oci.image.layer.nondistributable.v1.tar${text.slice(last + 38)}`
    const bytes = Buffer.from(foreign)
    const manifest = { bytes, digest: digestOf(bytes), mediaType: image.mediaType }
    registry.push('library/win', '1', { ...image, ...manifest, manifests: [manifest] })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    expect((await warm(mirror, ['win:1'])).summary).toMatchObject({ blobs: 2, failed: 0 })
  })
})

describe('one image that fails', () => {
  it('keeps no other from coming, and says why as explain does', async () => {
    await using registry = await startRegistry()
    const good = push(registry, 'library/good', '1')
    push(registry, 'library/secret', '1')
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      allow: ['docker.io/library/*'],
      deny: ['docker.io/library/secret'],
    })
    const { summary, failures } = await warm(mirror, [
      'secret:1',
      'docker.io/other/app:1',
      'none:1',
      'good:none',
      'Good',
      'gcr.io/a/b:1',
      `good@${digestOf(Buffer.from('none'))}`,
      `good:1@${good.digest}`,
    ])
    expect(summary).toMatchObject({ images: 8, failed: 7, blobs: 3 })
    expect(failures).toMatchObject({
      'secret:1': `denied: Refused: the file's rule "docker.io/library/secret" denies it.`,
      'docker.io/other/app:1': 'denied: Refused: no rule allows it.',
      'none:1': 'upstream: Upstream does not have this.',
      'good:none': 'upstream: Upstream does not have this.',
      Good: expect.stringMatching(/^invalid: /),
      'gcr.io/a/b:1': expect.stringMatching(/^invalid: .*gcr.io is not mirrored here/),
    })
  })

  it('lets none of its blobs begin that still wait', async () => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'many', layers: [10, 20, 30, 40, 50, 60] })
    registry.push('library/app', '1', image)
    registry.fault({ match: { kind: 'blob' }, status: 404 })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { failures } = await warm(mirror, ['app:1'], { concurrency: 1 })
    expect(failures).toEqual({ 'app:1': 'upstream: Upstream does not have this.' })
    expect(registry.count(/GET .*\/blobs\//)).toBe(1)
  })

  it('is one that the store has no room for', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', '1', buildImage({ seed: 'large', layers: [100_000] }))
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { budget: '32KiB' },
    })
    const { failures } = await warm(mirror, ['app:1'])
    expect(failures['app:1']).toMatch(/^storage: There is no room for a blob of \d+ bytes\.$/)
  })
})

describe('a selection', () => {
  it('is of tags that upstream has, page by page, and of those that rules let in', async () => {
    await using registry = await startRegistry({ pageSize: 3 })
    for (const tag of ['1.0', '1.1', '1.2-alpine', '2.0', 'latest', 'v3']) {
      push(registry, 'library/app', tag)
    }
    push(registry, 'library/other', '1')
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      deny: ['docker.io/library/app:2.*', 'docker.io/library/other:1'],
    })
    const repository = 'docker.io/app'
    const all = await warm(mirror, [{ repository }], { dryRun: true })
    const found = all.of('image-would-be-fetched').map(({ image }) => image)
    expect(found.toSorted()).toEqual(
      ['1.0', '1.1', '1.2-alpine', 'latest', 'v3'].map((tag) => `docker.io/library/app:${tag}`),
    )
    expect(all.of('tags-selected')).toEqual([
      { event: 'tags-selected', source: 'docker.io/app (all tags)', tags: 6, refused: 1 },
    ])
    const some = await warm(mirror, [
      { repository, matching: '^1\\.\\d$' },
      { repository, semver: '>= 1.1, < 4' },
      { image: 'docker.io/library/app:1.1' },
      { repository, matching: '^none$' },
      { repository: 'docker.io/other' },
      { repository: 'docker.io/none' },
      { repository, matching: '^(1|1)*(.|1)*(.|.)*x$' },
    ])
    expect(some.summary).toMatchObject({ images: 3 + 4, failed: 4 })
    expect(some.failures).toMatchObject({
      'docker.io/app (tags that match ^none$)': 'upstream: Upstream has no such tag.',
      'docker.io/other (all tags)': 'denied: No rule lets any of its tags in.',
      'docker.io/none (all tags)': expect.stringMatching(/^upstream: /),
    })
  })
})

describe('what upstream gives', () => {
  it('is left to clients when few pulls are left', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using registry = await startRegistry({ pullsLeft: 3 })
    push(registry, 'library/app', '1')
    push(registry, 'library/app', '2')
    push(registry, 'library/app', '3')
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await warm(mirror, ['app:1', 'app:2'])
    const { failures, summary } = await warm(mirror, ['app:1', 'app:3'])
    expect(failures).toEqual({
      'app:3':
        'budget: Few pulls are left at docker.io, and those are for clients: run it again when there are more.',
    })
    expect(summary).toMatchObject({ images: 2, failed: 1, alreadyThere: 3 })
    registry.push('library/app', '1', buildImage({ seed: 'changed' }))
    vi.setSystemTime(Date.now() + HOUR)
    const changed = await warm(mirror, ['app:1'])
    expect(changed.failures['app:1']).toMatch(/^(?:budget|upstream): .*[Ff]ew pulls are left/)
    expect(registry.count(/^GET .*\/manifests\//)).toBe(2)
  })

  it('is not asked for while the mirror is offline', async () => {
    await using registry = await startRegistry()
    push(registry, 'library/app', '1')
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      yaml: { offline: true },
    })
    expect((await warm(mirror, ['app:1'])).failures).toEqual({
      'app:1': 'offline: docker.io is not asked for anything: the mirror is offline.',
    })
    expect(registry.requests).toEqual([])
  })

  it('counts as young where a rule says so', async () => {
    await using registry = await startRegistry()
    const image = push(registry, 'library/app', '1')
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      allow: [{ image: 'docker.io/library/*', minAge: '3d' }],
    })
    const { failures } = await warm(mirror, ['app:1', `app@${image.digest}`])
    expect(Object.values(failures).toSorted()).toEqual([
      expect.stringMatching(/^denied: Allowed by .* New content waits until /),
      expect.stringMatching(/^denied: docker.io.library.app:1 now means .*, which is new/),
    ])
    expect(registry.count(BLOBS)).toBe(0)
  })
})

describe('a job', () => {
  it('ends at once when it is told to, and goes on where it was', async () => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'slow', layers: [50_000, 60_000] })
    registry.push('library/app', '1', image)
    const gate = createGate()
    const slow = image.blobs[2]
    registry.fault({ match: { digest: slow?.digest ?? '' }, delayHeaders: gate })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const stop = new AbortController()
    const running = warm(mirror, ['app:1'], { signal: stop.signal })
    await within(gate.reached)
    stop.abort(new Error('enough'))
    await expect(within(running)).rejects.toThrow('enough')
    gate.open()
    await mirror.app.idle()
    const { summary } = await warm(mirror, ['app:1'])
    expect(summary).toMatchObject({ failed: 0, blobs: 0, alreadyThere: 3 })
    expect(registry.count(BLOBS)).toBe(3)
  })

  it('tells how far it is', async () => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'watched', layers: [50_000] })
    registry.push('library/app', '1', image)
    const gate = createGate()
    const [, layer] = image.blobs
    registry.fault({ match: { digest: layer?.digest ?? '' }, delayHeaders: gate })
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { events, of } = await warm(mirror, ['app:1'], {
      lookEvery: 1,
      onEvent(event) {
        if (event.event === 'blob-progress' && event.blob === layer?.digest) gate.open()
      },
    })
    expect(of('blob-progress').find(({ blob }) => blob === layer?.digest)).toMatchObject({
      image: 'app:1',
      bytes: 0,
    })
    const finished = events.findIndex((it) => it.event === 'blob-finished' && it.bytes === 50_000)
    const after = events.slice(finished).filter((it) => it.event === 'blob-progress')
    expect(after.filter(({ blob }) => blob === layer?.digest)).toEqual([])
    expect(events.at(-1)?.event).toBe('summary')
  })

  it('that only looks asks upstream for nothing', async () => {
    await using registry = await startRegistry()
    push(registry, 'library/app', '1')
    push(registry, 'library/app', '2')
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    await warm(mirror, ['app:1'])
    const before = registry.requests.length
    const { of, summary } = await warm(mirror, ['app:1', 'app:2'], { dryRun: true })
    const found = of('image-would-be-fetched').toSorted((a, b) => (a.image < b.image ? -1 : 1))
    expect(found).toMatchObject([
      { image: 'app:1', blobs: 0, bytes: 0 },
      { image: 'app:2', digest: undefined, blobs: undefined },
    ])
    expect(summary).toMatchObject({ images: 2, failed: 0, blobs: 0 })
    expect(registry.requests).toHaveLength(before)
  })
})
