/** Tags, and the digests that they lead to. */
import { setImmediate } from 'node:timers/promises'
import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import type { Repository, Tag } from '../oci/reference.ts'
import type { TagCatalog, TagEntry, TagRecord } from './catalog.ts'
import type { RepositoryIds } from './repository-ids.ts'
import { INSERT_PROVEN, inTransaction } from './sqlite-links.ts'
import type { Guard } from './sqlite-failure.ts'

const PAGE = 500

interface TagRow {
  readonly id: number
  readonly upstream: string
  readonly repository: Repository
  readonly tag: Tag
  readonly digest: Digest
}

/** @param now milliseconds since the epoch */
export function createTags(
  sql: Database,
  repositoryId: RepositoryIds,
  guard: Guard,
  now: () => number,
): TagCatalog {
  const select = sql.prepare<[number, string], TagRecord>(
    'SELECT digest, checked_at AS checkedAt FROM tag WHERE repository_id = ? AND name = ?',
  )
  const upsert = sql.prepare<[number, string, string, number]>(
    `INSERT INTO tag (repository_id, name, digest, checked_at) VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET digest = excluded.digest, checked_at = excluded.checked_at`,
  )
  const insertMeant = sql.prepare<[number, string, string, number]>(
    `INSERT INTO tagged (repository_id, digest, name, since) VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET since = max(since, excluded.since)`,
  )
  const insertAnnounced = sql.prepare<[number, string, string, number]>(
    'INSERT OR IGNORE INTO tagged (repository_id, digest, name, since) VALUES (?, ?, ?, ?)',
  )
  const insertProven = sql.prepare<[number, string, number]>(INSERT_PROVEN)
  // What the tag means now has been confirmed since it came to mean that.
  const meanings = sql
    .prepare<[number, string], Digest>(
      `SELECT tagged.digest FROM tagged LEFT JOIN tag USING (repository_id, name, digest)
       WHERE repository_id = ? AND name = ?
       ORDER BY coalesce(checked_at, since) DESC, checked_at IS NULL, tagged.digest`,
    )
    .pluck()
  // Only parents that belong to this repository count: another's index must not lend its tags.
  const leading = sql
    .prepare<[{ repository: number; digest: string }], Tag>(
      `WITH RECURSIVE ancestor (digest) AS (
         SELECT digest FROM link WHERE repository_id = @repository AND digest = @digest
         UNION
         SELECT child.parent FROM child
           JOIN ancestor ON child.digest = ancestor.digest
           JOIN link ON link.repository_id = @repository AND link.digest = child.parent
         UNION
         SELECT referrer.subject FROM referrer
           JOIN ancestor ON referrer.digest = ancestor.digest
           JOIN link ON link.repository_id = @repository AND link.digest = referrer.subject
           WHERE referrer.repository_id = @repository
       )
       SELECT DISTINCT name FROM tagged JOIN ancestor USING (digest)
       WHERE repository_id = @repository`,
    )
    .pluck()
  const selectPage = sql.prepare<[number, string, number], TagRow>(
    `SELECT tag.repository_id AS id, upstream, repository.name AS repository, tag.name AS tag, digest
     FROM tag JOIN repository ON repository.id = tag.repository_id
     WHERE (tag.repository_id, tag.name) > (?, ?)
     ORDER BY tag.repository_id, tag.name LIMIT ?`,
  )

  /** In pages: nothing is kept open or waits between them. */
  async function* list(): AsyncIterable<TagEntry> {
    let rows: TagRow[]
    let last: Pick<TagRow, 'id' | 'tag'> | undefined
    do {
      rows = guard.translated(() => selectPage.all(last?.id ?? 0, last?.tag ?? '', PAGE))
      for (const { upstream, repository, tag, digest } of rows) {
        yield { key: { upstream, repository }, tag, digest }
      }
      last = rows.at(-1)
      await setImmediate()
    } while (rows.length === PAGE)
  }

  const methods = guard.asynchronous<Omit<TagCatalog, 'list'>>({
    find(key, tag) {
      const id = repositoryId.find(key)
      return id === undefined ? undefined : select.get(id, tag)
    },
    put: inTransaction(sql, (key, tag, record) => {
      const id = repositoryId.ensure(key)
      const { digest, checkedAt } = record
      // To be confirmed is no move.
      if (select.get(id, tag)?.digest !== digest) insertMeant.run(id, digest, tag, checkedAt)
      upsert.run(id, tag, digest, checkedAt)
    }),
    lead: inTransaction(sql, (key, tag, digest, seenAt = now()) => {
      const id = repositoryId.ensure(key)
      insertAnnounced.run(id, digest, tag, seenAt)
      insertProven.run(id, digest, seenAt)
    }),
    meanings(key, tag) {
      const id = repositoryId.find(key)
      return id === undefined ? [] : meanings.all(id, tag)
    },
    leadingTo(key, digest) {
      const id = repositoryId.find(key)
      return id === undefined ? [] : leading.all({ repository: id, digest })
    },
  })
  return { ...methods, list }
}
