/** Repositories by number, as the other tables name them. */
import type { Database } from 'better-sqlite3'
import { LRUCache } from '../lru.ts'
import type { RepositoryKey } from './catalog.ts'

const REMEMBERED_IDS = 10_000

export interface RepositoryIds {
  find(key: RepositoryKey): number | undefined
  ensure(key: RepositoryKey): number
}

export function createRepositoryIds(sql: Database): RepositoryIds {
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
    // Not remembered yet: the transaction that inserts it may be rolled back.
    ensure: (key) => find(key) ?? Number(insert.run(key.upstream, key.repository).lastInsertRowid),
  }
}
