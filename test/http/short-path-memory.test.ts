/** No more is remembered than there is memory for. */
import { expect, it } from 'vitest'
import { blobOf, BY_TAG, type HotMirror, MIB, openHotMirror, REPOSITORY } from './hot-mirror.ts'

const KIB = 1024
const blobs = (count: number, size: number, seed = 1): string[] =>
  Array.from({ length: count }, (_, at) => `${REPOSITORY}/blobs/${blobOf(size, at + seed)}`)

it.each([
  ['short', 300 * KIB, 400, 1000],
  ['one write', 300 * KIB, 60, 16 * KIB],
  ['long', MIB, 30, 100 * KIB],
  ['too long for a small memory', 64 * KIB, 10, 100 * KIB],
  ['nearly all of it', 2 * MIB, 5, MIB],
])('bodies that are %s push out the oldest', async (_, memory, count, size) => {
  await using mirror = await openHotMirror({ memory })
  const paths = blobs(count, size)
  for (const path of paths) await mirror.ask(path)
  const held = await heldOf(mirror, paths)
  expect(held * size).toBeLessThanOrEqual(memory)
  expect(held).toBeLessThan(count)
  // Neither is memory left unused that was given.
  expect(size > memory || (held + 1) * Math.max(size, 3 * KIB) > memory / 8).toBe(true)
})

it('a body that is larger than all memory pushes out nothing, and opens no door for more', async () => {
  const memory = 256 * KIB
  await using mirror = await openHotMirror({ memory })
  const [small = ''] = blobs(1, 1000)
  await mirror.ask(small)
  for (const path of blobs(10, 900 * KIB)) {
    await mirror.ask(path)
    expect(await mirror.isAsked(path)).toBe(true)
  }
  expect(await mirror.isAsked(small)).toBe(false)
  const paths = blobs(12, 50 * KIB)
  for (const path of paths) await mirror.ask(path)
  expect((await heldOf(mirror, paths)) * 50 * KIB).toBeLessThanOrEqual(memory)
})

it('what was asked for lately stays', async () => {
  await using mirror = await openHotMirror({ memory: MIB })
  const [hot = '', ...others] = blobs(30, 100 * KIB)
  await mirror.ask(hot)
  for (const path of others) {
    await mirror.ask(path)
    expect(await mirror.isAsked(hot)).toBe(false)
  }
})

it('a request that is longer than clients make them is not remembered', async () => {
  await using mirror = await openHotMirror()
  const long = 'x'.repeat(2 * KIB)
  const host = { headers: { host: `${long}.example` } }
  for (let time = 0; time < 2; time += 1) {
    expect(await mirror.isAsked(`${BY_TAG}?${long}`)).toBe(true)
    expect(await mirror.isAsked(BY_TAG, host)).toBe(true)
  }
})

it('one with a long name, tag and credential is', async () => {
  const authorization = `Bearer ${'x'.repeat(500)}`
  const identities = { [authorization]: { validUntil: Infinity } }
  await using mirror = await openHotMirror({ identities })
  const path = `/v2/docker.io/${'some-team/'.repeat(12)}app/manifests/${'a'.repeat(128)}`
  await mirror.ask(path, { headers: { authorization } })
  expect(await mirror.isAsked(path, { headers: { authorization } })).toBe(false)
})

/** The newest are held, and as looking for them changes nothing, they are looked for from there. */
async function heldOf(mirror: HotMirror, paths: readonly string[]): Promise<number> {
  let held = 0
  for (const path of paths.toReversed()) {
    if (await mirror.isAsked(path)) break
    held += 1
  }
  return held
}
