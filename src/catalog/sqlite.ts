/** The catalog in one SQLite file: no other service is needed. */
import Database from 'better-sqlite3'
import { LRUCache } from '../lru.ts'
import type { Digest } from '../oci/digest.ts'
import type { Tag } from '../oci/reference.ts'
import type {
  BlobCatalog,
  BlobRecord,
  Catalog,
  ContentCatalog,
  RepositoryKey,
  TagCatalog,
} from './catalog.ts'
import { MIGRATIONS } from './schema.ts'

type Sql = Database.Database

const REMEMBERED_IDS = 10_000

const INSERT_PROVEN = `INSERT INTO link (repository_id, digest, proven) VALUES (?, ?, 1)
  ON CONFLICT DO UPDATE SET proven = 1`
const INSERT_CLAIMED = 'INSERT OR IGNORE INTO link (repository_id, digest, proven) VALUES (?, ?, 0)'

/** @throws when the file was written by a newer version, or is no database */
export function openSqliteCatalog(file: string): Catalog {
  const sql = new Database(file)
  try {
    sql.pragma('journal_mode = WAL')
    // A power cut may lose the newest rows, never the file: what is lost is fetched or found again.
    sql.pragma('synchronous = NORMAL')
    sql.pragma('foreign_keys = ON')
    // No folder but that of the data needs to be writable.
    sql.pragma('temp_store = MEMORY')
    migrate(sql)
  } catch (error) {
    sql.close()
    throw error
  }
  const repositoryId = createRepositoryIds(sql)
  return {
    tags: createTags(sql, repositoryId),
    contents: createContents(sql, repositoryId),
    blobs: createBlobs(sql),
    async ping() {
      sql.prepare('SELECT 1').get()
    },
    async close() {
      sql.close()
    },
  }
}

function migrate(sql: Sql): void {
  const version = sql.pragma('user_version', { simple: true }) as number
  if (version > MIGRATIONS.length) {
    throw new Error(
      `The catalog has schema version ${version}, and this version of Entrepot knows only ${MIGRATIONS.length}. Run the newer version, or start with an empty data folder.`,
    )
  }
  sql.transaction(() => {
    for (const migration of MIGRATIONS.slice(version)) sql.exec(migration)
    sql.pragma(`user_version = ${MIGRATIONS.length}`)
  })()
}

interface RepositoryIds {
  find(key: RepositoryKey): number | undefined
  ensure(key: RepositoryKey): number
}

function createRepositoryIds(sql: Sql): RepositoryIds {
  const select = sql
    .prepare<[string, string], number>('SELECT id FROM repository WHERE upstream = ? AND name = ?')
    .pluck()
  const insert = sql.prepare<[string, string]>(
    'INSERT INTO repository (upstream, name) VALUES (?, ?)',
  )
  // Every request needs the id, and it never changes.
  const known = new LRUCache<string, number>({ max: REMEMBERED_IDS })

  function find({ upstream, repository }: RepositoryKey): number | undefined {
    const name = `${upstream}/${repository}`
    const id = known.get(name) ?? select.get(upstream, repository)
    if (id !== undefined) known.set(name, id)
    return id
  }

  return {
    find,
    ensure: (key) => find(key) ?? Number(insert.run(key.upstream, key.repository).lastInsertRowid),
  }
}

function createTags(sql: Sql, repositoryId: RepositoryIds): TagCatalog {
  const select = sql.prepare<[number, string], { digest: Digest; checkedAt: number }>(
    'SELECT digest, checked_at AS checkedAt FROM tag WHERE repository_id = ? AND name = ?',
  )
  const upsert = sql.prepare<[number, string, string, number]>(
    `INSERT INTO tag (repository_id, name, digest, checked_at) VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET digest = excluded.digest, checked_at = excluded.checked_at`,
  )
  const insertTagged = sql.prepare<[number, string, string]>(
    'INSERT OR IGNORE INTO tagged (repository_id, digest, name) VALUES (?, ?, ?)',
  )
  const insertProven = sql.prepare<[number, string]>(INSERT_PROVEN)
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
  return {
    async find(key, tag) {
      const id = repositoryId.find(key)
      return id === undefined ? undefined : select.get(id, tag)
    },
    put: inTransaction(sql, (key, tag, record) => {
      const id = repositoryId.ensure(key)
      upsert.run(id, tag, record.digest, record.checkedAt)
      insertTagged.run(id, record.digest, tag)
    }),
    lead: inTransaction(sql, (key, tag, digest) => {
      const id = repositoryId.ensure(key)
      insertTagged.run(id, digest, tag)
      insertProven.run(id, digest)
    }),
    async leadingTo(key, digest) {
      const id = repositoryId.find(key)
      return id === undefined ? [] : leading.all({ repository: id, digest })
    },
  }
}

