/** No more is remembered than there is memory for. */
import { connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../support/until.ts'
import {
  blobOf,
  BY_TAG,
  type HotMirror,
  MIB,
  openHotMirror,
  REPOSITORY,
  sha256,
} from './hot-mirror.ts'
import { readAnswers } from './raw-answers.ts'

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
  expect(size > memory || (held + 1) * Math.max(size, 5 * KIB) > memory / 8).toBe(true)
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

describe('a burst of requests for a long body, none of which has been remembered', () => {
  const COUNT = 60
  const PATH = `${REPOSITORY}/blobs/${blobOf(MIB, 5)}`
  const SEVERAL = Array.from({ length: COUNT }, (_, at) => `${PATH}?${at}`)

  it('is answered in full', async () => {
    await using mirror = await openHotMirror()
    const socket = await silentSocket(mirror)
    const last = burstOf(mirror, [PATH]).replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')
    socket.write(burstOf(mirror, SEVERAL) + last)
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString('latin1')
    const answers = readAnswers(
      text,
      Array.from({ length: COUNT + 1 }, () => 'GET'),
    )
    const digests = answers.map(({ body }) => sha256(body))
    expect(new Set(digests)).toEqual(new Set([PATH.slice(PATH.lastIndexOf('/') + 1)]))
  })

  it('is held 16 times at most while nobody takes it, and not any more when its client has left', async () => {
    const lengths: number[] = []
    await using mirror = await openHotMirror({
      mirror: {
        async blob() {
          const read = async (buffer: Uint8Array): Promise<number> => {
            lengths.push(buffer.length)
            return buffer.fill(7).length
          }
          return { source: { size: MIB, read, close: async () => undefined }, outcome: 'hit' }
        },
      },
    })
    for (let time = 1; time <= 2; time += 1) {
      lengths.length = 0
      const socket = await silentSocket(mirror)
      const paths = SEVERAL.map((path) => `${path}-${time}`)
      socket.write(burstOf(mirror, paths))
      await until(() => lengths.length >= COUNT, { what: 'all are read' })
      expect(lengths.filter((length) => length === MIB)).toHaveLength(16)
      socket.destroy()
      await until(() => mirror.lines().length === COUNT * time, { what: 'all have ended' })
    }
  })
})

it('of what nobody takes 16 MiB are held at most, and not any more when its client has left', async () => {
  await using mirror = await openHotMirror()
  const paths = blobs(24, MIB - 1)
  const heldNow = async (): Promise<number> => {
    const calls = mirror.calls.length
    const socket = await silentSocket(mirror)
    const lines = mirror.lines().length
    socket.write(burstOf(mirror, paths))
    await until(() => mirror.calls.slice(calls).some((it) => it.startsWith('GET')))
    socket.destroy()
    await until(() => mirror.lines().length === lines + paths.length, { what: 'all have ended' })
    return paths.length - mirror.calls.slice(calls).filter((it) => it.startsWith('GET')).length
  }
  for (const path of paths) await mirror.ask(path)
  for (let time = 0; time < 2; time += 1) {
    const held = await heldNow()
    // The kernel may have taken the first ones.
    expect(held).toBeGreaterThanOrEqual(16)
    expect(held).toBeLessThanOrEqual(19)
  }
  for (const path of paths) expect(await mirror.isAsked(path)).toBe(false)
})

function burstOf({ url }: HotMirror, paths: readonly string[]): string {
  const { host } = new URL(url)
  return paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`).join('')
}

/** Takes nothing of what comes. */
async function silentSocket({ url }: HotMirror): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) }).pause()
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  return socket
}

/** The newest are held, and as looking for them changes nothing, they are looked for from there. */
async function heldOf(mirror: HotMirror, paths: readonly string[]): Promise<number> {
  let held = 0
  for (const path of paths.toReversed()) {
    if (await mirror.isAsked(path)) break
    held += 1
  }
  return held
}
