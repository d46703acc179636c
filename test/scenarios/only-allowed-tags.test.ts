/** A rule on tags admits what an allowed tag leads to, and nothing else; a deny rule wins. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  AMD64,
  ARM64,
  buildArtifact,
  buildImage,
  buildIndex,
  buildReferrersIndex,
  type FakeImage,
} from '../fakes/images.ts'
import { type FakeRegistry, type RegistryOptions, startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { expectOciError } from './oci-error.ts'

const NAME = 'quay.io/app/redis'
const SHARED_LAYER_BYTES = 3000
const DAY = 24 * 3600 * 1000

/** Two platforms; the layers of equal seed are the same in both images. */
function version(seed: string): FakeImage {
  const platforms = [AMD64, ARM64].map((platform) => ({
    platform,
    image: buildImage({ seed: `${seed}/${platform.architecture}`, platform, layers: [1000] }),
  }))
  const shared = buildImage({ seed: 'shared', layers: [SHARED_LAYER_BYTES], platform: AMD64 })
  return buildIndex({ children: [...platforms, { image: shared }] })
}

const ALLOWED = version('7.1')
const OTHER = version('6.0')
const SIGNATURE = buildArtifact({ seed: 'signature', subject: ALLOWED })
const OTHER_SIGNATURE = buildArtifact({ seed: 'other signature', subject: OTHER })

afterEach(() => {
  vi.useRealTimers()
})

describe('a rule on tags', () => {
  it('admits a tag with everything below it', async () => {
    await using registry = await startVersions()
    await using mirror = await startGuarded(registry)
    const pulled = await mirror.pull(NAME, '7.1')
    expect(pulled.manifests.map(({ digest }) => digest).toSorted()).toEqual(
      ALLOWED.manifests.map(({ digest }) => digest).toSorted(),
    )
  })

  it('refuses other tags, and all that only they lead to, without asking upstream', async () => {
    await using registry = await startVersions()
    await using mirror = await startGuarded(registry)
    const manifests = OTHER.manifests.map(({ digest }) => `manifests/${digest}`)
    const blobs = OTHER.blobs.map(({ digest }) => `blobs/${digest}`)
    const paths = ['manifests/6.0', 'manifests/latest', `referrers/${OTHER.digest}`]

    for (const path of [...paths, ...manifests, ...blobs]) await expectDenied(mirror, path)
    expect(registry.requests).toEqual([])
  })

  it('tells whoever asks by digest to pull an allowed tag first', async () => {
    await using registry = await startVersions()
    await using mirror = await startGuarded(registry)
    const path = `/v2/${NAME}/manifests/${ALLOWED.digest}`

    const { message } = expectOciError(await mirror.get(path), 403)
    expect(message).toContain('Pull an allowed tag first')
    expect(message).toContain(ALLOWED.digest)
    await mirror.head(`/v2/${NAME}/manifests/7.1`)
    expect((await mirror.get(path)).status).toBe(200)
  })

  it('admits a layer that an allowed tag shares with others', async () => {
    await using registry = await startVersions()
    await using mirror = await startGuarded(registry)
    await mirror.pull(NAME, '7.1')
    const other = new Set(OTHER.blobs.map(({ digest }) => digest))
    const statuses = await Promise.all(
      [...new Set([...ALLOWED.blobs, ...OTHER.blobs])].map(async ({ digest }) => {
        const { status } = await mirror.get(`/v2/${NAME}/blobs/${digest}`)
        return { digest, status }
      }),
    )
    const allowed = new Set(ALLOWED.blobs.map(({ digest }) => digest))
    for (const { digest, status } of statuses) expect(status).toBe(allowed.has(digest) ? 200 : 403)
    expect([...other].some((digest) => allowed.has(digest))).toBe(true)
  })

  it('goes on to admit digests after a start, when the tag has moved, in an outage', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using registry = await startVersions()
    await using mirror = await startGuarded(registry)
    await mirror.pull(NAME, '7.1')
    registry.push('app/redis', '7.1', buildImage({ seed: 'moved' }))
    vi.setSystemTime(Date.now() + DAY)
    await mirror.pull(NAME, '7.1')

    await registry.goDown()
    await mirror.restart()
    expect((await mirror.pull(NAME, ALLOWED.digest)).digest).toBe(ALLOWED.digest)
  })

  it('shows only the tags that it admits', async () => {
    await using registry = await startVersions()
    await using mirror = await startGuarded(registry)
    registry.push('app/redis', '7.2', ALLOWED)
    const { body } = await mirror.get(`/v2/${NAME}/tags/list`)
    expect(JSON.parse(body.toString())).toEqual({ name: NAME, tags: ['7.1', '7.2'] })
  })

  it('of one repository admits nothing in another', async () => {
    await using registry = await startVersions()
    registry.push('app/other', '7.1', OTHER)
    await using mirror = await startGuarded(registry)
    await mirror.pull(NAME, '7.1')
    const before = registry.requests.length

    const answer = await mirror.get(`/v2/quay.io/app/other/manifests/${ALLOWED.digest}`)
    expect(expectOciError(answer, 403).code).toBe('DENIED')
    expect(registry.requests).toHaveLength(before)
  })
})

