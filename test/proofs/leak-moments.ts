/** When something is asked for: the answer must not depend on what the mirror is about at that moment. */
import { expect, vi } from 'vitest'
import { createGate } from '../fakes/gate.ts'
import { download } from '../support/client.ts'
import { within } from '../support/until.ts'
import type { Wanted } from './leak-requests.ts'
import { UPSTREAM, warm, type World, YAML } from './leak-world.ts'

export type Moment =
  'cold' | 'warm' | 'in flight' | 'stale' | 'in an outage' | 'offline' | 'after a restart'

/** Milliseconds after which a tag is no longer believed. */
const LATER = 120_000

/** @returns what ends it */
export async function bringAbout(
  world: World,
  when: Moment,
  repository: string,
  wanted: Wanted,
): Promise<() => Promise<void>> {
  const { mirror, registry, carol } = world
  if (when === 'cold') return async () => undefined
  if (when === 'in flight') return beginFill(world, repository, wanted)
  await warm(world, carol, repository, wanted)
  // What a tag means has to be asked for again, and in an outage it is served as it was.
  if (when === 'stale' || when === 'in an outage') vi.setSystemTime(Date.now() + LATER)
  if (when === 'after a restart') await mirror.restart()
  if (when === 'offline') mirror.reload({ yaml: { ...YAML, offline: true } })
  if (when !== 'in an outage') return async () => undefined
  await registry.goDown()
  return () => registry.comeUp()
}

/** Half of the blob is here and no more, until the end. */
async function beginFill(
  world: World,
  repository: string,
  { tag, blob }: Wanted,
): Promise<() => Promise<void>> {
  const { mirror, registry, carol: headers } = world
  const base = `/v2/${UPSTREAM}/${repository}`
  expect((await mirror.get(`${base}/manifests/${tag}`, { headers })).status).toBe(200)
  const gate = createGate()
  const match = { kind: 'blob', method: 'GET', digest: blob } as const
  registry.fault({ match, times: 1, hold: { after: 2000, gate } })
  const reader = download({ url: mirror.url, path: `${base}/blobs/${blob}`, headers })
  await within(gate.reached)
  return async () => {
    gate.open()
    expect(await within(reader)).toMatchObject({ digest: blob, complete: true })
  }
}
