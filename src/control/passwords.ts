/** Passwords and their bcrypt hashes. The one importer of the library; it runs on Node's thread pool. */
import * as bcrypt from 'bcrypt'
import { ControlError } from './error.ts'

/** `busy` too many wait already; `skipped` it was no longer wanted when its turn came. */
export type PasswordVerdict = 'matches' | 'differs' | 'busy' | 'skipped'

export interface Passwords {
  /** @param password without a `problemOfPassword` */
  readonly hashPassword: (password: string) => Promise<string>
  /**
   * Whether the password is the one of the hash. For a wrong one the work is the same whatever the hash
   * is, and without any: how long it takes does not tell which users exist (CVE-2023-20902).
   * @param hash `undefined`: there is no such user
   * @param begin asked when its turn has come; false: not to be looked at any more
   */
  readonly verifyPassword: (
    password: string,
    hash: string | undefined,
    begin?: () => boolean,
  ) => Promise<PasswordVerdict>
}

/** What is used of the library. */
interface Bcrypt {
  readonly hash: (password: string, cost: number) => Promise<string>
  readonly compare: (password: string, hash: string) => Promise<boolean>
}

/** Bytes. bcrypt looks at no more than 72, so that longer ones would be cut short without a word. */
const MIN_LENGTH = 8
const MAX_LENGTH = 72
/** Of new hashes; each step doubles the work, and 10 takes some 60 ms. */
const COST = 10
/** Of hashes from elsewhere: bcrypt knows none below 4, and 14 takes a second. */
const MIN_COST = 4
const MAX_COST = 14
/** Of Node's four threads, which the disk needs too. */
const MAX_RUNNING = 2
const MAX_WAITING = 64

const HASH = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/

/** A bcrypt hash of a cost from 4 to 14: `$2a$`, `$2b$` or `$2y$`, as htpasswd -B writes it. */
export function isPasswordHash(text: string): boolean {
  return HASH.test(text) && costOf(text) >= MIN_COST && costOf(text) <= MAX_COST
}

/**
 * Why this cannot become a password.
 * @returns a sentence that begins behind its subject: "has 5 bytes …"
 */
export function problemOfPassword(text: string): string | undefined {
  const length = Buffer.byteLength(text)
  if (length < MIN_LENGTH) return `has ${length} bytes; choose one of at least ${MIN_LENGTH}`
  if (length > MAX_LENGTH) {
    return `has ${length} bytes, of which bcrypt would look at the first ${MAX_LENGTH} only; choose a shorter one`
  }
  // A lone surrogate has no UTF-8, so it would not be the same after the way here.
  if (/[\p{Cc}\p{Cs}]/u.test(text)) {
    return 'holds a control character, which no client can send (RFC 7617 §2); leave it out'
  }
  return text.startsWith('entp_') ? 'begins like an API token; choose another' : undefined
}

/** One for the whole process, as the threads are. */
export const { hashPassword, verifyPassword } = createPasswords(bcrypt)

export function createPasswords({ hash: makeHash, compare }: Bcrypt): Passwords {
  const queue = createQueue()
  /** Cost of the dearest hash so far: the work of every refusal. */
  let dearest = COST

  async function verify(password: string, hash: string | undefined): Promise<PasswordVerdict> {
    const known = hash !== undefined && isPasswordHash(hash) ? forLibrary(hash) : undefined
    if (known === undefined) {
      await compare(password, dummy(dearest))
      return 'differs'
    }
    const cost = costOf(known)
    dearest = Math.max(dearest, cost)
    const isSame = await compare(password, known)
    if (isSame && Buffer.byteLength(password) <= MAX_LENGTH) return 'matches'
    await spend(password, cost)
    return 'differs'
  }

  /** Fills up what was spent at this cost: 2ⁿ + 2ⁿ + 2ⁿ⁺¹ + … is the power above the last. */
  async function spend(password: string, cost: number): Promise<void> {
    for (let next = cost; next < dearest; next += 1) await compare(password, dummy(next))
  }

  return {
    async hashPassword(password) {
      if (queue.waiting() >= MAX_WAITING) throw tooMany()
      return queue.run(() => makeHash(password, COST))
    },
    async verifyPassword(password, hash, begin = () => true) {
      if (queue.waiting() >= MAX_WAITING) return 'busy'
      return queue.run(async () => (begin() ? verify(password, hash) : 'skipped'))
    },
  }
}

/** Logins wait in the same queue. */
function tooMany(): ControlError {
  return new ControlError('conflict', 'Too many passwords are being set at once. Try again later.')
}

/** The library does not know `$2y$`, which is the same as `$2b$`. */
function forLibrary(hash: string): string {
  return hash.replace(/^\$2y/, '$2b')
}

function costOf(hash: string): number {
  return Number(hash.slice(4, 6))
}

/** Costs what a true one does, and is no password's. */
function dummy(cost: number): string {
  return `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`
}

function createQueue() {
  const waiting: (() => void)[] = []
  let running = 0

  async function turn(): Promise<void> {
    if (running >= MAX_RUNNING) return new Promise((resolve) => waiting.push(resolve))
    running += 1
  }

  /** Whoever waits takes over the place, so that nobody slips in between. */
  function leave(): void {
    const next = waiting.shift()
    if (next) next()
    else running -= 1
  }

  return {
    waiting: () => waiting.length,
    async run<T>(work: () => Promise<T>): Promise<T> {
      await turn()
      try {
        return await work()
      } finally {
        leave()
      }
    },
  }
}
