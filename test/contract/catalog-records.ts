/** Small repositories, manifests and digests to fill a catalog with. */
import type { Catalog, ManifestRecord, RepositoryKey, TagEntry } from '../../src/catalog/catalog.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import type { Descriptor } from '../../src/oci/manifest.ts'
import { parseRepository, parseTag, type Tag } from '../../src/oci/reference.ts'

export interface CatalogUnderTest extends AsyncDisposable {
  readonly catalog: Catalog
  /** Closes it and opens the same data again. */
  reopen(): Promise<Catalog>
}

export const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'

export const app = keyOf('docker.io', 'library/app')
export const sameNameElsewhere = keyOf('quay.io', 'library/app')
export const other = keyOf('docker.io', 'library/other')
export const v1 = parseTag('v1')
export const v2 = parseTag('v2')

function keyOf(upstream: string, repository: string): RepositoryKey {
  return { upstream, repository: parseRepository(repository) }
}

/** A digest that is easy to tell from others. */
export function named(name: string): Digest {
  return digestOf(Buffer.from(name))
}

export function descriptor(name: string): Descriptor {
  return { digest: named(name), mediaType: OCI_IMAGE, size: 100, isManifest: true }
}

export function manifest(name: string, children: readonly string[] = []): ManifestRecord {
  return {
    digest: named(name),
    mediaType: OCI_IMAGE,
    size: 500,
    children: children.map(descriptor),
    subject: undefined,
  }
}

export async function stored(
  catalog: Catalog,
  key: RepositoryKey,
  name: string,
  children: readonly string[] = [],
): Promise<void> {
  await catalog.contents.putManifest(key, manifest(name, children))
}

export async function leading(catalog: Catalog, key: RepositoryKey, name: string): Promise<Tag[]> {
  return (await catalog.tags.leadingTo(key, named(name))).toSorted()
}

export async function listed({ tags }: Catalog): Promise<TagEntry[]> {
  const entries: TagEntry[] = []
  for await (const entry of tags.list()) entries.push(entry)
  return entries
}

export async function order(catalog: Catalog): Promise<Digest[]> {
  return (await catalog.blobs.leastRecentlyUsed(100)).map(({ digest }) => digest)
}
