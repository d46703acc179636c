import { describe, expect, it } from 'vitest'
import { auditHash, brokenLink, continuesChain, NO_HASH } from '../../src/catalog/audit-chain.ts'
import type { AuditEntry, AuditRecord } from '../../src/catalog/control-catalog.ts'
import { note } from '../contract/control-records.ts'

const CHAIN = chainOf(['a', 'b', 'c', 'd'].map((subject) => note(subject)))

describe('the chain of the audit', () => {
  it('holds as it was made, and when there is none', () => {
    expect(brokenLink(CHAIN)).toBeUndefined()
    expect(brokenLink([])).toBeUndefined()
  })

  it('has a hash that others can compute', () => {
    const entry = {
      ...note('x', { before: { b: [1], a: 'é' } }),
      sequence: 1,
      previousHash: NO_HASH,
    }

    // printf '%s' '<64 zeros>[1,1000,"user:alice",…]' | sha256sum
    expect(auditHash(entry)).toBe(
      'bc15b6274f965180107e6daf3981d401059c46db60dff7a7de828d3db259a3f9',
    )
  })

  it('is over the values, in whatever order their keys are told', () => {
    const [first] = CHAIN
    if (!first) throw new Error('no entry')
    const swapped = { ...first, after: { b: { y: 1, x: 2 }, a: 1 } }
    const same = { ...first, after: { a: 1, b: { x: 2, y: 1 } } }

    expect(auditHash(swapped)).toBe(auditHash(same))
    expect(auditHash({ ...first, before: undefined })).toBe(auditHash({ ...first, before: null }))
  })

  it.each<[keyof AuditEntry, unknown]>([
    ['sequence', 9],
    ['at', 1001],
    ['actor', 'user:mallory'],
    ['address', '192.0.2.1'],
    ['action', 'rule.remove'],
    ['subject', 'other'],
    ['before', {}],
    ['after', null],
    ['previousHash', NO_HASH],
    ['hash', NO_HASH],
  ])('breaks where %s was changed', (field, value) => {
    const changed = CHAIN.map((entry, index) =>
      index === 2 ? { ...entry, [field]: value } : entry,
    )

    expect(brokenLink(changed)).toBe(field === 'sequence' ? 9 : 3)
  })

  it('breaks where an entry was made to fit by itself, at the next one', () => {
    const changed = CHAIN.map((entry, index) => {
      if (index !== 1) return entry
      const made = { ...entry, subject: 'innocent' }
      return { ...made, hash: auditHash(made) }
    })

    expect(brokenLink(changed)).toBe(3)
  })

  it('breaks where a number was left out, although everything else was made to fit', () => {
    const [one, two] = CHAIN as [AuditEntry, AuditEntry]
    const made = { ...two, sequence: 3 }

    expect(brokenLink([one, { ...made, hash: auditHash(made) }])).toBe(3)
  })

  it('breaks where entries are missing or in another order', () => {
    const [one, two, three, four] = CHAIN as [AuditEntry, AuditEntry, AuditEntry, AuditEntry]

    expect(brokenLink([two, three])).toBe(2)
    expect(brokenLink([one, three, four])).toBe(3)
    expect(brokenLink([one, two, two])).toBe(2)
    expect(brokenLink([two, one])).toBe(2)
  })

  it('is looked at from any entry on', () => {
    const [one, two, three, four] = CHAIN as [AuditEntry, AuditEntry, AuditEntry, AuditEntry]

    expect(brokenLink([three, four], two)).toBeUndefined()
    expect(brokenLink([four], two)).toBe(4)
    expect(continuesChain(one, undefined)).toBe(true)
    expect(continuesChain(two, one)).toBe(true)
    expect(continuesChain(two, undefined)).toBe(false)
  })
})

function chainOf(records: readonly AuditRecord[]): AuditEntry[] {
  const entries: AuditEntry[] = []
  for (const [index, record] of records.entries()) {
    const previousHash = entries.at(-1)?.hash ?? NO_HASH
    const entry = { ...record, sequence: index + 1, previousHash }
    entries.push({ ...entry, hash: auditHash(entry) })
  }
  return entries
}
