/**
 * The file of users, read again when it has changed. It is looked at by name through symbolic links, as
 * editors replace files, and a Kubernetes Secret is a link to a link that is swapped.
 */
import { readFileSync, statSync } from 'node:fs'
import type { Log } from '../log.ts'
import {
  MAX_HTPASSWD_SIZE,
  parseHtpasswd,
  type Htpasswd,
  type HtpasswdProblem,
} from './htpasswd.ts'

export interface HtpasswdFile {
  /**
   * Looks whether the file has changed, at most once a second. Of one that is gone or cannot be read,
   * what it said last stays; wrong lines of another are left out, as a user who was taken away must not
   * stay for a slip elsewhere in the file. Either is logged once.
   * @returns whether `users` is another one now
   */
  refresh(): boolean
  /** Hashes by name. */
  users(): ReadonlyMap<string, string>
}

interface Dependencies {
  readonly log: Pick<Log, 'warn' | 'info'>
  /** Milliseconds. */
  readonly now: () => number
}

type Users = ReadonlyMap<string, string>

/** Milliseconds between two looks. */
const LOOK_EVERY = 1000
const MAX_TOLD_PROBLEMS = 3

/** @throws {Error} with a sentence when the file cannot be read, or a line of it is wrong */
export function createHtpasswdFile(path: string, { log, now }: Dependencies): HtpasswdFile {
  let lookedAt = now()
  let seen = stateOf(path)
  let users = readUsers(path)

  function isTimeToLook(): boolean {
    const passed = now() - lookedAt
    // The clock may have been set back.
    return passed >= LOOK_EVERY || passed < 0
  }

  function tell(read: Htpasswd): void {
    log.info({ users: read.users.size }, 'the file of users was read again')
    if (read.problems.length === 0) return
    const reason = inOneSentence(path, read.problems)
    log.warn({ reason }, 'lines of the file of users are wrong: they are left out')
  }

  return {
    users: () => users,
    refresh() {
      if (!isTimeToLook()) return false
      lookedAt = now()
      const state = stateOf(path)
      if (state === seen) return false
      seen = state
      try {
        const read = parseHtpasswd(readText(path))
        users = read.users
        tell(read)
        return true
      } catch (error) {
        log.warn({ err: error }, 'the file of users is of no use: what it said before still counts')
        return false
      }
    },
  }
}

/** Another text after each change: a file put in its place has another inode, one written over another time. */
function stateOf(path: string): string {
  try {
    const { ino, dev, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  } catch (error) {
    return codeOf(error)
  }
}

function readUsers(path: string): Users {
  const { users, problems } = parseHtpasswd(readText(path))
  if (problems.length > 0) throw new Error(inOneSentence(path, problems))
  return users
}

function readText(path: string): string {
  try {
    const stats = statSync(path)
    if (!stats.isFile()) throw new Error('it is not a file')
    if (stats.size > MAX_HTPASSWD_SIZE) throw new Error('it is larger than 1 MiB')
    return readFileSync(path, 'utf8')
  } catch (error) {
    const reason = reasonOf(error)
    throw new Error(`The file of users ${path} cannot be read: ${reason}.`, { cause: error })
  }
}

function inOneSentence(path: string, problems: readonly HtpasswdProblem[]): string {
  const told = problems.slice(0, MAX_TOLD_PROBLEMS)
  const rest = problems.length - told.length
  return [
    `The file of users ${path} is broken.`,
    ...told.map(({ line, message }) => `Line ${line}: ${message}`),
    ...(rest > 0 ? [`And ${rest} more.`] : []),
  ].join(' ')
}

function reasonOf(error: unknown): string {
  const code = codeOf(error)
  if (code === 'ENOENT') return 'it is not there'
  if (code === 'EACCES') return 'this user may not read it'
  return error instanceof Error ? error.message : code
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
