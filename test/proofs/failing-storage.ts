/**
 * A file system and a database whose n-th call fails. To be put in the place of `node:fs/promises` and
 * `better-sqlite3` by `vi.mock`; what lies outside the folder of an injection is left alone.
 */
import { constants } from 'node:fs'
import { sep } from 'node:path'

export type StorageCode = 'ENOSPC' | 'EIO' | 'EMFILE' | 'EROFS'
export type StorageKind = 'files' | 'database'

export interface Injection {
  readonly folder: string
  readonly kind: StorageKind
  readonly code: StorageCode
  /** Of the calls that can fail in this way; the first is 1. */
  readonly nth: number
  /** All that follow fail too. */
  readonly forEver: boolean
}

/** An injection that is in force until it is disposed of. */
export interface RunningInjection extends Disposable {
  /** What has failed, such as `rename /data/spool/…`. */
  readonly failed: readonly string[]
}

interface State extends Injection {
  calls: number
  readonly failed: string[]
}

let state: State | undefined

/** From now on; one at a time. */
export function inject(injection: Injection): RunningInjection {
  const injected: State = { ...injection, calls: 0, failed: [] }
  state = injected
  return {
    failed: injected.failed,
    [Symbol.dispose]() {
      state = undefined
    },
  }
}

/** What a call needs of the medium. */
type Need = 'space' | 'writing' | 'handle' | 'reading'

/** A disk that is full can still be read, and files on it removed. */
const FAILING: Readonly<Record<StorageCode, readonly Need[]>> = {
  ENOSPC: ['space'],
  EROFS: ['space', 'writing'],
  EMFILE: ['handle'],
  EIO: ['space', 'writing', 'handle', 'reading'],
}

/** @returns whether this call has to fail */
function strikes(kind: StorageKind, path: string, call: string, needs: readonly Need[]): boolean {
  if (state === undefined || state.kind !== kind) return false
  if (path !== state.folder && !path.startsWith(state.folder + sep)) return false
  const { code, nth, forEver } = state
  if (!needs.some((need) => FAILING[code].includes(need))) return false
  state.calls += 1
  if (forEver ? state.calls < nth : state.calls !== nth) return false
  state.failed.push(`${call} ${path}`)
  return true
}

function strikeFile(path: string, call: string, needs: readonly Need[]): void {
  if (strikes('files', path, call, needs)) throw fileError(call, path)
}

function fileError(call: string, path: string): NodeJS.ErrnoException {
  const code = state?.code ?? 'EIO'
  return Object.assign(new Error(`${code}: injected, ${call} '${path}'`), { code, syscall: call })
}

type AsyncCall = (...args: unknown[]) => Promise<unknown>

const BY_PATH: Readonly<Record<string, readonly Need[]>> = {
  mkdir: ['space'],
  mkdtemp: ['space'],
  writeFile: ['space', 'handle'],
  appendFile: ['space', 'handle'],
  copyFile: ['space', 'handle'],
  link: ['space'],
  rename: ['space'],
  truncate: ['space', 'handle'],
  rm: ['writing'],
  rmdir: ['writing'],
  unlink: ['writing'],
  utimes: ['writing'],
  readFile: ['handle', 'reading'],
  opendir: ['handle', 'reading'],
  readdir: ['handle', 'reading'],
  stat: ['reading'],
  lstat: ['reading'],
  statfs: ['reading'],
  access: ['reading'],
}

const BY_HANDLE: Readonly<Record<string, readonly Need[]>> = {
  write: ['space'],
  writev: ['space'],
  writeFile: ['space'],
  appendFile: ['space'],
  truncate: ['space'],
  sync: ['space'],
  datasync: ['space'],
  read: ['reading'],
  readv: ['reading'],
  readFile: ['reading'],
  stat: ['reading'],
}

/** @param real the module `node:fs/promises` */
export function failingFiles<Module extends object>(real: Module): Module {
  const calls = real as Record<string, AsyncCall>
  const failing: Record<string, unknown> = { ...calls }
  for (const [name, needs] of Object.entries(BY_PATH)) {
    failing[name] = async (path: unknown, ...rest: unknown[]) => {
      strikeFile(String(path), name, needs)
      return calls[name]?.(path, ...rest)
    }
  }
  failing['open'] = async (path: unknown, flags: unknown = 'r', ...rest: unknown[]) => {
    strikeFile(String(path), 'open', ['handle', creates(flags) ? 'space' : 'reading'])
    const handle = await calls['open']?.(path, flags, ...rest)
    return failingHandle(handle as Record<string, AsyncCall>, String(path))
  }
  // Whoever imports the default export gets the same.
  return { ...failing, default: failing } as unknown as Module
}

