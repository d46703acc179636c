/** What a fake registry holds: repositories with their blobs, manifests and tags. */
import { type Digest, type DigestAlgorithm, digestOf } from '../../src/oci/digest.ts'
import type { FakeImage, FakeManifest } from './images.ts'

export interface FakeRepository {
  readonly blobs: Map<string, Uint8Array>
  readonly manifests: Map<string, FakeManifest>
  readonly tags: Map<string, Digest>
}

export interface RegistryContents {
  /** The image with everything below it, and a tag that names it; answers its digest. */
  push(repository: string, tag: string | undefined, image: FakeImage): Digest
  pushBlob(repository: string, bytes: Uint8Array, algorithm?: DigestAlgorithm): Digest
  /** As it is: nothing checks that the bytes are a manifest, or that the digest is theirs. */
  pushManifest(repository: string, manifest: FakeManifest): Digest
  setTag(repository: string, tag: string, digest: Digest): void
  removeTag(repository: string, tag: string): void
  /** Forgets the bytes; tags that name them stay. */
  remove(repository: string, digest: Digest): void
  removeRepository(repository: string): void
  find: (repository: string) => FakeRepository | undefined
}

export function createRegistryContents(): RegistryContents {
  const repositories = new Map<string, FakeRepository>()
  const at = (name: string): FakeRepository => {
    const found = repositories.get(name)
    if (found) return found
    const created = { blobs: new Map(), manifests: new Map(), tags: new Map() }
    repositories.set(name, created)
    return created
  }

  return {
    push(name, tag, image) {
      const repository = at(name)
      for (const blob of image.blobs) repository.blobs.set(blob.digest, blob.bytes)
      for (const manifest of image.manifests) repository.manifests.set(manifest.digest, manifest)
      if (tag !== undefined) repository.tags.set(tag, image.digest)
      return image.digest
    },
    pushBlob(name, bytes, algorithm) {
      const digest = digestOf(bytes, algorithm)
      at(name).blobs.set(digest, bytes)
      return digest
    },
    pushManifest(name, manifest) {
      at(name).manifests.set(manifest.digest, manifest)
      return manifest.digest
    },
    setTag: (name, tag, digest) => void at(name).tags.set(tag, digest),
    removeTag: (name, tag) => void at(name).tags.delete(tag),
    remove(name, digest) {
      at(name).blobs.delete(digest)
      at(name).manifests.delete(digest)
    },
    removeRepository: (name) => void repositories.delete(name),
    find: (name) => repositories.get(name),
  }
}
