/** What operators decide, in one SQLite file of its own that several processes may have open. */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from 'better-sqlite3'
import type {
  AccessRequest,
  ControlCatalog,
  ControlState,
  Decision,
  DecisionContext,
} from './control-catalog.ts'
import { createAudit, type Audit } from './sqlite-control-audit.ts'
import { createChanges } from './sqlite-control-changes.ts'
import { CONTROL, openControlFile, type ControlFile } from './sqlite-control-file.ts'
import { createRequests, type Requests } from './sqlite-control-requests.ts'
import { createStateReader } from './sqlite-control-state.ts'
import { createGuard, damage, sqliteFailure, type Guard } from './sqlite-failure.ts'

/** Milliseconds for which others are waited for while they write. */
const PATIENCE = 2000
/** Milliseconds between two looks; requests are served meanwhile. */
const PAUSE = 5

/** Refusals that are written in one go. */
const BATCH = 500

const SECRET_BYTES = 32

/**
 * A file that is missing is made.
 * @throws {StorageError} `damaged` when it does not pass a check, which it has to at each opening
 * @throws {Error} when the file was written by a newer version, which is no damage
 */
export function openControlCatalog(file: string): ControlCatalog {
  const opened = openControlFile(file)
  try {
    return catalogOf(opened)
  } catch (error) {
    opened.close()
    const lacksTables = error instanceof Error && 'code' in error && error.code === 'SQLITE_ERROR'
    throw lacksTables ? damage(error.message, CONTROL) : sqliteFailure(error, CONTROL)
  }
}

function catalogOf({ sql, watch, close }: ControlFile): ControlCatalog {
  const guard = createGuard(CONTROL)
  const requests = createRequests(sql)
  const audit = createAudit(sql, guard)
  const readState = createRememberedState(sql)
  const write = createWriter(sql, guard)
  const secrets = createSecrets(sql)
  const state = sql.transaction(readState)
  const decideNow = createDecider({ sql, guard, readState, requests, audit })

  async function noteRefusals(
    refusals: Parameters<ControlCatalog['noteRefusals']>[0],
  ): Promise<AccessRequest[]> {
    const added = new Set<string>()
    for (let start = 0; start < refusals.length; start += BATCH) {
      const batch = refusals.slice(start, start + BATCH)
      for (const id of await write(() => requests.note(batch))) added.add(id)
    }
    // Those of an earlier batch may have been repeated or pushed out since.
    return guard.translated(() =>
      [...added].map((id) => requests.find(id)).filter((request) => request !== undefined),
    )
  }

  return {
    version: createVersion(watch, guard),
    change: (decide) => withOwnErrors(decide, (noting) => write(() => decideNow(noting))),
    noteRefusals,
    appendAudit: (records) => write(() => audit.append(records)),
    audit: audit.list,
    secret: async (name) =>
      guard.translated(() => secrets.find(name)) ?? (await write(() => secrets.ensure(name))),
    ...guard.asynchronous<Pick<ControlCatalog, 'state' | 'requests' | 'openRequests' | 'close'>>({
      state: () => state(),
      requests: (filter) => requests.list(filter.state),
      openRequests: () => requests.countOpen(),
      close,
    }),
  }
}

/** A look at the counter of commits costs less than a microsecond, and tells when to read the row. */
function createVersion(watch: Database, guard: Guard): () => number {
  const commits = watch.prepare<[], number>('PRAGMA data_version').pluck()
  const revision = watch.prepare<[], number>('SELECT number FROM revision').pluck()
  let [seen, version] = [-1, 0]

  function look(): number {
    const now = commits.get() ?? 0
    if (now !== seen) {
      version = revision.get() ?? 0
      seen = now
    }
    return version
  }

  return () => {
    try {
      return guard.translated(look)
    } catch (error) {
      // Somebody recovers or empties the log: what was known holds until the next look.
      if (seen !== -1 && sqliteFailure(error, CONTROL).code === 'exhausted') return version
      throw error
    }
  }
}

/** @returns reads it only where somebody has decided something since; to be called inside a transaction */
function createRememberedState(sql: Database): () => ControlState {
  const revision = sql.prepare<[], number>('SELECT number FROM revision').pluck()
  const read = createStateReader(sql)
  let known: { readonly revision: number | undefined; readonly state: ControlState } | undefined
  return () => {
    const now = revision.get()
    if (known === undefined || known.revision !== now) known = { revision: now, state: read() }
    return known.state
  }
}

/** Runs something that writes while nobody else does: as a whole, or not at all. */
type Write = <T>(run: () => T) => Promise<T>

/**
 * Asks again while another process writes, without keeping the requests of this one waiting. One writer at a
 * time does so, as each look blocks all else for a moment.
 */
function createWriter(sql: Database, guard: Guard): Write {
  let last: Promise<unknown> = Promise.resolve()

  async function attempt<T>(run: () => T): Promise<T> {
    const transaction = sql.transaction(run)
    const deadline = performance.now() + PATIENCE
    for (;;) {
      try {
        return guard.translated(() => transaction.immediate())
      } catch (error) {
        if (!isBusy(error) || performance.now() > deadline) throw error
        await delay(PAUSE)
      }
    }
  }

  return <T>(run: () => T): Promise<T> => {
    const written = last.then(() => attempt(run))
    last = written.catch(() => undefined)
    return written
  }
}

function isBusy(error: unknown): boolean {
  const cause: unknown = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && String(cause.code).startsWith('SQLITE_BUSY')
}

type Decide<T> = (context: DecisionContext) => Decision<T>

/** @returns decides and writes in one step; to be called inside a transaction that may write already */
function createDecider({
  sql,
  guard,
  readState,
  requests,
  audit,
}: {
  sql: Database
  guard: Guard
  readState: () => ControlState
  requests: Requests
  audit: Audit
}): <T>(decide: Decide<T>) => T {
  const apply = createChanges(sql)
  const countUp = sql.prepare<[]>('UPDATE revision SET number = number + 1')
  return (decide) => {
    const state = readState()
    const request = (id: string) => guard.translated(() => requests.find(id))
    const { changes, audit: records, result } = decide({ state, request })
    for (const change of changes) apply(change)
    if (changes.length > 0) countUp.run()
    audit.append(records)
    return result
  }
}

/** What the decision throws is for its caller as it is, and no failure of the database. */
async function withOwnErrors<T, R>(
  decide: Decide<T>,
  run: (decide: Decide<T>) => Promise<R>,
): Promise<R> {
  let refusal: { readonly error: unknown } | undefined
  const noting: Decide<T> = (context) => {
    try {
      return decide(context)
    } catch (error) {
      refusal = { error }
      throw error
    }
  }
  try {
    return await run(noting)
  } catch (error) {
    throw refusal ? refusal.error : error
  }
}

/** Made when it is first asked for; whoever is first decides for all processes. */
function createSecrets(sql: Database): {
  find(name: string): Buffer | undefined
  ensure(name: string): Buffer
} {
  const insert = sql.prepare<[string, Buffer]>(
    'INSERT OR IGNORE INTO secret (name, value) VALUES (?, ?)',
  )
  const select = sql.prepare<[string], Buffer>('SELECT value FROM secret WHERE name = ?').pluck()
  function find(name: string): Buffer | undefined {
    const value = select.get(name)
    if (value !== undefined && value.length !== SECRET_BYTES) {
      throw damage(`a key has ${value.length} bytes`, CONTROL)
    }
    return value
  }
  return {
    find,
    ensure(name) {
      const made = randomBytes(SECRET_BYTES)
      insert.run(name, made)
      return find(name) ?? made
    },
  }
}