function creates(flags: unknown): boolean {
  if (typeof flags === 'number') {
    return (flags & (constants.O_CREAT | constants.O_WRONLY | constants.O_RDWR)) !== 0
  }
  return flags !== 'r'
}

/** Members of its own hide those of the class. */
function failingHandle(handle: Record<string, AsyncCall>, path: string): Record<string, AsyncCall> {
  for (const [name, needs] of Object.entries(BY_HANDLE)) {
    const call = handle[name]?.bind(handle)
    handle[name] = async (...args) => {
      strikeFile(path, name, needs)
      return call?.(...args)
    }
  }
  const close = handle['close']?.bind(handle)
  handle['close'] = async () => {
    // close(2): the descriptor is gone even when an error is told.
    await close?.()
    strikeFile(path, 'close', ['space'])
  }
  return handle
}

type DatabaseClass = new (file: string, options?: object) => Record<string, unknown>
type SqliteErrorClass = new (message: string, code: string) => Error

const SQLITE_CODES: Readonly<Record<StorageCode, readonly [code: string, message: string]>> = {
  ENOSPC: ['SQLITE_FULL', 'database or disk is full'],
  EIO: ['SQLITE_IOERR', 'disk I/O error'],
  EMFILE: ['SQLITE_CANTOPEN', 'unable to open database file'],
  EROFS: ['SQLITE_READONLY', 'attempt to write a readonly database'],
}

/** @param real the module `better-sqlite3` */
export function failingDatabase<Module extends object>(real: Module): Module {
  const { default: Database, SqliteError } = real as unknown as {
    default: DatabaseClass
    SqliteError: SqliteErrorClass
  }
  function strike(file: string, call: string, writes: boolean): void {
    const needs: Need[] = writes ? ['space', 'handle'] : ['reading', 'handle']
    if (!strikes('database', file, call, needs)) return
    const [code, message] = SQLITE_CODES[state?.code ?? 'EIO']
    throw new SqliteError(`injected: ${message}`, code)
  }
  function FailingDatabase(file: string, options?: object): object {
    const database = new Database(file, options)
    return replacing(database, {
      prepare: (prepare) => (source: unknown) =>
        failingStatement(prepare(source) as Record<string, unknown>, (call, writes) =>
          strike(file, call, writes),
        ),
      transaction: (transaction) => (run: unknown) =>
        transaction((...args: unknown[]) => {
          strike(file, 'BEGIN', true)
          const result = (run as (...given: unknown[]) => unknown)(...args)
          strike(file, 'COMMIT', true)
          return result
        }),
      pragma:
        (pragma) =>
        (...args: unknown[]) => {
          strike(file, 'PRAGMA', false)
          return pragma(...args)
        },
      exec:
        (exec) =>
        (...args: unknown[]) => {
          strike(file, 'exec', true)
          return exec(...args)
        },
    })
  }
  return { ...real, default: Object.assign(FailingDatabase, { SqliteError }) }
}

function failingStatement(
  statement: Record<string, unknown>,
  strike: (call: string, writes: boolean) => void,
): object {
  const writes = statement['readonly'] === false
  const failing =
    (call: Call) =>
    (...args: unknown[]) => {
      strike(String(statement['source']).slice(0, 60), writes)
      return call(...args)
    }
  const same =
    (call: Call) =>
    (...args: unknown[]) => {
      call(...args)
      return proxy
    }
  const proxy = replacing(statement, {
    run: failing,
    get: failing,
    all: failing,
    iterate: failing,
    pluck: same,
    raw: same,
    bind: same,
  })
  return proxy
}

type Call = (...args: unknown[]) => unknown

/** The object with some of its methods replaced; all are called on the object itself, which is not plain. */
function replacing(target: object, replaced: Record<string, (call: Call) => Call>): object {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object)
      if (typeof value !== 'function') return value
      const call = (value as Call).bind(object)
      return replaced[String(name)]?.(call) ?? call
    },
  })
}
