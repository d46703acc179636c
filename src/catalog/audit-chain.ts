/** The chain of the audit: whoever changes an entry has to change all that come after it. PURE. */
import { createHash } from 'node:crypto'
import type { AuditEntry } from './control-catalog.ts'

/** Stands for the hash of the entry before the first. */
export const NO_HASH = '0'.repeat(64)

/** SHA-256, as hex, over the hash of the entry before and a canonical text of all other fields. */
export function auditHash(entry: Omit<AuditEntry, 'hash'>): string {
  const { sequence, at, actor, address, action, subject, before, after, previousHash } = entry
  const text = canonicalJson([sequence, at, actor, address, action, subject, before, after])
  return createHash('sha256').update(previousHash).update(text).digest('hex')
}

/**
 * @param before the entry that these come after; without it they have to begin with the first of all
 * @returns the first sequence that does not fit: changed, or not the one that should be there
 */
export function brokenLink(entries: Iterable<AuditEntry>, before?: AuditEntry): number | undefined {
  let last = before
  for (const entry of entries) {
    if (!continuesChain(entry, last)) return entry.sequence
    last = entry
  }
  return undefined
}

/** Whether the entry comes right after the one before, or is the first, and is as it was written. */
export function continuesChain(entry: AuditEntry, before: AuditEntry | undefined): boolean {
  return (
    entry.sequence === (before?.sequence ?? 0) + 1 &&
    entry.previousHash === (before?.hash ?? NO_HASH) &&
    entry.hash === auditHash(entry)
  )
}

/** Keys in one order and no spaces, so that equal values have equal texts. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (isObject(part) ? withSortedKeys(part) : part))
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function withSortedKeys(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
