/** Which repository holds what, and how manifests refer to each other. */
import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import type { ContentCatalog, RepositoryKey } from './catalog.ts'
import type { RepositoryIds } from './repository-ids.ts'
import { INSERT_CLAIMED, INSERT_PROVEN, inTransaction } from './sqlite-links.ts'
import type { Guard } from './sqlite-failure.ts'

export function createContents(
  sql: Database,
  repositoryId: RepositoryIds,
  guard: Guard,
): ContentCatalog {
  const insertProven = sql.prepare<[number, string]>(INSERT_PROVEN)
  const insertClaimed = sql.prepare<[number, string]>(INSERT_CLAIMED)
  const insertManifest = sql.prepare<[string, string, number, string | null]>(
    'INSERT OR IGNORE INTO manifest (digest, media_type, size, subject) VALUES (?, ?, ?, ?)',
  )
  const insertChild = sql.prepare<[string, string, number | null]>(
    'INSERT OR IGNORE INTO child (digest, parent, size) VALUES (?, ?, ?)',
  )
  const insertReferring = sql.prepare<[string, string, number]>(
    'INSERT OR IGNORE INTO child (digest, parent, size, is_referrer) VALUES (?, ?, ?, 1)',
  )
  const insertReferrer = sql.prepare<[number, string, string]>(
    'INSERT OR IGNORE INTO referrer (repository_id, digest, subject) VALUES (?, ?, ?)',
  )
  const deleteManifest = sql.prepare<[string]>('DELETE FROM manifest WHERE digest = ?')
  const queries = createQueries(sql)
  return guard.asynchronous<ContentCatalog>({
    isProven(key, digest) {
      const id = repositoryId.find(key)
      return id !== undefined && queries.proven.get(id, digest) !== undefined
    },
    prove: inTransaction(sql, (key, digests) => {
      const id = repositoryId.ensure(key)
      for (const digest of digests) insertProven.run(id, digest)
    }),
    putManifest: inTransaction(sql, (key, { digest, mediaType, size, children, subject }) => {
      const id = repositoryId.ensure(key)
      insertManifest.run(digest, mediaType, size, subject?.digest ?? null)
      insertProven.run(id, digest)
      for (const child of children) {
        insertChild.run(child.digest, digest, child.size ?? null)
        insertClaimed.run(id, child.digest)
      }
      if (subject) insertReferring.run(digest, subject.digest, size)
    }),
    putReferrers: inTransaction(sql, (key, subject, referrers) => {
      const id = repositoryId.ensure(key)
      for (const { digest } of referrers) {
        insertReferrer.run(id, digest, subject)
        insertClaimed.run(id, digest)
      }
    }),
    findManifest: (digest) => queries.manifest.get(digest),
    expectedSize(key, digest) {
      const id = repositoryId.find(key)
      return id === undefined ? undefined : queries.size.get(digest, id)
    },
    holders: (digest) => queries.holders.all(digest),
    closure: (digest) => queries.closure.all(digest),
    forgetManifest(digest) {
      deleteManifest.run(digest)
    },
  })
}

function createQueries(sql: Database) {
  return {
    proven: sql.prepare<[number, string]>(
      'SELECT 1 FROM link WHERE repository_id = ? AND digest = ? AND proven = 1',
    ),
    manifest: sql.prepare<[string], { mediaType: string; size: number }>(
      'SELECT media_type AS mediaType, size FROM manifest WHERE digest = ?',
    ),
    size: sql
      .prepare<[string, number], number>(
        `SELECT min(child.size) FROM child
           JOIN link ON link.digest = child.parent
         WHERE child.digest = ? AND link.repository_id = ? AND child.size IS NOT NULL
         HAVING count(DISTINCT child.size) = 1`,
      )
      .pluck(),
    holders: sql.prepare<[string], RepositoryKey>(
      `SELECT upstream, name AS repository FROM link
         JOIN repository ON repository.id = link.repository_id
       WHERE digest = ? AND proven = 1`,
    ),
    closure: sql
      .prepare<[string], Digest>(
        `WITH RECURSIVE reached (digest) AS (
           SELECT ?
           UNION
           SELECT child.digest FROM child
             JOIN reached ON child.parent = reached.digest
             WHERE child.is_referrer = 0
         )
         SELECT digest FROM reached`,
      )
      .pluck(),
  }
}
