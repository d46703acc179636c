import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { AuditRecord } from '../../src/catalog/control-catalog.ts'
import { createLoginAudit } from '../../src/control/login-audit.ts'
import { createLog } from '../../src/log.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('failed logins', () => {
  it('are written one by one, with name and address', async () => {
    const { audit, records } = setUp()
    audit.rejected({ user: 'alice\u0007', address: '10.0.0.1', heldBack: false })
    await audit.idle()
    expect(records).toMatchObject([
      { action: 'login.failed', subject: 'alice?', address: '10.0.0.1', actor: 'anonymous' },
    ])
  })

  it('become one entry when they are too many for a minute', async () => {
    const { audit, records } = setUp()
    for (let login = 0; login < 1000; login += 1) {
      audit.rejected({ user: `user-${login}`, address: '10.0.0.1', heldBack: login % 10 === 0 })
    }
    await vi.advanceTimersByTimeAsync(60_000)
    await audit.idle()
    expect(records).toHaveLength(61)
    expect(records.at(-1)).toMatchObject({ action: 'login.held-back', after: { count: 940 } })
    audit.rejected({ user: 'later', address: '10.0.0.1', heldBack: false })
    await audit.idle()
    expect(records.at(-1)).toMatchObject({ subject: 'later' })
  })

  it('that were summed up are written at the end', async () => {
    const { audit, records } = setUp()
    audit.rejected({ user: 'alice', address: '10.0.0.1', heldBack: true })
    await audit.close()
    expect(records).toMatchObject([{ action: 'login.held-back', after: { count: 1 } }])
  })
})

function setUp() {
  const records: AuditRecord[] = []
  const audit = createLoginAudit({
    catalog: { appendAudit: async (more) => void records.push(...more) },
    log: createLog({ write: () => undefined }),
    now: Date.now,
  })
  return { audit, records }
}
