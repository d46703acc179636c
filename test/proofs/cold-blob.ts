/** A large cold layer behind a slow upstream, and what has to be true of it once all has settled. */
import { expect } from 'vitest'
import type { FakeRegistry } from '../fakes/registry.ts'
import type { Faults } from '../fakes/faults.ts'
import { coldLayer, type ColdLayer } from '../scenarios/cold-layer.ts'
import { download, openStream, request, type ClientResponse } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { within } from '../support/until.ts'

export const MIB = 1024 * 1024
export const LAYER_BYTES = 48 * MIB
/** Of each connection; fast enough for a test, slow enough that much can be asked for meanwhile. */
const BYTES_PER_SECOND = 8 * MIB
/** Milliseconds of silence that a client bears. */
const PATIENCE = 30_000
const SETTLED_DEADLINE = 60_000

export interface ColdBlob {
  readonly registry: FakeRegistry
  readonly mirror: Mirror
  readonly layer: ColdLayer
}

export function startColdMirror(registry: FakeRegistry): Promise<Mirror> {
  return startMirror({ upstreams: { 'docker.io': registry } })
}

/** @param faults what else is wrong with every answer that brings bytes of a blob */
export async function throttledLayer(
  registry: FakeRegistry,
  mirror: Mirror,
  faults: Faults = {},
): Promise<ColdBlob> {
  const layer = await coldLayer(registry, mirror, { size: LAYER_BYTES, seed: 'cold' })
  const match = { kind: 'blob', method: 'GET' } as const
  registry.fault({ match, bytesPerSecond: BYTES_PER_SECOND, ...faults })
  return { registry, mirror, layer }
}

/** @param range as in the header, e.g. `bytes=0-9` */
export function getRange({ mirror, layer }: ColdBlob, range: string): Promise<ClientResponse> {
  return request({ url: mirror.url, path: layer.path, headers: { range }, idleMs: PATIENCE })
}

/** What comes from a byte on; the client leaves when it has so many, as containerd does. */
export async function getFrom(
  { mirror, layer }: ColdBlob,
  first: number,
  length: number,
): Promise<{ status: number; contentRange: string | undefined; bytes: Buffer }> {
  const headers = { range: `bytes=${first}-` }
  const stream = await openStream({ url: mirror.url, path: layer.path, headers, idleMs: PATIENCE })
  const bytes = await stream.read(length)
  stream.abort()
  return { status: stream.status, contentRange: stream.headers['content-range'], bytes }
}

export function getWhole({ mirror, layer }: ColdBlob): ReturnType<typeof download> {
  return download({ url: mirror.url, path: layer.path, idleMs: PATIENCE })
}

/** A comparison that does not print megabytes where it fails. */
export function expectPart(
  { layer }: ColdBlob,
  first: number,
  bytes: Buffer,
  length: number,
): void {
  expect(bytes.length, `bytes from ${first} on`).toBe(length)
  const isRight = bytes.equals(layer.bytes.subarray(first, first + length))
  expect(isRight, `${length} bytes from ${first} on are those of the blob`).toBe(true)
}

/**
 * Waits until nothing is fetched any more; then the blob is here.
 * @returns body bytes that upstream has sent, as a multiple of the blob
 */
export async function costOfStored(cold: ColdBlob): Promise<number> {
  const { registry, mirror, layer } = cold
  await within(mirror.app.idle(), { deadlineMs: SETTLED_DEADLINE, what: 'the download' })
  const sent = registry.bodyBytes(layer.digest)
  await registry.goDown()
  const whole = await getWhole(cold)
  expect(whole).toMatchObject({ status: 200, complete: true, digest: layer.digest })
  return sent / layer.bytes.length
}
