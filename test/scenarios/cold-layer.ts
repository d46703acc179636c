/** A layer as clients come to ask for it: they hold the manifest, and the mirror has it from them. */
import { expect } from 'vitest'
import type { Digest } from '../../src/oci/digest.ts'
import { buildImage } from '../fakes/images.ts'
import { createGate, type Gate } from '../fakes/gate.ts'
import type { FakeRegistry } from '../fakes/registry.ts'
import type { Mirror } from '../support/mirror.ts'
import { metric } from './metrics-page.ts'

export interface ColdLayer {
  readonly digest: Digest
  readonly bytes: Uint8Array
  /** At the mirror. */
  readonly path: string
}

/** What every upstream request for a blob matches, and no other. */
export const BLOB_REQUEST = /^\S+ \/v2\/\S+\/blobs\//

/**
 * An image of one layer in `docker.io/library/<seed>`, of which the mirror has only the manifest.
 * @param size of the layer, in bytes
 */
export async function coldLayer(
  registry: FakeRegistry,
  mirror: Mirror,
  { size, seed }: { size: number; seed: string },
): Promise<ColdLayer> {
  const image = buildImage({ seed, layers: [size] })
  registry.push(`library/${seed}`, 'v1', image)
  const manifest = await mirror.get(`/v2/docker.io/library/${seed}/manifests/v1`)
  expect(manifest).toMatchObject({ status: 200 })
  const layer = image.blobs.at(-1)
  if (layer === undefined) throw new Error('An image has a layer.')
  return { ...layer, path: `/v2/docker.io/library/${seed}/blobs/${layer.digest}` }
}

/** Upstream stops the body of the next blob at each of these offsets, until its gate is opened. */
export function holdAt<const Offsets extends readonly number[]>(
  registry: FakeRegistry,
  ...offsets: Offsets
): { [Index in keyof Offsets]: Gate } {
  const holds = offsets.map((after) => ({ after, gate: createGate() }))
  registry.fault({ match: { kind: 'blob', method: 'GET' }, times: 1, hold: holds })
  return holds.map(({ gate }) => gate) as { [Index in keyof Offsets]: Gate }
}

/** How many clients have been served from downloads that others had started. */
export function joinedReaders(mirror: Mirror): Promise<number> {
  return metric(mirror, 'entrepot_fill_joined_readers_total')
}
