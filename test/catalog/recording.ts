/** A journal that keeps its entries in memory, and manifests that can be loaded again. */
import type { Catalog, ManifestRecord, RepositoryKey } from '../../src/catalog/catalog.ts'
import type { JournalEntry } from '../../src/catalog/journal-entry.ts'
import { readEntries } from '../../src/catalog/journal-lines.ts'
import type { Journal } from '../../src/catalog/journal.ts'
import type { LoadManifest } from '../../src/catalog/replay.ts'
import type { Digest } from '../../src/oci/digest.ts'
import type { Tag } from '../../src/oci/reference.ts'

export interface RecordingJournal extends Journal {
  readonly entries: readonly JournalEntry[]
}

export function createRecordingJournal(): RecordingJournal {
  const entries: JournalEntry[] = []
  return {
    entries,
    append: (news) => void entries.push(...news),
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

/** As if the bytes of these manifests, and of no others, were in the store. */
export function loading(manifests: Iterable<ManifestRecord>): LoadManifest {
  const stored = new Map([...manifests].map((manifest) => [manifest.digest, manifest]))
  return (digest) => Promise.resolve(stored.get(digest))
}

export async function entriesOf(file: string): Promise<(JournalEntry | undefined)[]> {
  const entries: (JournalEntry | undefined)[] = []
  for await (const entry of readEntries(file)) entries.push(entry)
  return entries
}

interface Scope {
  readonly keys: readonly RepositoryKey[]
  readonly tags: readonly Tag[]
  readonly digests: readonly Digest[]
}

/** All that can be asked of a catalog about these. */
export async function observe(catalog: Catalog, { keys, tags, digests }: Scope): Promise<unknown> {
  const { contents } = catalog
  const seen: Record<string, unknown> = {}
  for (const digest of digests) {
    const holders = await contents.holders(digest)
    seen[digest] = {
      manifest: await contents.findManifest(digest),
      holders: holders.map(({ upstream, repository }) => `${upstream}/${repository}`).toSorted(),
      closure: (await contents.closure(digest)).toSorted(),
    }
  }
  for (const key of keys) {
    for (const tag of tags) {
      seen[`${key.upstream}/${key.repository}:${tag}`] = {
        record: await catalog.tags.find(key, tag),
        meanings: await catalog.tags.meanings(key, tag),
      }
    }
    for (const digest of digests) {
      seen[`${key.upstream}/${key.repository}@${digest}`] = {
        isProven: await contents.isProven(key, digest),
        size: await contents.expectedSize(key, digest),
        leading: (await catalog.tags.leadingTo(key, digest)).toSorted(),
        firstSeen: await contents.firstSeen(key, digest),
        containers: (await contents.containers(key, digest)).toSorted(),
      }
    }
  }
  return seen
}