function createContents(sql: Sql, repositoryId: RepositoryIds): ContentCatalog {
  const selectProven = sql.prepare<[number, string]>(
    'SELECT 1 FROM link WHERE repository_id = ? AND digest = ? AND proven = 1',
  )
  const insertProven = sql.prepare<[number, string]>(INSERT_PROVEN)
  const insertClaimed = sql.prepare<[number, string]>(INSERT_CLAIMED)
  const insertManifest = sql.prepare<[string, string, number, string | null]>(
    'INSERT OR IGNORE INTO manifest (digest, media_type, size, subject) VALUES (?, ?, ?, ?)',
  )
  const insertChild = sql.prepare<[string, string, number | null]>(
    'INSERT OR IGNORE INTO child (digest, parent, size) VALUES (?, ?, ?)',
  )
  const insertReferrer = sql.prepare<[number, string, string]>(
    'INSERT OR IGNORE INTO referrer (repository_id, digest, subject) VALUES (?, ?, ?)',
  )
  const selectManifest = sql.prepare<[string], { mediaType: string; size: number }>(
    'SELECT media_type AS mediaType, size FROM manifest WHERE digest = ?',
  )
  const selectSize = sql
    .prepare<[string, number], number>(
      `SELECT min(child.size) FROM child
         JOIN link ON link.digest = child.parent
       WHERE child.digest = ? AND link.repository_id = ? AND child.size IS NOT NULL
       HAVING count(DISTINCT child.size) = 1`,
    )
    .pluck()
  return {
    async isProven(key, digest) {
      const id = repositoryId.find(key)
      return id !== undefined && selectProven.get(id, digest) !== undefined
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
      if (subject) insertChild.run(digest, subject.digest, size)
    }),
    putReferrers: inTransaction(sql, (key, subject, referrers) => {
      const id = repositoryId.ensure(key)
      for (const { digest } of referrers) {
        insertReferrer.run(id, digest, subject)
        insertClaimed.run(id, digest)
      }
    }),
    findManifest: async (digest) => selectManifest.get(digest),
    async expectedSize(key, digest) {
      const id = repositoryId.find(key)
      return id === undefined ? undefined : selectSize.get(digest, id)
    },
  }
}

function createBlobs(sql: Sql): BlobCatalog {
  const upsert = sql.prepare<[string, number, number]>(
    `INSERT INTO blob (digest, size, used_at) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET size = excluded.size, used_at = excluded.used_at`,
  )
  const selectSize = sql.prepare<[string], number>('SELECT size FROM blob WHERE digest = ?').pluck()
  const remove = sql.prepare<[string]>('DELETE FROM blob WHERE digest = ?')
  const touch = sql.prepare<[number, string]>('UPDATE blob SET used_at = ? WHERE digest = ?')
  const total = sql.prepare<[], number>('SELECT coalesce(sum(size), 0) FROM blob').pluck()
  const oldest = sql.prepare<[number], BlobRecord>(
    `SELECT digest, size FROM blob
     WHERE NOT EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = blob.digest)
     ORDER BY used_at LIMIT ?`,
  )
  return {
    async put({ digest, size }, usedAt) {
      upsert.run(digest, size, usedAt)
    },
    size: async (digest) => selectSize.get(digest),
    async remove(digest) {
      remove.run(digest)
    },
    touch: inTransaction(sql, (used) => {
      for (const [digest, usedAt] of used) touch.run(usedAt, digest)
    }),
    totalSize: async () => total.get() ?? 0,
    leastRecentlyUsed: async (limit) => oldest.all(limit),
  }
}

/** The whole function happens or nothing of it. */
function inTransaction<A extends unknown[]>(
  sql: Sql,
  run: (...args: A) => void,
): (...args: A) => Promise<void> {
  const transaction = sql.transaction(run)
  return async (...args) => {
    transaction(...args)
  }
}
