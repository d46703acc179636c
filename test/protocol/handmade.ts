/** Manifests that no builder would make: any JSON, any size. */
import { digestOf } from '../../src/oci/digest.ts'
import { EMPTY_JSON, type FakeImage } from '../fakes/images.ts'

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'

/** The members that every image manifest has. */
export const IMAGE_MEMBERS = {
  schemaVersion: 2,
  config: {
    mediaType: 'application/vnd.oci.empty.v1+json',
    digest: EMPTY_JSON.digest,
    size: 2,
  },
  layers: [],
}

/** @param content bytes as they are, or what becomes JSON */
export function handmade(content: unknown, mediaType = OCI_MANIFEST): FakeImage {
  const bytes = content instanceof Uint8Array ? content : Buffer.from(JSON.stringify(content))
  const manifest = { bytes, digest: digestOf(bytes), mediaType }
  return { ...manifest, manifests: [manifest], blobs: [] }
}

/** An image with these bytes for its only layer. */
export function imageOf(layer: Uint8Array): FakeImage & { readonly layer: string } {
  const digest = digestOf(layer)
  const mediaType = 'application/vnd.oci.image.layer.v1.tar'
  const image = handmade({ ...IMAGE_MEMBERS, layers: [{ mediaType, digest, size: layer.length }] })
  return { ...image, blobs: [EMPTY_JSON, { digest, bytes: layer }], layer: digest }
}

/** A manifest of exactly so many bytes, most of them in an annotation. */
export function manifestOfSize(bytes: number): FakeImage {
  const json = (padding: string): string =>
    JSON.stringify({ ...IMAGE_MEMBERS, mediaType: OCI_MANIFEST, annotations: { padding } })
  return handmade(Buffer.from(json('x'.repeat(bytes - json('').length))))
}
