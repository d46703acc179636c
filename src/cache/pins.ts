/** What must stay because a pinned tag leads to it, or a frozen one means it. */
import type { Catalog } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'
import type { CacheSettings } from './upstreams.ts'

/** The manifests of every pinned tag, those that tags are frozen to, and all that can be reached from them. */
export async function pinnedDigests(
  catalog: Catalog,
  { isPinned, frozenDigests }: Pick<CacheSettings, 'isPinned' | 'frozenDigests'>,
): Promise<ReadonlySet<Digest>> {
  const pinned = new Set<Digest>()
  const roots = new Set<Digest>()
  const pin = async (root: Digest): Promise<void> => {
    roots.add(root)
    for (const reached of await catalog.contents.closure(root)) pinned.add(reached)
  }
  for (const digest of frozenDigests()) await pin(digest)
  for await (const { key, tag, digest } of catalog.tags.list()) {
    // Many tags mean the same image: its parts are looked up once.
    if (!roots.has(digest) && isPinned(key, tag)) await pin(digest)
  }
  return pinned
}
