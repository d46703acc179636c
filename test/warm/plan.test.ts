/** What an image is made of, from a mirror that answers as a test says. */
import { describe, expect, it } from 'vitest'
import { OciError } from '../../src/oci/error.ts'
import { OCI_INDEX } from '../../src/oci/manifest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { WarmFailure } from '../../src/warm/events.ts'
import { failureOf } from '../../src/warm/failure.ts'
import type { Verdict, WarmMirror } from '../../src/warm/job.ts'
import { planImage } from '../../src/warm/plan.ts'
import { selectImages } from '../../src/warm/select.ts'
import { sourceText } from '../../src/warm/sources.ts'
import { buildImage } from '../fakes/images.ts'

const OLD = buildImage({ seed: 'old' })
const NEW = buildImage({ seed: 'new' })
const { signal: NEVER } = new AbortController()
const VERDICT: Verdict = {
  image: 'docker.io/library/app:latest',
  upstream: 'docker.io',
  repository: 'library/app',
  tag: undefined,
  digest: undefined,
  allowed: true,
  verdict: 'Allowed.',
  probationEndsAt: undefined,
  content: { digest: undefined, isStored: false, blobs: { missing: 0, missingBytes: 0 } },
}

/** @param tag answers to requests for the tag, in turn */
function mirrorOf(
  tag: readonly { image: typeof OLD; stale?: string }[],
  latest?: string,
): { mirror: WarmMirror; asked: string[] } {
  const asked: string[] = []
  const answers = [...tag]
  const mirror: Partial<WarmMirror> = {
    upstreamState: async () => undefined,
    confirmTag: async (_key, it) => void asked.push(`confirm ${it}`),
    describe: async () => ({ digest: latest }) as never,
    async manifest(_key, reference) {
      asked.push(reference.kind === 'tag' ? reference.tag : reference.digest)
      const found = reference.kind === 'digest' ? { image: NEW } : answers.shift()
      const { image, stale } = found as { image: typeof OLD; stale?: string }
      const { digest, bytes, mediaType } = image
      const outcome = stale === undefined ? 'hit' : 'stale'
      return { digest, bytes, mediaType, outcome, staleBecause: stale } as never
    },
  }
  return { mirror: mirror as WarmMirror, asked }
}

it('an index whose images have more blobs than any image is none', async () => {
  const json = (value: object): Uint8Array => Buffer.from(JSON.stringify(value))
  const digestAt = (index: number): string => `sha256:${String(index).padStart(64, '0')}`
  const asked: string[] = []
  const mirror: Partial<WarmMirror> = {
    upstreamState: async () => undefined,
    confirmTag: async () => undefined,
    async manifest(_key, reference) {
      if (reference.kind === 'tag') {
        const manifests = Array.from({ length: 10 }, (_, index) => ({ digest: digestAt(index) }))
        return { bytes: json({ manifests }), mediaType: OCI_INDEX, outcome: 'hit' } as never
      }
      const first = 10_000 * (asked.push(reference.digest) + 1)
      const layers = Array.from({ length: 6000 }, (_, index) => ({
        digest: digestAt(first + index),
      }))
      const mediaType = 'application/vnd.oci.image.manifest.v1+json'
      return { bytes: json({ config: {}, layers }), mediaType, outcome: 'hit' } as never
    },
  }
  const given = { mirror: mirror as WarmMirror, signal: NEVER }
  await expect(planImage(VERDICT, 'all', given)).rejects.toMatchObject({
    reason: 'upstream',
    message: 'It is made of more blobs than any image has.',
  })
  expect(asked).toHaveLength(2)
})

describe('a tag that clients are given as it was', () => {
  it('is waited for until it is what it is now', async () => {
    const { mirror, asked } = mirrorOf(
      [{ image: OLD, stale: 'takes long' }, { image: NEW }],
      NEW.digest,
    )
    const plan = await planImage(VERDICT, 'all', { mirror, signal: NEVER })
    expect(plan.digest).toBe(NEW.digest)
    expect(asked).toEqual(['confirm latest', 'latest', NEW.digest, 'latest'])
  })

  it.each([
    [NEW.digest, 'few pulls are left', 'few pulls are left. It is kept as it was.'],
    [OLD.digest, 'cannot be reached', 'cannot be reached. It is kept as it was.'],
    [undefined, 'cannot be reached', 'cannot be reached. It is kept as it was.'],
  ])('fails where it stays so: %s', async (latest, stale, message) => {
    const answer = { image: OLD, stale }
    const { mirror } = mirrorOf([answer, answer], latest)
    await expect(planImage(VERDICT, 'all', { mirror, signal: NEVER })).rejects.toMatchObject({
      reason: 'upstream',
      message,
    })
  })
})

it('a selection of a digest, and one of more tags than anybody looks at, are none', async () => {
  const given = {
    onEvent: () => undefined,
    signal: NEVER,
    mirror: {
      tags: async (_key: unknown, query: string) => ({
        tags: Array.from({ length: 60_000 }, (_, index) => `${query}-${index}`),
        nextQuery: `${query}x`,
      }),
    } as unknown as WarmMirror,
  }
  const source = { repository: 'docker.io/library/app' }
  const digest = OLD.digest
  await expect(
    selectImages(source, { ...given, explain: async () => ({ ...VERDICT, digest }) }),
  ).rejects.toThrow('docker.io/library/app (all tags) names a digest.')
  await expect(selectImages(source, { ...given, explain: async () => VERDICT })).rejects.toThrow(
    'docker.io/library/app has more than 100000 tags: name the images instead.',
  )
  expect(sourceText({ ...source, semver: '1' })).toBe('docker.io/library/app (versions 1)')
  expect(sourceText({ image: 'a:1' })).toBe('a:1')
})

describe('what goes wrong', () => {
  it.each([
    [new WarmFailure('budget', 'x'), 'budget'],
    [new StorageError('full', 'x'), 'storage'],
    [new OciError('DENIED', 'x'), 'denied'],
    [new OciError('UNAVAILABLE', 'x'), 'upstream'],
    [Object.assign(new Error('x'), { code: 'forbidden' }), 'denied'],
    [Object.assign(new Error('x'), { code: 'invalid' }), 'invalid'],
  ])('%s is %s', (error, reason) => {
    expect(failureOf(error, NEVER)).toMatchObject({ reason, message: 'x' })
  })

  it('is the end of the job where it is no trouble with one image', () => {
    expect(() => failureOf(new TypeError('a fault'), NEVER)).toThrow('a fault')
    const ended = AbortSignal.abort(new Error('enough'))
    expect(() => failureOf(new OciError('DENIED', 'x'), ended)).toThrow('enough')
  })
})
