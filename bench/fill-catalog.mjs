// @ts-check
/**
 * Adds blobs that nobody asks for to the catalog of a running mirror:
 *
 *   node fill-catalog.mjs FILE COUNT
 *
 * A hundred in each repository. Short transactions, as the mirror waits no longer than 250 ms for others.
 */
import Database from 'better-sqlite3'
import { createHash } from 'node:crypto'

const PER_REPOSITORY = 100
const PER_TRANSACTION = 2000
/** Milliseconds to wait while the mirror itself writes. */
const BUSY_TIMEOUT = 10_000

const [file = '', count = ''] = process.argv.slice(2)
const database = new Database(file, { fileMustExist: true, timeout: BUSY_TIMEOUT })
const insertRepository = database.prepare('INSERT INTO repository (upstream, name) VALUES (?, ?)')
const insertLink = database.prepare(
  'INSERT INTO link (repository_id, digest, proven, seen_at) VALUES (?, ?, 1, ?)',
)
const insertBlob = database.prepare('INSERT INTO blob (digest, size, used_at) VALUES (?, ?, ?)')

/** @type {number | bigint} */
let repository = 0
const now = Date.now()
const insertFrom = database.transaction(
  (/** @type {number} */ first, /** @type {number} */ end) => {
    for (let at = first; at < end; at += 1) {
      if (at % PER_REPOSITORY === 0) {
        repository = insertRepository.run('bench.test', `other/app-${at}`).lastInsertRowid
      }
      const digest = `sha256:${createHash('sha256').update(`blob ${at}`).digest('hex')}`
      insertBlob.run(digest, at, now)
      insertLink.run(repository, digest, now)
    }
  },
)

const all = Number(count)
for (let at = 0; at < all; at += PER_TRANSACTION) {
  insertFrom(at, Math.min(at + PER_TRANSACTION, all))
}
database.pragma('wal_checkpoint(PASSIVE)')
database.close()
