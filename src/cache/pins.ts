/** What must stay because a pinned tag leads to it. */
import type { Catalog } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'
import type { CacheSettings } from './upstreams.ts'

/** The manifests of every pinned tag, and all that can be reached from them. */
export async function pinnedDigests(
  catalog: Catalog,
  { isPinned }: Pick<CacheSettings, 'isPinned'>,
): Promise<ReadonlySet<Digest>> {
  const pinned = new Set<Digest>()
  const roots = new Set<Digest>()
  for await (const { key, tag, digest } of catalog.tags.list()) {
    // Many tags mean the same image: its parts are looked up once.
    if (roots.has(digest) || !isPinned(key, tag)) continue
    roots.add(digest)
    for (const reached of await catalog.contents.closure(digest)) pinned.add(reached)
  }
  return pinned
}
