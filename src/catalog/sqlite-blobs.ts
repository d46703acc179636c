/** What is in the store, and when it was last used. */
import type { Database } from 'better-sqlite3'
import type { BlobCatalog, UsedBlob } from './catalog.ts'
import { inTransaction } from './sqlite-links.ts'
import type { Guard } from './sqlite-failure.ts'

type BlobRow = Omit<UsedBlob, 'isManifest'> & { readonly isManifest: 0 | 1 }

export function createBlobs(sql: Database, guard: Guard): BlobCatalog {
  const upsert = sql.prepare<[string, number, number]>(
    `INSERT INTO blob (digest, size, used_at) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET size = excluded.size, used_at = excluded.used_at`,
  )
  const selectSize = sql.prepare<[string], number>('SELECT size FROM blob WHERE digest = ?').pluck()
  const remove = sql.prepare<[string]>('DELETE FROM blob WHERE digest = ?')
  const touch = sql.prepare<[number, string]>('UPDATE blob SET used_at = ? WHERE digest = ?')
  const total = sql.prepare<[], number>('SELECT bytes FROM blob_total').pluck()
  // The index on `used_at` holds the digest as well, being the key of a table without row ids.
  const oldest = sql.prepare<[number, string, number], BlobRow>(
    `SELECT digest, size, used_at AS usedAt,
       EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = blob.digest) AS isManifest
     FROM blob WHERE (used_at, digest) > (?, ?)
     ORDER BY used_at, digest LIMIT ?`,
  )
  return guard.asynchronous<BlobCatalog>({
    put({ digest, size }, usedAt) {
      upsert.run(digest, size, usedAt)
    },
    size: (digest) => selectSize.get(digest),
    remove(digest) {
      remove.run(digest)
    },
    touch: inTransaction(sql, (used) => {
      for (const [digest, usedAt] of used) touch.run(usedAt, digest)
    }),
    totalSize: () => total.get() ?? 0,
    leastRecentlyUsed: (limit, after) =>
      oldest
        .all(after?.usedAt ?? Number.MIN_SAFE_INTEGER, after?.digest ?? '', limit)
        .map((row) => ({ ...row, isManifest: row.isManifest === 1 })),
  })
}
