/** The audit, written entry behind entry, each with the hash of the one before. */
import { setImmediate } from 'node:timers/promises'
import type { Database } from 'better-sqlite3'
import { auditHash, NO_HASH } from './audit-chain.ts'
import type { AuditEntry, AuditRecord, ControlCatalog } from './control-catalog.ts'
import { toValue } from './sqlite-control-rows.ts'
import type { Guard } from './sqlite-failure.ts'

const PAGE = 500

type AuditRow = Omit<AuditEntry, 'before' | 'after'> & {
  readonly before: string
  readonly after: string
}

export interface Audit {
  /** To be called inside a transaction that may write already: nothing may come in between. */
  append(records: readonly AuditRecord[]): void
  /** What was there when it began. */
  list: ControlCatalog['audit']
}

export function createAudit(sql: Database, guard: Guard): Audit {
  const last = sql.prepare<[], Pick<AuditEntry, 'sequence' | 'hash'>>(
    'SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1',
  )
  const insert = sql.prepare<[AuditRow]>(
    `INSERT INTO audit
       (sequence, at, actor, address, action, subject, before, after, previous_hash, hash)
     VALUES (@sequence, @at, @actor, @address, @action, @subject, @before, @after,
       @previousHash, @hash)`,
  )
  const page = sql.prepare<[number, number, number], AuditRow>(
    `SELECT sequence, at, actor, address, action, subject, before, after,
       previous_hash AS previousHash, hash
     FROM audit WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?`,
  )

  async function* list({
    since = Number.NEGATIVE_INFINITY,
    after = 0,
  }: {
    readonly since?: number
    readonly after?: number
  }): AsyncIterable<AuditEntry> {
    const end = guard.translated(() => last.get()?.sequence ?? 0)
    let [position, isMore] = [after, true]
    while (isMore) {
      const rows = guard.translated(() => page.all(position, end, PAGE))
      for (const row of rows) if (row.at >= since) yield guard.translated(() => toEntry(row))
      position = rows.at(-1)?.sequence ?? position
      isMore = rows.length === PAGE
      await setImmediate()
    }
  }

  return {
    append(records) {
      let { sequence, hash } = last.get() ?? { sequence: 0, hash: NO_HASH }
      for (const record of records) {
        const entry = { ...asStored(record), sequence: sequence + 1, previousHash: hash }
        sequence = entry.sequence
        hash = auditHash(entry)
        const [before, after] = [JSON.stringify(entry.before), JSON.stringify(entry.after)]
        insert.run({ ...entry, before, after, hash })
      }
    },
    list,
  }
}

/** As it will be read again, so that the hash is that of what will be read. */
function asStored({
  at,
  actor,
  address,
  action,
  subject,
  before,
  after,
}: AuditRecord): AuditRecord {
  return {
    at,
    actor: asText(actor),
    address: asText(address),
    action: asText(action),
    subject: asText(subject),
    before: asJson(before),
    after: asJson(after),
  }
}

/** UTF-8 has no lone surrogates, and names that were typed in may. */
function asText(text: string): string {
  return Buffer.from(text).toString()
}

function asJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null))
}

function toEntry(row: AuditRow): AuditEntry {
  return { ...row, before: toValue(row.before), after: toValue(row.after) }
}
