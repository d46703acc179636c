/** Tells an empty catalog again what the journal of a lost one says. */
import type { Digest } from '../oci/digest.ts'
import { OCI_INDEX, type Descriptor, type ManifestFacts } from '../oci/manifest.ts'
import type { Catalog } from './catalog.ts'
import { keyOf, type JournalEntry } from './journal-entry.ts'
import { readEntries } from './journal-lines.ts'

/**
 * Reads a manifest again from the stored bytes, which it verifies.
 * @returns `undefined` when they are missing, damaged or no manifest of that type
 */
export type LoadManifest = (
  digest: Digest,
  mediaType: string,
) => Promise<(ManifestFacts & { readonly size: number }) | undefined>

export interface Replayed {
  /** Lines that were told. */
  readonly applied: number
  /** Of these, manifests whose bytes are not here: only that their repository holds them is told. */
  readonly missing: number
  /** Lines that are not what was once written. */
  readonly unusable: number
}

/**
 * Through the ordinary interface. To be told something twice does no harm, so a replay that was broken
 * off can be repeated. Tags were last checked when the journal says so.
 * @throws {StorageError}
 */
export async function replayJournal(
  file: string,
  catalog: Catalog,
  loadManifest: LoadManifest,
): Promise<Replayed> {
  let [applied, missing, unusable] = [0, 0, 0]
  for await (const entry of readEntries(file)) {
    if (entry === undefined) {
      unusable += 1
    } else {
      const isWhole = await replay(entry, catalog, loadManifest)
      applied += 1
      if (!isWhole) missing += 1
    }
  }
  return { applied, missing, unusable }
}

/** @returns false when only a part of the entry could be told */
async function replay(
  entry: JournalEntry,
  { tags, contents }: Catalog,
  loadManifest: LoadManifest,
): Promise<boolean> {
  const key = keyOf(entry)
  switch (entry.kind) {
    case 'tag': {
      const { tag, digest, checkedAt } = entry
      await tags.put(key, tag, { digest, checkedAt })
      return true
    }
    case 'lead':
      await tags.lead(key, entry.tag, entry.digest, seenAt(entry))
      return true
    case 'proven':
      await contents.prove(key, entry.digests, seenAt(entry))
      return true
    case 'referrers':
      await contents.putReferrers(key, entry.subject, entry.digests.map(toDescriptor))
      return true
    case 'manifest': {
      const { digest, mediaType } = entry
      const facts = await loadManifest(digest, mediaType)
      if (facts) await contents.putManifest(key, { ...facts, digest, mediaType }, seenAt(entry))
      else await contents.prove(key, [digest], seenAt(entry))
      return facts !== undefined
    }
  }
}

/**
 * Older versions did not note the time: what they saw counts as seen long ago, since it was served
 * before and must not end up on probation because a catalog was lost.
 */
function seenAt({ seenAt = 0 }: { readonly seenAt?: number }): number {
  return seenAt
}

/** Of a referrers list only the digests are known, and only they are kept. */
function toDescriptor(digest: Digest): Descriptor {
  return { digest, mediaType: OCI_INDEX, size: undefined, isManifest: true }
}
