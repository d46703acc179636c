/** A file of users as `htpasswd -B` writes it: `name:hash` lines. Pure. */
import { isPasswordHash } from './passwords.ts'
import { isUserName } from './user-name.ts'

export interface Htpasswd {
  /** Hashes by name; those of lines without a problem. */
  readonly users: ReadonlyMap<string, string>
  readonly problems: readonly HtpasswdProblem[]
}

export interface HtpasswdProblem {
  /** From 1. */
  readonly line: number
  /** A sentence without what the line says, which may be a password in the wrong place. */
  readonly message: string
}

/** Bytes. */
export const MAX_HTPASSWD_SIZE = 1024 * 1024

export function parseHtpasswd(text: string): Htpasswd {
  if (Buffer.byteLength(text) > MAX_HTPASSWD_SIZE) {
    return { users: new Map(), problems: [{ line: 1, message: 'The file is larger than 1 MiB.' }] }
  }
  const users = new Map<string, string>()
  const problems: HtpasswdProblem[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    // Takes a byte order mark and the carriage returns of Windows away, too.
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const entry = readLine(line)
    const message = typeof entry === 'string' ? entry : problemAmong(users, entry.name)
    if (message !== undefined) problems.push({ line: index + 1, message })
    else if (typeof entry !== 'string') users.set(entry.name, entry.hash)
  }
  return { users, problems }
}

/** @returns what is wrong, where something is */
function readLine(line: string): { name: string; hash: string } | string {
  const colon = line.indexOf(':')
  if (colon === -1) return 'There is no colon between a name and a hash.'
  const [name, hash] = [line.slice(0, colon), line.slice(colon + 1)]
  if (!isUserName(name)) {
    return 'The name may hold letters, digits and ._@- only, begin with a letter or digit, and have 64 characters at most.'
  }
  if (isPasswordHash(hash)) return { name, hash }
  return /^\$2[aby]\$\d\d\$/.test(hash)
    ? `The hash of ${name} is damaged, or of a cost that is not from 4 to 14; make it anew with htpasswd -B.`
    : `The hash of ${name} is not of bcrypt; make it anew with htpasswd -B.`
}

/** Which of two hashes counts must not be a matter of their order. */
function problemAmong(users: ReadonlyMap<string, string>, name: string): string | undefined {
  return users.has(name)
    ? `The name ${name} stands further up already; keep one of the two.`
    : undefined
}
