/** What tags and contents share: links of digests to repositories, and transactions. */
import type { Database } from 'better-sqlite3'

/** Whoever proves it first says when it was seen: what was proven before that was noted stays unknown. */
export const INSERT_PROVEN = `INSERT INTO link (repository_id, digest, proven, seen_at) VALUES (?, ?, 1, ?)
  ON CONFLICT DO UPDATE SET proven = 1, seen_at = excluded.seen_at WHERE proven = 0`
export const INSERT_CLAIMED =
  'INSERT OR IGNORE INTO link (repository_id, digest, proven) VALUES (?, ?, 0)'

/** The whole function happens or nothing of it. */
export function inTransaction<Args extends unknown[]>(
  sql: Database,
  run: (...args: Args) => void,
): (...args: Args) => void {
  return sql.transaction(run)
}
