/**
 * Failed logins in the audit. Whoever tries passwords must not be able to fill it, so what is too much
 * for a minute becomes one entry with a number.
 */
import type { Principal } from '../access/principal.ts'
import type { AuditRecord, ControlCatalog } from '../catalog/control-catalog.ts'
import { loggable, type Log } from '../log.ts'
import { auditRecord, type Author } from './audit-record.ts'
import type { RejectedLogin } from './logins.ts'

export interface LoginAudit {
  rejected(login: RejectedLogin): void
  /** Resolves when everything is written, or given up. */
  idle(): Promise<void>
  close(): Promise<void>
}

interface Dependencies {
  readonly catalog: Pick<ControlCatalog, 'appendAudit'>
  readonly log: Log
  readonly now: () => number
}

const WINDOW = 60_000
/** Entries in a window; those beyond are summed up at its end. */
const MAX_ENTRIES = 60

export function createLoginAudit({ catalog, log, now }: Dependencies): LoginAudit {
  let entries = 0
  let summed = 0
  /** The first is told at once, so that an attack is seen while it goes on. */
  let isHeldBackTold = false
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()

  function rejected(login: RejectedLogin): void {
    timer ??= setTimeout(endWindow, WINDOW)
    timer.unref()
    if (entries >= MAX_ENTRIES || (login.heldBack && isHeldBackTold)) {
      summed += 1
      return
    }
    entries += 1
    isHeldBackTold ||= login.heldBack
    write(login.heldBack ? heldBack(1, login.address, now()) : failed(login, now()))
  }

  function endWindow(): void {
    clearTimeout(timer)
    timer = undefined
    if (summed > 0) write(heldBack(summed, '', now()))
    entries = 0
    summed = 0
    isHeldBackTold = false
  }

  function write(record: AuditRecord): void {
    writing = writing
      .then(() => catalog.appendAudit([record]))
      .catch((error: unknown) => log.warn({ err: error }, 'a failed login could not be recorded'))
  }

  return {
    rejected,
    idle: () => writing,
    async close() {
      endWindow()
      await writing
    },
  }
}

function failed({ user, address }: RejectedLogin, now: number): AuditRecord {
  return auditRecord(nobodyAt(address, now), 'login.failed', loggable(user) ?? '')
}

function heldBack(count: number, address: string, now: number): AuditRecord {
  return auditRecord(nobodyAt(address, now), 'login.held-back', '', { after: { count } })
}

/** Whoever it was did not become anybody. */
function nobodyAt(address: string, now: number): Author {
  const principal: Principal = { kind: 'anonymous', name: 'anonymous', grants: [] }
  return { caller: { principal, address }, now }
}
