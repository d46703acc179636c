/** A catalog that also writes down, in a journal, what could not be found again in the stored bytes. */
import { LRUCache } from '../lru.ts'
import type { Catalog, ContentCatalog, TagCatalog } from './catalog.ts'
import { identityOf, keyOf, proofs, referrals, type JournalEntry } from './journal-entry.ts'
import type { Journal } from './journal.ts'

/** Entries that are not written again while they are among the latest. */
const REMEMBERED_ENTRIES = 10_000

/**
 * Only what is new is written, and only after the catalog has accepted it; reading is as it was. A
 * crash may come between the two: the journal then lacks it, and it is asked of upstream again should
 * the catalog be lost too.
 * @param now milliseconds since the epoch; both are told the same
 */
export function journaled(
  catalog: Catalog,
  journal: Journal,
  { now = Date.now }: { readonly now?: () => number } = {},
): Catalog {
  const append = createNewsFilter(journal)
  return {
    tags: { ...catalog.tags, ...journaledTags(catalog, append, now) },
    contents: { ...catalog.contents, ...journaledContents(catalog, append, now) },
    blobs: catalog.blobs,
    ping: () => catalog.ping(),
    async close() {
      try {
        await catalog.close()
      } finally {
        // Behind the catalog, which accepts nothing more that would have to be written.
        await journal.close()
      }
    },
  }
}

/** @param isKnown what the catalog knew before, so that it is in the journal already */
type Append = (entries: readonly JournalEntry[], isKnown?: boolean) => void

function createNewsFilter(journal: Journal): Append {
  const latest = new LRUCache<string, string>({ max: REMEMBERED_ENTRIES })

  function isNews(entry: JournalEntry, isKnown: boolean): boolean {
    const identity = identityOf(entry)
    // A tag may come back to what it once meant, which is news.
    const subject =
      entry.kind === 'tag' ? `${entry.upstream}/${entry.repository}:${entry.tag}` : identity
    const last = latest.get(subject) ?? (isKnown ? identity : undefined)
    latest.set(subject, identity)
    return last !== identity
  }

  return (entries, isKnown = false) =>
    journal.append(entries.filter((entry) => isNews(entry, isKnown)))
}

function journaledTags(
  { tags, contents }: Catalog,
  append: Append,
  now: () => number,
): Pick<TagCatalog, 'put' | 'lead'> {
  return {
    async put(key, tag, record) {
      const before = await tags.find(key, tag)
      await tags.put(key, tag, record)
      const { digest, checkedAt } = record
      const isKnown = before?.digest === digest
      append([{ kind: 'tag', ...keyOf(key), tag, digest, checkedAt }], isKnown)
    },
    /** Of a tag that has led there already, only the proof is new: since when it led there must not change. */
    async lead(key, tag, digest, seenAt = now()) {
      const isKnown = (await tags.meanings(key, tag)).includes(digest)
      const isProven = await contents.isProven(key, digest)
      await tags.lead(key, tag, digest, seenAt)
      if (!isKnown) append([{ kind: 'lead', ...keyOf(key), tag, digest, seenAt }])
      else if (!isProven) append(proofs(key, [digest], seenAt))
    },
  }
}

function journaledContents(
  { contents }: Catalog,
  append: Append,
  now: () => number,
): Pick<ContentCatalog, 'prove' | 'putManifest' | 'putReferrers'> {
  return {
    async prove(key, digests, seenAt = now()) {
      const known = await Promise.all(digests.map((digest) => contents.isProven(key, digest)))
      const news = digests.filter((_, index) => known[index] === false)
      if (news.length === 0) return
      await contents.prove(key, news, seenAt)
      append(proofs(key, news, seenAt))
    },
    async putManifest(key, manifest, seenAt = now()) {
      await contents.putManifest(key, manifest, seenAt)
      const { digest, mediaType, size } = manifest
      append([{ kind: 'manifest', ...keyOf(key), digest, mediaType, size, seenAt }])
    },
    async putReferrers(key, subject, referrers) {
      await contents.putReferrers(key, subject, referrers)
      const digests = referrers.map(({ digest }) => digest)
      append(referrals(key, subject, digests))
    },
  }
}
