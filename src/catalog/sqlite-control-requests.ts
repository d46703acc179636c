/** Refusals that are remembered, within limits that no flood gets over. */
import type { Database } from 'better-sqlite3'
import { countedAddress } from '../addresses.ts'
import {
  REQUESTS_IN_ALL,
  REQUESTS_PER_CALLER,
  type AccessRequest,
  type Refusal,
} from './control-catalog.ts'
import { oneOf, optional } from './sqlite-control-rows.ts'

const REASONS: readonly AccessRequest['reason'][] = ['rule', 'right']
const STATES: readonly AccessRequest['state'][] = ['open', 'approved', 'dismissed']

interface RequestRow {
  readonly id: string
  readonly user: string | null
  readonly address: string
  readonly name: string
  readonly tag: string | null
  readonly reason: string
  readonly userAgent: string | null
  readonly count: number
  readonly firstAt: number
  readonly lastAt: number
  readonly state: string
}

const COLUMNS = `id, user, address, name, tag, reason, user_agent AS userAgent, count,
  first_at AS firstAt, last_at AS lastAt, state`

export interface Requests {
  find(id: string): AccessRequest | undefined
  /** The newest first. */
  list(state: AccessRequest['state'] | undefined): AccessRequest[]
  /** Those that nobody has settled. */
  countOpen(): number
  /**
   * To be called inside a transaction; the cost of each does not grow with how many there are.
   * @returns ids that were not known before, or are open again
   */
  note(refusals: readonly Refusal[]): ReadonlySet<string>
}

export function createRequests(sql: Database): Requests {
  const select = sql.prepare<[string], RequestRow>(`SELECT ${COLUMNS} FROM request WHERE id = ?`)
  const selectAll = sql.prepare<[], RequestRow>(
    `SELECT ${COLUMNS} FROM request ORDER BY last_at DESC, id`,
  )
  const selectState = sql.prepare<[string], RequestRow>(
    `SELECT ${COLUMNS} FROM request WHERE state = ? ORDER BY last_at DESC, id`,
  )
  const upsert = sql.prepare<[object]>(
    `INSERT INTO request
       (id, caller, user, address, name, tag, reason, user_agent, count, first_at, last_at, state,
        settled_at)
     VALUES (@id, @caller, @user, @address, @name, @tag, @reason, @userAgent, @count, @firstAt,
       @lastAt, 'open', 0)
     ON CONFLICT DO UPDATE SET address = excluded.address, reason = excluded.reason,
       user_agent = coalesce(excluded.user_agent, user_agent), count = count + excluded.count,
       first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)`,
  )
  // What was approved and is refused by a rule all the same has lost the rule that let it in.
  const reopen = sql.prepare<[string, number]>(
    `UPDATE request SET state = 'open', settled_at = 0
     WHERE id = ? AND state = 'approved' AND reason = 'rule' AND settled_at < ?`,
  )
  const countOpen = sql
    .prepare<[], number>("SELECT count(*) FROM request WHERE state = 'open'")
    .pluck()
  const requestsOf = sql
    .prepare<[string], number>('SELECT requests FROM caller WHERE caller = ?')
    .pluck()
  const requestsInAll = sql.prepare<[], number>('SELECT requests FROM request_total').pluck()
  // Of those with equally many, the one who has not been heard of for longest.
  const greediest = sql
    .prepare<[], string>('SELECT caller FROM caller ORDER BY requests DESC, last_at LIMIT 1')
    .pluck()
  const removeOldest = sql.prepare<[string]>(
    `DELETE FROM request WHERE id =
       (SELECT id FROM request WHERE caller = ? ORDER BY last_at, id LIMIT 1)`,
  )

  function find(id: string): AccessRequest | undefined {
    const row = select.get(id)
    return row && toRequest(row)
  }

  function makeRoom(caller: string): void {
    if ((requestsOf.get(caller) ?? 0) > REQUESTS_PER_CALLER) removeOldest.run(caller)
    if ((requestsInAll.get() ?? 0) > REQUESTS_IN_ALL) removeOldest.run(greediest.get() ?? caller)
  }

  return {
    find,
    list: (state) =>
      (state === undefined ? selectAll.all() : selectState.all(state)).map(toRequest),
    countOpen: () => countOpen.get() ?? 0,
    note(refusals) {
      const added = new Set<string>()
      for (const refusal of refusals) {
        const { id, user = null, tag = null, userAgent = null } = refusal
        if (select.get(id) === undefined) added.add(id)
        const caller = callerOf(refusal)
        upsert.run({ ...refusal, user, tag, userAgent, caller })
        if (reopen.run(id, refusal.firstAt).changes > 0) added.add(id)
        makeRoom(caller)
      }
      return added
    },
  }
}

/** Names and addresses are told apart, as anybody may choose a name. */
function callerOf({ user, address }: Refusal): string {
  return user === undefined ? `address ${countedAddress(address)}` : `user ${user}`
}

function toRequest(row: RequestRow): AccessRequest {
  return {
    ...row,
    user: optional(row.user),
    tag: optional(row.tag),
    reason: oneOf(REASONS, row.reason),
    userAgent: optional(row.userAgent),
    state: oneOf(STATES, row.state),
  }
}
