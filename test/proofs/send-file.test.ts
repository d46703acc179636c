/** Clients that are killed at random bytes, while others read on: nobody gets a byte of anybody else. */
import { Agent, get, type IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { randomBlob } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { killAfter } from '../support/killed-client.ts'
import { openDescriptors } from '../support/leaks.ts'
import { startMirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'
import { LONG, openChance } from './chance.ts'

const MIB = 1024 * 1024
const KILLS = LONG ? 100_000 : 1500
const READS = LONG ? 5000 : 100
const CLIENTS = 12
const READERS = 3
/** Each of other bytes, so that those of one cannot pass for those of another. */
const SIZES = [MIB + 70_000, 5 * MIB + 1, 24 * MIB]

it(`serves ${READS} whole blobs beside ${KILLS} clients that are killed`, async () => {
  const chance = openChance('send-file')
  await using registry = await startRegistry()
  const blobs = SIZES.map((size) => {
    const bytes = Buffer.from(randomBlob(size, `blob of ${size}`))
    registry.pushBlob('a/one', bytes)
    return { expected: bytes, path: `/v2/docker.io/a/one/blobs/${digestOf(bytes)}` }
  })
  await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
  for (const { path } of blobs) await mirror.get(path)
  await mirror.app.idle()
  await until(() => registry.connections() <= 1)
  const before = await openDescriptors()
  const wrong: string[] = []
  let kills = 0
  let reads = 0

  async function beKilled(): Promise<void> {
    while (kills < KILLS) {
      kills += 1
      const blob = chance.oneOf(blobs)
      // In the head, in the first bytes, or anywhere.
      const point = chance.between(1, chance.oneOf([200, 100_000, blob.expected.length]))
      if (!(await killAfter({ url: mirror.url, ...blob }, point))) wrong.push(`cut at ${point}`)
    }
  }

  /** On one connection, whole and in parts. */
  async function readOn(agent: Agent): Promise<void> {
    while (reads < READS || kills < KILLS) {
      reads += 1
      const { path, expected } = chance.oneOf(blobs)
      const first = chance.oneOf([0, 0, chance.between(0, expected.length)])
      const last = chance.oneOf([expected.length - 1, chance.between(first, expected.length)])
      const headers = { range: `bytes=${first}-${last}` }
      const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
        get(`${mirror.url}${path}`, { agent, headers }, resolve).once('error', reject)
      })
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(chunk as Buffer)
      const isRight = Buffer.concat(chunks).equals(expected.subarray(first, last + 1))
      if (!isRight) wrong.push(`${first}-${last} of ${expected.length}`)
    }
  }

  const agents = Array.from(
    { length: READERS },
    () => new Agent({ keepAlive: true, maxSockets: 1 }),
  )
  try {
    await Promise.all([...agents.map(readOn), ...Array.from({ length: CLIENTS }, beKilled)])
  } finally {
    for (const agent of agents) agent.destroy()
  }

  expect(wrong).toEqual([])
  await until(async () => (await openDescriptors()) <= before, {
    what: 'as many descriptors are open as before',
  })
  process.stdout.write(`send-file: ${kills} clients were killed, ${reads} answers were read\n`)
})
