/** A tag under a rule on age that moves at upstream. */
import { expect, vi } from 'vitest'
import type { ManifestAnswer } from '../../src/cache/manifest-answer.ts'
import type { MirroredUpstream } from '../../src/cache/upstreams.ts'
import { parseTag } from '../../src/oci/reference.ts'
import { buildImage } from '../fakes/images.ts'
import { APP, type ManifestsUnderTest, openManifests, V1 } from './manifests-under-test.ts'

export const OLD = buildImage({ seed: 'old' })
export const YOUNG = buildImage({ seed: 'young' })
export const YOUNGER = buildImage({ seed: 'younger' })
export const V2 = parseTag('v2')
export const HOUR = 3_600_000
export const DAY = 24 * HOUR

/** What a client is warned of. */
export const ON_PROBATION: unknown = expect.stringMatching(
  /^docker\.io has newer content for this tag, which is on probation until 2023-11-2\dT/,
)

/** `v1` means something old, is under a rule of three days, and moves at upstream. */
export async function moved(
  settings: Partial<MirroredUpstream> = {},
  setUp: (it: ManifestsUnderTest) => void = () => undefined,
): Promise<ManifestsUnderTest> {
  const it = await openManifests(settings)
  setUp(it)
  it.upstream.push('v1', OLD.bytes)
  await it.pull()
  it.clock.now += 4 * DAY
  it.rules.minAge.set(V1, 3 * DAY)
  it.upstream.push('v1', YOUNG.bytes)
  return it
}

export const head = ({ manifests }: ManifestsUnderTest): Promise<ManifestAnswer> =>
  manifests.byTag(APP, V1, false)

/** A tag without a rule leads to the same, so that it is stored, and `v1` means it in the catalog. */
export async function storeYoung(it: ManifestsUnderTest): Promise<void> {
  it.upstream.push('v2', YOUNG.bytes)
  await it.manifests.byTag(APP, V2, true)
  await it.pull()
  expect(await it.content.catalog.tags.find(APP, V1)).toMatchObject({ digest: YOUNG.digest })
  it.clock.now += 1000
}

let elapsed = 1000

/** Failures are remembered by clocks of their own, which stand still from here on. */
export function holdFailureClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.spyOn(performance, 'now').mockImplementation(() => elapsed)
}

export function releaseFailureClock(): void {
  vi.restoreAllMocks()
  vi.useRealTimers()
}

/** The memory of failures keeps what it read of the clock until a timer of 1 ms fires. */
export function forgetFailures(): void {
  elapsed += 60_000
  vi.advanceTimersByTime(1)
}
