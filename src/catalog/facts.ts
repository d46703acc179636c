/** What the catalog knows and the stored bytes do not say, as entries of a journal. */
import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import type { Tag } from '../oci/reference.ts'
import type { RepositoryKey } from './catalog.ts'
import { proofs, referrals, type JournalEntry } from './journal-entry.ts'
import type { Guard } from './sqlite-failure.ts'

type RepositoryRow = RepositoryKey & { readonly id: number }

interface ProvenRow {
  readonly digest: Digest
  readonly seenAt: number
}

interface TaggedRow {
  readonly tag: Tag
  readonly digest: Digest
  readonly since: number
  /** When the tag was confirmed; `null` when it has only been announced. */
  readonly checkedAt: number | null
  readonly isMeant: 0 | 1
}

interface ManifestRow {
  readonly digest: Digest
  readonly mediaType: string
  readonly size: number
}

/** One repository after the other; nothing is kept open in between. */
export function* listFacts(sql: Database, guard: Guard): Generator<JournalEntry> {
  const { repositories, proven, manifests, referrers, tagged } = guard.translated(() =>
    createQueries(sql),
  )
  for (const { id, ...key } of guard.translated(() => repositories.all())) {
    yield* provenEntries(
      key,
      guard.translated(() => proven.all(id)),
    )
    for (const manifest of guard.translated(() => manifests.all({ repository: id }))) {
      yield { kind: 'manifest', ...key, ...manifest }
    }
    for (const { subject, digest } of guard.translated(() => referrers.all(id))) {
      yield* referrals(key, subject, [digest])
    }
    for (const row of guard.translated(() => tagged.all(id))) yield toTagEntry(key, row)
  }
}

function createQueries(sql: Database) {
  return {
    repositories: sql.prepare<[], RepositoryRow>(
      'SELECT id, upstream, name AS repository FROM repository ORDER BY id',
    ),
    proven: sql.prepare<[number], ProvenRow>(
      `SELECT digest, coalesce(seen_at, 0) AS seenAt FROM link
       WHERE repository_id = ? AND proven = 1 ORDER BY seenAt`,
    ),
    // Not those whose contents this repository does not claim: another one has stored them.
    manifests: sql.prepare<[{ repository: number }], ManifestRow>(
      `SELECT digest, media_type AS mediaType, size FROM manifest JOIN link USING (digest)
       WHERE repository_id = @repository AND proven = 1 AND NOT EXISTS (
         SELECT 1 FROM child WHERE parent = manifest.digest AND is_referrer = 0
           AND digest NOT IN (SELECT digest FROM link WHERE repository_id = @repository)
       )`,
    ),
    referrers: sql.prepare<[number], { subject: Digest; digest: Digest }>(
      'SELECT subject, digest FROM referrer WHERE repository_id = ?',
    ),
    // What a tag means now comes last, so that it is what the tag means after a replay.
    tagged: sql.prepare<[number], TaggedRow>(
      `SELECT tagged.name AS tag, tagged.digest, since, checked_at AS checkedAt,
         coalesce(tagged.digest = tag.digest, 0) AS isMeant
       FROM tagged LEFT JOIN tag USING (repository_id, name)
       WHERE repository_id = ? ORDER BY tagged.name, isMeant`,
    ),
  }
}

/** Those that were seen at the same moment in one entry. */
function* provenEntries(key: RepositoryKey, rows: readonly ProvenRow[]): Generator<JournalEntry> {
  let digests: Digest[] = []
  for (const [index, { digest, seenAt }] of rows.entries()) {
    digests.push(digest)
    if (rows[index + 1]?.seenAt === seenAt) continue
    yield* proofs(key, digests, seenAt)
    digests = []
  }
}

function toTagEntry(key: RepositoryKey, row: TaggedRow): JournalEntry {
  const { tag, digest, since, checkedAt, isMeant } = row
  return checkedAt === null
    ? { kind: 'lead', ...key, tag, digest, seenAt: since }
    : { kind: 'tag', ...key, tag, digest, checkedAt: isMeant ? checkedAt : since }
}
