/** Tags that move, hang or are frozen while content is on probation. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ManifestAnswer } from '../../src/cache/manifest-answer.ts'
import { createGate } from '../fakes/gate.ts'
import { APP, openManifests, outage, V1 } from './manifests-under-test.ts'
import {
  DAY,
  head,
  holdFailureClock,
  HOUR,
  moved,
  OLD,
  ON_PROBATION,
  releaseFailureClock,
  storeYoung,
  YOUNG,
  YOUNGER,
} from './probation-under-test.ts'

beforeEach(holdFailureClock)
afterEach(releaseFailureClock)

describe('a tag that moves while it is asked for', () => {
  it('is served as what was judged', async () => {
    await using it = await moved({ tagTtl: 0 })
    it.rules.approved.add(YOUNG.digest)
    const gate = createGate()
    it.upstream.mood.gate = gate

    const pull = it.pull()
    await gate.reached
    it.upstream.push('v1', YOUNGER.bytes)
    gate.open()

    expect(await pull).toMatchObject({ digest: YOUNG.digest, bytes: YOUNG.bytes })
    expect(it.upstream.asked.slice(1)).toEqual(['HEAD v1', `GET ${YOUNG.digest}`])
    expect(await it.pull()).toMatchObject({ digest: YOUNG.digest, staleBecause: ON_PROBATION })
  })

  it('to what is young, when what was judged cannot be had, is served as before', async () => {
    await using it = await moved()
    await storeYoung(it)
    it.upstream.announce('v1', YOUNGER.digest)
    it.rules.approved.add(YOUNGER.digest)

    expect(await it.pull()).toMatchObject({ digest: OLD.digest, staleBecause: ON_PROBATION })
    expect(it.pulled.at(-1)?.digest).toBe(OLD.digest)
  })

  it('joins no fetch by digest that began for somebody else', async () => {
    await using it = await moved()
    await head(it)
    const gate = createGate()
    it.upstream.mood.gate = gate
    const byDigest = it.manifests.byDigest(APP, YOUNG.digest, true)
    await gate.reached

    const pulls = [it.pull(), it.pull(), head(it)]
    gate.open()
    await byDigest

    for (const pull of pulls) expect((await pull).digest).toBe(OLD.digest)
  })
})

describe('an upstream that does not answer', () => {
  it('holds up nobody for longer than three seconds, and nothing young comes of it', async () => {
    await using it = await moved()
    await storeYoung(it)
    const gate = createGate()
    it.upstream.mood.gate = gate

    const pull = it.pull()
    await gate.reached
    await vi.advanceTimersByTimeAsync(3000)
    expect(await pull).toMatchObject({ digest: OLD.digest, staleBecause: ON_PROBATION })
    expect((await head(it)).digest).toBe(OLD.digest)
    gate.open()
    await it.work.idle()
  })

  it('holds up an approved manifest no longer either, with what was there before', async () => {
    await using it = await moved()
    it.rules.approved.add(YOUNG.digest)
    await head(it)
    const gate = createGate()
    it.upstream.mood.gate = gate

    const pull = it.pull()
    await gate.reached
    await vi.advanceTimersByTimeAsync(3000)
    expect(await pull).toMatchObject({ digest: OLD.digest, outcome: 'stale' })
    gate.open()
    await it.work.idle()
    expect(await it.pull()).toMatchObject({ digest: YOUNG.digest })
  })
})

describe('content of age', () => {
  it('is served as where there is no rule, at the price of no request more', async () => {
    const ask = async (minAge: number) => {
      await using it = await openManifests({ staleWhileRevalidate: HOUR })
      it.upstream.push('v1', OLD.bytes)
      await it.pull()
      it.clock.now += 4 * DAY
      it.rules.minAge.set(V1, minAge)
      const answers: (ManifestAnswer | undefined)[] = []
      const ask = async () => answers.push(await it.pull(), await head(it))
      await ask()
      it.clock.now += 1000
      await ask()
      await it.work.idle()
      it.clock.now += 2 * HOUR
      it.upstream.mood.failure = outage()
      await ask()
      return { answers, asked: it.upstream.asked, pulled: it.pulled }
    }

    const [judged, free] = [await ask(3 * DAY), await ask(0)]
    expect({ ...judged, answers: judged.answers.map(withoutFreshness) }).toEqual({
      ...free,
      answers: free.answers.map(withoutFreshness),
    })
    // What may be served under such a rule changes with the time.
    expect(judged.answers.map((answer) => answer?.freshUntil)).toEqual([0, 0, 0, 0, 0, 0])
  })
})

describe('a frozen tag', () => {
  it('means its digest, whatever upstream says, and upstream is not asked about the tag', async () => {
    await using it = await moved({ tagTtl: 0 })
    it.rules.frozen.set(V1, OLD.digest)

    for (const wantsBody of [true, false]) {
      expect(await it.manifests.byTag(APP, V1, wantsBody)).toEqual({
        digest: OLD.digest,
        mediaType: OLD.mediaType,
        size: OLD.bytes.length,
        bytes: wantsBody ? OLD.bytes : undefined,
        outcome: 'hit',
        staleBecause: undefined,
        freshUntil: Infinity,
      })
    }
    it.upstream.removeTag('v1')
    it.upstream.mood.failure = outage()
    expect((await it.pull()).digest).toBe(OLD.digest)
    expect(it.upstream.asked).toEqual(['GET v1'])

    it.rules.frozen.clear()
    it.upstream.mood.failure = undefined
    it.upstream.push('v1', YOUNG.bytes)
    it.clock.now += 1000
    expect(await it.pull()).toMatchObject({ digest: OLD.digest, staleBecause: ON_PROBATION })
  })

  it('to a digest that was never here brings it, however young, and leads to what it contains', async () => {
    await using it = await moved()
    it.upstream.push('another', YOUNGER.bytes)
    it.rules.frozen.set(V1, YOUNGER.digest)

    expect(await it.pull()).toMatchObject({ digest: YOUNGER.digest, outcome: 'miss' })
    expect(await it.pull()).toMatchObject({ digest: YOUNGER.digest, outcome: 'hit' })

    expect(it.upstream.asked.slice(1)).toEqual([`GET ${YOUNGER.digest}`])
    for (const { digest } of YOUNGER.blobs) {
      expect(await it.content.catalog.tags.leadingTo(APP, digest)).toEqual([V1])
      expect(await it.manifests.isOfAge(APP, digest, 3 * DAY, 'blob')).toBe(true)
    }
  })

  it('to a digest that upstream does not have leads nowhere', async () => {
    await using it = await moved()
    it.rules.frozen.set(V1, YOUNGER.digest)

    await expect(it.pull()).rejects.toMatchObject({ reason: 'not-found' })
    expect(await it.content.catalog.tags.leadingTo(APP, YOUNGER.digest)).toEqual([])
  })
})

function withoutFreshness(answer: ManifestAnswer | undefined) {
  return { ...answer, freshUntil: undefined }
}
