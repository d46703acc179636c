/** What tags and contents share: links of digests to repositories, and transactions. */
import type { Database } from 'better-sqlite3'

export const INSERT_PROVEN = `INSERT INTO link (repository_id, digest, proven) VALUES (?, ?, 1)
  ON CONFLICT DO UPDATE SET proven = 1`
export const INSERT_CLAIMED =
  'INSERT OR IGNORE INTO link (repository_id, digest, proven) VALUES (?, ?, 0)'

/** The whole function happens or nothing of it. */
export function inTransaction<Args extends unknown[]>(
  sql: Database,
  run: (...args: Args) => void,
): (...args: Args) => void {
  return sql.transaction(run)
}
