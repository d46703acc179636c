/**
 * Manifests and indexes: their media types, and what they refer to.
 * https://github.com/opencontainers/image-spec/blob/main/manifest.md
 */
import { type Digest, isDigest } from './digest.ts'
import { OciError } from './error.ts'

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json'

const INDEX_TYPES = new Set([OCI_INDEX, DOCKER_LIST])
const MANIFEST_TYPES = new Set([OCI_MANIFEST, DOCKER_MANIFEST, OCI_ARTIFACT, ...INDEX_TYPES])

/**
 * Always the full list, so that what a tag means does not depend on who asked first: some registries
 * convert or choose by `Accept`. Schema 1 is left out on purpose; its digest is not that of its bytes.
 */
export const MANIFEST_ACCEPT = [...MANIFEST_TYPES].join(', ')

/** Largest manifest that is read, in bytes: what distribution, zot and containers/image allow. */
export const MANIFEST_MAX_BYTES = 4 * 1024 * 1024

const MAX_DEPTH = 32
const MAX_CHILDREN = 10_000

/** Something a manifest refers to. */
export interface Descriptor {
  readonly digest: Digest
  readonly mediaType: string
  /** Bytes, as the manifest says; `undefined` where it does not. */
  readonly size: number | undefined
  /** Pulled under /manifests/ rather than /blobs/. */
  readonly isManifest: boolean
}

/** What is known of a manifest besides its bytes. */
export interface ManifestFacts {
  readonly mediaType: string
  readonly children: readonly Descriptor[]
  readonly subject: Descriptor | undefined
}

/**
 * Reads a manifest once, for ever: the media type found here is stored with the digest.
 * @param contentType the header that came with it, `undefined` when there was none
 * @throws {OciError} MANIFEST_INVALID when it is not JSON, is two kinds at once (CVE-2021-41190), or
 *   contradicts its media type; MANIFEST_UNKNOWN for the withdrawn schema 1
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): ManifestFacts {
  const json = parseObject(bytes)
  refuseAmbiguity(json)
  const mediaType = determineMediaType(json, contentType)
  return {
    mediaType,
    children: childrenOf(json),
    subject: toDescriptor(json['subject'], true),
  }
}

/** The media type without its parameters: `; charset=utf-8` breaks crane and oras. */
export function bareMediaType(contentType: string | undefined): string | undefined {
  const bare = contentType?.split(';', 1)[0]?.trim().toLowerCase()
  return bare === '' ? undefined : bare
}

export function isManifestType(mediaType: string | undefined): boolean {
  return mediaType !== undefined && MANIFEST_TYPES.has(mediaType)
}

/** Layers with conditions on their distribution: their bytes are elsewhere, or not to be passed on. */
const NOT_DISTRIBUTED = /\.foreign\.|nondistributable/

export function isDistributed(mediaType: string): boolean {
  return !NOT_DISTRIBUTED.test(mediaType)
}

export function isIndexType(mediaType: string): boolean {
  return INDEX_TYPES.has(mediaType)
}

/** The answer to a referrers request that has nothing to list. */
export function emptyIndex(manifests: readonly unknown[] = []): Record<string, unknown> {
  return { schemaVersion: 2, mediaType: OCI_INDEX, manifests }
}

/** The usable descriptors of a list; whatever else the list holds is passed over. */
export function descriptorsOf(list: unknown, areManifests: boolean): Descriptor[] {
  return listOf(list)
    .map((entry) => toDescriptor(entry, areManifests))
    .filter((descriptor) => descriptor !== undefined)
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw invalid('it is not JSON', cause)
  }
  if (!isRecord(json)) throw invalid('it is not a JSON object')
  if (depthOf(json) > MAX_DEPTH) throw invalid(`it is nested deeper than ${MAX_DEPTH} levels`)
  return json
}

/** What decides of which kind a manifest is, and what it refers to. */
const DECISIVE_KEYS = [
  'schemaVersion',
  'mediaType',
  'config',
  'layers',
  'manifests',
  'blobs',
  'subject',
]
const FOLDED_KEYS = new Map(DECISIVE_KEYS.map((key) => [folded(key), key]))

function refuseAmbiguity(json: Record<string, unknown>): void {
  // Go's decoder takes "Layers" for "layers", so clients would see another manifest than we do.
  const alias = Object.keys(json).find((key) => (FOLDED_KEYS.get(folded(key)) ?? key) !== key)
  if (alias !== undefined) {
    throw invalid(`its key ${JSON.stringify(alias.slice(0, 40))} is a known one in other letters`)
  }
  if (json['schemaVersion'] === 1) {
    throw new OciError(
      'MANIFEST_UNKNOWN',
      'Upstream has this image only as a schema 1 manifest, which is withdrawn and not mirrored. Push it again with a current client.',
    )
  }
  if ('manifests' in json && ('layers' in json || 'config' in json)) {
    throw invalid('it is an index and an image at the same time (CVE-2021-41190)')
  }
}

function determineMediaType(
  json: Record<string, unknown>,
  contentType: string | undefined,
): string {
  const header = bareMediaType(contentType)
  const field = typeof json['mediaType'] === 'string' ? json['mediaType'] : undefined
  if (isManifestType(header) && isManifestType(field) && header !== field) {
    throw invalid(`its mediaType ${field} contradicts its Content-Type ${header}`)
  }
  const mediaType = [header, field, structuralType(json)].find(isManifestType)
  if (mediaType === undefined) throw invalid('its media type is not one of a manifest')
  if (INDEX_TYPES.has(mediaType) !== 'manifests' in json) {
    throw invalid(`its content does not fit its media type ${mediaType}`)
  }
  return mediaType
}

function structuralType(json: Record<string, unknown>): string | undefined {
  if (Array.isArray(json['manifests'])) return OCI_INDEX
  if (Array.isArray(json['layers']) && isRecord(json['config'])) return OCI_MANIFEST
  return undefined
}

function childrenOf(json: Record<string, unknown>): Descriptor[] {
  const blobs = [json['config'], ...listOf(json['layers']), ...listOf(json['blobs'])]
  const children = [...descriptorsOf(json['manifests'], true), ...descriptorsOf(blobs, false)]
  if (children.length > MAX_CHILDREN) throw invalid(`it has more than ${MAX_CHILDREN} entries`)
  return children
}

/** A descriptor with an algorithm that we cannot verify is left out: it can never be served. */
function toDescriptor(value: unknown, isManifest: boolean): Descriptor | undefined {
  if (!isRecord(value) || !isDigest(value['digest'])) return undefined
  const { digest, size, mediaType } = value as { digest: Digest; size: unknown; mediaType: unknown }
  return {
    digest,
    mediaType: typeof mediaType === 'string' ? mediaType : 'application/octet-stream',
    size: Number.isSafeInteger(size) && (size as number) >= 0 ? (size as number) : undefined,
    isManifest,
  }
}

/** Upper case first: the long s and the Kelvin sign fold to letters too. */
function folded(key: string): string {
  return key.toUpperCase().toLowerCase()
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function depthOf(value: unknown, depth = 0): number {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return depth
  let deepest = depth + 1
  for (const child of Object.values(value)) deepest = Math.max(deepest, depthOf(child, depth + 1))
  return deepest
}

function invalid(why: string, cause?: unknown): OciError {
  return new OciError('MANIFEST_INVALID', `Upstream sent a manifest that cannot be used: ${why}.`, {
    cause,
  })
}