describe('the signatures of an image that a rule on tags admits', () => {
  const tagOf = ({ digest }: FakeImage, suffix: string): string =>
    `${digest.replace(':', '-')}${suffix}`

  it('come in under their tag, those of others do not', async () => {
    await using registry = await startVersions()
    registry.push('app/redis', tagOf(ALLOWED, '.sig'), SIGNATURE)
    registry.push('app/redis', tagOf(OTHER, '.sig'), OTHER_SIGNATURE)
    await using mirror = await startGuarded(registry)

    await expectDenied(mirror, `manifests/${tagOf(ALLOWED, '.sig')}`)
    await mirror.pull(NAME, '7.1')
    expect((await mirror.pull(NAME, tagOf(ALLOWED, '.sig'))).digest).toBe(SIGNATURE.digest)
    await expectDenied(mirror, `manifests/${tagOf(OTHER, '.sig')}`)
  })

  it.each([
    ['by the referrers API', {}],
    ['by the fallback tag', { referrers: false }],
  ])('come in as referrers, %s', async (_how, options) => {
    await using registry = await startVersions(options)
    registry.push('app/redis', undefined, SIGNATURE)
    registry.push('app/redis', undefined, OTHER_SIGNATURE)
    for (const [subject, signature] of [
      [ALLOWED, SIGNATURE],
      [OTHER, OTHER_SIGNATURE],
    ] as const) {
      const digest = registry.pushManifest('app/redis', buildReferrersIndex([signature]))
      registry.setTag('app/redis', tagOf(subject, ''), digest)
    }
    await using mirror = await startGuarded(registry)
    await mirror.pull(NAME, '7.1')

    await expectDenied(mirror, `manifests/${SIGNATURE.digest}`)
    const { body } = await mirror.get(`/v2/${NAME}/referrers/${ALLOWED.digest}`)
    expect(body.toString()).toContain(SIGNATURE.digest)
    expect((await mirror.pull(NAME, SIGNATURE.digest)).digest).toBe(SIGNATURE.digest)
    await expectDenied(mirror, `referrers/${OTHER.digest}`)
    await expectDenied(mirror, `manifests/${OTHER_SIGNATURE.digest}`)
  })
})

describe('a deny rule', () => {
  it('on a repository wins over whatever allows it', async () => {
    await using registry = await startVersions()
    await using mirror = await startGuarded(registry, {
      allow: ['**', NAME, `${NAME}:7.1`],
      deny: ['quay.io/app/*'],
    })
    await expectDenied(mirror, 'manifests/7.1')
    expect(registry.requests).toEqual([])
  })

  it('on a tag refuses that tag everywhere, and hides it', async () => {
    await using registry = await startVersions()
    registry.push('app/redis', 'nightly', OTHER)
    await using mirror = await startGuarded(registry, {
      allow: ['quay.io/**'],
      deny: ['**:nightly'],
    })

    await expectDenied(mirror, 'manifests/nightly')
    expect(registry.requests).toEqual([])
    expect((await mirror.pull(NAME, '7.1')).digest).toBe(ALLOWED.digest)
    const { body } = await mirror.get(`/v2/${NAME}/tags/list`)
    expect(JSON.parse(body.toString())).toMatchObject({ tags: ['6.0', '7.1', 'latest'] })
  })

  it('on the only tag that is known to lead to a digest refuses the digest', async () => {
    await using registry = await startVersions()
    await using mirror = await startGuarded(registry, { allow: ['quay.io/**'] })
    await mirror.pull(NAME, '6.0')
    await mirror.pull(NAME, '7.1')

    mirror.reload({ deny: ['**:6.0'] })
    await expectDenied(mirror, `manifests/${OTHER.digest}`)
    await expectDenied(mirror, `blobs/${OTHER.blobs[0]?.digest}`)
    expect((await mirror.pull(NAME, ALLOWED.digest)).digest).toBe(ALLOWED.digest)
  })
})

async function startVersions(options?: RegistryOptions): Promise<FakeRegistry> {
  const registry = await startRegistry(options)
  registry.push('app/redis', '7.1', ALLOWED)
  registry.push('app/redis', '6.0', OTHER)
  registry.push('app/redis', 'latest', OTHER)
  return registry
}

function startGuarded(
  registry: FakeRegistry,
  rules: { allow: string[]; deny?: string[] } = { allow: [`${NAME}:7.*`, 'quay.io/app/other:1.*'] },
): Promise<Mirror> {
  return startMirror({ upstreams: { 'quay.io': registry }, ...rules })
}

async function expectDenied(mirror: Mirror, rest: string): Promise<void> {
  const answer = await mirror.get(`/v2/${NAME}/${rest}`)
  expect(expectOciError(answer, 403).code).toBe('DENIED')
  expect((await mirror.head(`/v2/${NAME}/${rest}`)).status).toBe(403)
}
