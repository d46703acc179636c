/** A number of places for work; who comes when all are taken waits for one. */
import { setMaxListeners } from 'node:events'

export interface Slots {
  /** @throws what the work throws, or the signal's reason when it aborts while waiting */
  use<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>
}

export function createSlots(count: number): Slots {
  let free = count
  /** In order of arrival. */
  const waiting = new Set<() => void>()

  async function take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (free > 0) {
      free -= 1
      return
    }
    // Many wait with one signal; Node takes more than ten listeners for a leak.
    setMaxListeners(0, signal)
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(enter)
        reject(signal.reason as Error)
      }
      const enter = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      signal.addEventListener('abort', leave, { once: true })
      waiting.add(enter)
    })
  }

  function give(): void {
    const [next] = waiting
    if (next === undefined) {
      free += 1
      return
    }
    waiting.delete(next)
    next()
  }

  return {
    async use(work, signal) {
      await take(signal)
      try {
        return await work()
      } finally {
        give()
      }
    },
  }
}
