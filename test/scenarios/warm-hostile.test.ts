/** Warm jobs that nobody should be able to do harm with. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { startMirror } from '../support/mirror.ts'
import { warm } from './warm-jobs.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('a selection', () => {
  it('of a repository that rules refuse asks upstream for nothing', async () => {
    await using registry = await startRegistry()
    registry.push('library/secret', '1', buildImage({ seed: 'secret' }))
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      allow: ['docker.io/library/app'],
    })
    const { failures } = await warm(mirror, [{ repository: 'docker.io/library/secret' }])
    expect(Object.values(failures)).toEqual(['denied: No rule lets this repository in.'])
    expect(registry.requests).toEqual([])
  })

  it('passes over what upstream lists and is no tag', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', '1', buildImage({ seed: 'app' }))
    const names = [
      '',
      '-x',
      'a/b',
      'a b',
      '../x',
      '1@2',
      'x'.repeat(129),
      `1@sha256:${'0'.repeat(64)}`,
    ]
    registry.fault({
      match: { kind: 'tags' },
      body: JSON.stringify({ name: 'library/app', tags: [...names, '1'] }),
    } as never)
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { summary, failures } = await warm(mirror, [{ repository: 'docker.io/library/app' }])
    expect(failures).toEqual({})
    expect(summary).toMatchObject({ images: 1, failed: 0 })
  })
})

describe('an image by tag and digest', () => {
  it('is judged by the digest, as clients ask for it by that', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', '1', buildImage({ seed: 'allowed' }))
    const other = buildImage({ seed: 'not allowed' })
    registry.push('library/app', '2', other)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': registry },
      allow: ['docker.io/library/app:1'],
    })
    const { summary } = await warm(mirror, [`docker.io/library/app:1@${other.digest}`])
    expect(summary).toMatchObject({ images: 1, failed: 1 })
    expect(registry.requests).toEqual([])
  })
})

describe('what a job finds here', () => {
  it('counts as used, and is not what goes first for the next image', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using registry = await startRegistry()
    for (const name of ['a', 'b', 'c']) {
      registry.push(`library/${name}`, '1', buildImage({ seed: name, layers: [30_000] }))
    }
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, tagTtl: '100h' } },
      yaml: { budget: '80KiB' },
    })
    for (const name of ['a', 'c', 'a', 'b']) {
      expect((await warm(mirror, [`${name}:1`])).failures).toEqual({})
      vi.setSystemTime(Date.now() + 3_600_000)
    }
    expect((await warm(mirror, ['a:1', 'b:1'])).summary).toMatchObject({
      blobs: 0,
      alreadyThere: 4,
    })
  })
})
