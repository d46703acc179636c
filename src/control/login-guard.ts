/** Holds guesses back: how many logins may fail in a minute before more are not even looked at. */
import { countedAddress } from '../addresses.ts'
import { LRUCache } from '../lru.ts'

export interface LoginGuard {
  /**
   * @param user `undefined`: only the address counts
   * @returns seconds until a login is looked at again; `undefined`: it is now
   */
  heldBackFor(user: string | undefined, address: string): number | undefined
  /** Counts as failed until it is known to be none, so that guesses side by side are counted too. */
  attempt(user: string | undefined, address: string): LoginAttempt
}

export interface LoginAttempt {
  /** Takes it back, and what this user has failed from this address before. */
  succeeded(): void
}

/** Failures in a minute. That of the user alone is high: others must not lock somebody out easily. */
const PER_USER_AND_ADDRESS = 5
const PER_ADDRESS = 30
const PER_USER = 100

/** Milliseconds. */
const MINUTE = 60_000
const MAX_REMEMBERED = 10_000

/** @param now milliseconds */
export function createLoginGuard({ now }: { readonly now: () => number }): LoginGuard {
  const pairs = createWindow(PER_USER_AND_ADDRESS, now)
  const addresses = createWindow(PER_ADDRESS, now)
  const users = createWindow(PER_USER, now)

  return {
    heldBackFor(user, address) {
      const from = countedAddress(address)
      const byUser =
        user === undefined ? 0 : Math.max(pairs.wait(`${user} ${from}`), users.wait(user))
      const wait = Math.max(byUser, addresses.wait(from))
      return wait > 0 ? Math.ceil(wait / 1000) : undefined
    },

    attempt(user, address) {
      const from = countedAddress(address)
      const at = now()
      addresses.add(from, at)
      if (user !== undefined) {
        pairs.add(`${user} ${from}`, at)
        users.add(user, at)
      }
      return {
        succeeded() {
          addresses.takeBack(from, at)
          if (user === undefined) return
          pairs.forget(`${user} ${from}`)
          users.takeBack(user, at)
        },
      }
    },
  }
}

function createWindow(limit: number, now: () => number) {
  const failures = new LRUCache<string, readonly number[]>({ max: MAX_REMEMBERED })

  /** A clock that was set back must not hold anybody back for longer. */
  function recent(key: string): readonly number[] {
    const at = now()
    return (failures.get(key) ?? []).filter((time) => time <= at && at - time < MINUTE)
  }

  return {
    /** Milliseconds until fewer than the limit are left. */
    wait(key: string): number {
      const freedAt = recent(key).at(-limit)
      return freedAt === undefined ? 0 : freedAt + MINUTE - now()
    },
    add(key: string, at: number): void {
      failures.set(key, [...recent(key).slice(1 - limit), at])
    },
    takeBack(key: string, at: number): void {
      const times = recent(key)
      const place = times.lastIndexOf(at)
      failures.set(key, place === -1 ? times : times.toSpliced(place, 1))
    },
    forget(key: string): void {
      failures.delete(key)
    },
  }
}
