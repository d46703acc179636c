/**
 * Passwords that were looked at within the last minute: clients send them with every request, and bcrypt
 * is slow on purpose. Kept as HMACs with a key of this process, so that no password stays in memory.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from '../lru.ts'
import type { PasswordVerdict } from './passwords.ts'

/** A password, for whom, and the hash that it is compared with: another hash makes it another login. */
export interface ShownPassword {
  readonly user: string
  readonly password: string
  /** `undefined`: there is no such user. */
  readonly hash: string | undefined
}

export interface VerifiedLogins {
  /** What was found within the last minute. */
  recall(login: ShownPassword): 'matches' | 'differs' | undefined
  remember(login: ShownPassword, verdict: 'matches' | 'differs'): void
  /** Verifies, once for all who show the same at the same time, and remembers what was found. */
  verify(login: ShownPassword, look: () => Promise<PasswordVerdict>): Promise<PasswordVerdict>
}

/** Milliseconds. */
const REMEMBERED_FOR = 60_000
/** Of each kind apart: wrong ones, of which anybody can make many, push out no right one. */
const MAX_REMEMBERED = 5000

/** @param now milliseconds */
export function createVerifiedLogins({ now }: { readonly now: () => number }): VerifiedLogins {
  const processKey = randomBytes(32)
  const found = { matches: createMemory(now), differs: createMemory(now) }
  const running = new Map<string, Promise<PasswordVerdict>>()

  function keyOf({ user, password, hash }: ShownPassword): string {
    const text = JSON.stringify([user, password, hash ?? null])
    return createHmac('sha256', processKey).update(text).digest('base64')
  }

  async function lookAndRemember(
    key: string,
    look: () => Promise<PasswordVerdict>,
  ): Promise<PasswordVerdict> {
    const verdict = await look()
    if (verdict === 'matches' || verdict === 'differs') found[verdict].add(key)
    return verdict
  }

  return {
    recall(login) {
      const key = keyOf(login)
      if (found.matches.has(key)) return 'matches'
      return found.differs.has(key) ? 'differs' : undefined
    },

    remember(login, verdict) {
      found[verdict].add(keyOf(login))
    },

    async verify(login, look) {
      const key = keyOf(login)
      for (;;) {
        const others = running.get(key)
        if (others === undefined) {
          const own = lookAndRemember(key, look).finally(() => running.delete(key))
          running.set(key, own)
          return own
        }
        const verdict = await others
        // They were held back for what their address did; that is not about this caller.
        if (verdict !== 'skipped') return verdict
      }
    },
  }
}

function createMemory(now: () => number) {
  const times = new LRUCache<string, number>({ max: MAX_REMEMBERED })
  return {
    add: (key: string): void => void times.set(key, now()),
    has(key: string): boolean {
      const age = now() - (times.get(key) ?? -Infinity)
      return age >= 0 && age < REMEMBERED_FOR
    },
  }
}
