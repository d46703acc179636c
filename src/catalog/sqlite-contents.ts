/** Which repository holds what, and how manifests refer to each other. */
import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import type { ContentCatalog, RepositoryKey } from './catalog.ts'
import type { RepositoryIds } from './repository-ids.ts'
import { INSERT_CLAIMED, INSERT_PROVEN, inTransaction } from './sqlite-links.ts'
import type { Guard } from './sqlite-failure.ts'

/** @param now milliseconds since the epoch */
export function createContents(
  sql: Database,
  repositoryId: RepositoryIds,
  guard: Guard,
  now: () => number,
): ContentCatalog {
  const insertProven = sql.prepare<[number, string, number]>(INSERT_PROVEN)
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
    prove: inTransaction(sql, (key, digests, seenAt = now()) => {
      if (digests.length === 0) return
      const id = repositoryId.ensure(key)
      for (const digest of digests) insertProven.run(id, digest, seenAt)
    }),
    putManifest: inTransaction(sql, (key, manifest, seenAt = now()) => {
      const { digest, mediaType, size, children, subject } = manifest
      const id = repositoryId.ensure(key)
      insertManifest.run(digest, mediaType, size, subject?.digest ?? null)
      insertProven.run(id, digest, seenAt)
      for (const child of children) {
        insertChild.run(child.digest, digest, child.size ?? null)
        insertClaimed.run(id, child.digest)
      }
      if (subject) insertReferring.run(digest, subject.digest, size)
    }),
    putReferrers: inTransaction(sql, (key, subject, referrers) => {
      if (referrers.length === 0) return
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
    firstSeen(key, digest) {
      const id = repositoryId.find(key)
      return id === undefined
        ? undefined
        : (queries.firstSeen.get({ repository: id, digest }) ?? undefined)
    },
    containers(key, digest) {
      const id = repositoryId.find(key)
      return id === undefined ? [digest] : queries.containers.all({ repository: id, digest })
    },
    repositories: (after, limit) =>
      queries.repositories.all(after?.upstream ?? '', after?.repository ?? '', limit),
    forgetManifest(digest) {
      deleteManifest.run(digest)
    },
  })
}

/**
 * What contains a digest counts only where this repository holds it: another's index, or one that is
 * merely named, must not lend its age.
 */
const WITH_CONTAINERS = `WITH RECURSIVE container (digest) AS (
  SELECT @digest
  UNION
  SELECT child.parent FROM child
    JOIN container ON child.digest = container.digest
    JOIN link ON link.repository_id = @repository AND link.digest = child.parent
    WHERE child.is_referrer = 0 AND link.proven = 1
)`

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
    firstSeen: sql
      .prepare<[{ repository: number; digest: string }], number | null>(
        `${WITH_CONTAINERS}
         SELECT min(coalesce(seen_at, 0)) FROM link JOIN container USING (digest)
         WHERE repository_id = @repository AND proven = 1`,
      )
      .pluck(),
    containers: sql
      .prepare<[{ repository: number; digest: string }], Digest>(
        `${WITH_CONTAINERS} SELECT digest FROM container`,
      )
      .pluck(),
    repositories: sql.prepare<[string, string, number], RepositoryKey>(
      `SELECT upstream, name AS repository FROM repository WHERE (upstream, name) > (?, ?)
       ORDER BY upstream, name LIMIT ?`,
    ),
  }
}
