/**
 * Small images, made deterministically from a seed: the same seed gives the same digests in every run.
 * Layers are random bytes and no archives; nothing between a registry and a client looks into them.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { type Digest, type DigestAlgorithm, digestOf } from '../../src/oci/digest.ts'

export interface FakeBlob {
  readonly digest: Digest
  readonly bytes: Uint8Array
}

export interface FakeManifest extends FakeBlob {
  readonly mediaType: string
}

/** A manifest or an index with everything below it. */
export interface FakeImage extends FakeManifest {
  /** This manifest, and for an index those of all its descendants. */
  readonly manifests: readonly FakeManifest[]
  /** Config and layers of all of them. */
  readonly blobs: readonly FakeBlob[]
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

export interface ImageOptions {
  readonly seed: string
  /** Sizes of the layers in bytes; 0 is allowed. */
  readonly layers?: readonly number[]
  readonly format?: 'oci' | 'docker'
  readonly platform?: Platform
  readonly algorithm?: DigestAlgorithm
}

export interface IndexOptions {
  /** Each child is an image, or another index. */
  readonly children: readonly { readonly image: FakeImage; readonly platform?: Platform }[]
  readonly format?: 'oci' | 'docker'
}

export interface ArtifactOptions {
  readonly seed: string
  readonly subject: FakeManifest
  readonly artifactType?: string
}

export const AMD64: Platform = { os: 'linux', architecture: 'amd64' }
export const ARM64: Platform = { os: 'linux', architecture: 'arm64', variant: 'v8' }

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const TYPES = {
  oci: {
    manifest: OCI_MANIFEST,
    index: OCI_INDEX,
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar',
  },
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar',
  },
} as const

/** The two bytes `{}` that artifacts have for a config (`application/vnd.oci.empty.v1+json`). */
export const EMPTY_JSON: FakeBlob = blobOf(encode({}))

/** Incompressible bytes: the key stream of a cipher, which makes 64 MiB in a fraction of a second. */
export function randomBlob(bytes: number, seed: string): Uint8Array {
  const key = createHash('sha256').update(seed).digest()
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16))
  return cipher.update(new Uint8Array(bytes))
}

export function buildImage({
  seed,
  layers = [1024, 4096],
  format = 'oci',
  platform = AMD64,
  algorithm = 'sha256',
}: ImageOptions): FakeImage {
  const types = TYPES[format]
  const layerBlobs = layers.map((size, index) =>
    blobOf(randomBlob(size, `${seed}/${index}`), algorithm),
  )
  const diffIds = layerBlobs.map((layer) => digestOf(layer.bytes))
  const config = blobOf(
    encode({
      ...platform,
      created: '2020-01-01T00:00:00Z',
      config: { Labels: { seed } },
      rootfs: { type: 'layers', diff_ids: diffIds },
    }),
    algorithm,
  )
  const manifest = manifestOf(types.manifest, algorithm, {
    config: descriptor(config, types.config),
    layers: layerBlobs.map((layer) => descriptor(layer, types.layer)),
  })
  return { ...manifest, manifests: [manifest], blobs: [config, ...layerBlobs] }
}

export function buildIndex({ children, format = 'oci' }: IndexOptions): FakeImage {
  const index = manifestOf(TYPES[format].index, 'sha256', {
    manifests: children.map(({ image, platform }) => ({
      ...descriptor(image, image.mediaType),
      ...(platform && { platform }),
    })),
  })
  return {
    ...index,
    manifests: [index, ...children.flatMap(({ image }) => image.manifests)],
    blobs: children.flatMap(({ image }) => image.blobs),
  }
}

/** An index for linux/amd64 and linux/arm64. */
export function buildMultiPlatform(seed: string, layers?: readonly number[]): FakeImage {
  return buildIndex({
    children: [AMD64, ARM64].map((platform) => ({
      platform,
      image: buildImage({
        seed: `${seed}/${platform.architecture}`,
        platform,
        ...(layers && { layers }),
      }),
    })),
  })
}

/** What a signature or an SBOM looks like: a manifest whose `subject` is another one. */
export function buildArtifact({
  seed,
  subject,
  artifactType = 'application/vnd.example.sbom.v1',
}: ArtifactOptions): FakeImage {
  const content = blobOf(randomBlob(512, seed))
  const manifest = manifestOf(OCI_MANIFEST, 'sha256', {
    artifactType,
    config: descriptor(EMPTY_JSON, 'application/vnd.oci.empty.v1+json'),
    layers: [descriptor(content, 'application/octet-stream')],
    subject: descriptor(subject, subject.mediaType),
  })
  return { ...manifest, manifests: [manifest], blobs: [EMPTY_JSON, content] }
}

/**
 * The index that lists artifacts: what the referrers API answers, and what lies under the tag
 * `sha256-<hex>` where a registry has no such API.
 */
export function buildReferrersIndex(artifacts: readonly FakeManifest[]): FakeManifest {
  return manifestOf(OCI_INDEX, 'sha256', {
    manifests: artifacts.map((artifact) => ({
      ...descriptor(artifact, artifact.mediaType),
      ...artifactTypeOf(artifact),
    })),
  })
}

export function artifactTypeOf(artifact: FakeManifest): { artifactType?: string } {
  const json = JSON.parse(new TextDecoder().decode(artifact.bytes)) as { artifactType?: string }
  return json.artifactType === undefined ? {} : { artifactType: json.artifactType }
}

function manifestOf(
  mediaType: string,
  algorithm: DigestAlgorithm,
  content: Record<string, unknown>,
): FakeManifest {
  return { ...blobOf(encode({ schemaVersion: 2, mediaType, ...content }), algorithm), mediaType }
}

function blobOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): FakeBlob {
  return { digest: digestOf(bytes, algorithm), bytes }
}

function descriptor(blob: FakeBlob, mediaType: string): Record<string, unknown> {
  return { mediaType, digest: blob.digest, size: blob.bytes.length }
}

/** Indented, so that whoever parses and writes again instead of passing the bytes on is caught. */
function encode(json: Record<string, unknown>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(json, undefined, 3))
}
