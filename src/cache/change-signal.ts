/** Wakes everybody who waits for a change; nobody is forgotten and nothing is queued. */

export interface ChangeSignal {
  notify(): void
  /**
   * Resolves at the next change.
   * @throws the signal's reason when it aborts first
   */
  next(signal: AbortSignal): Promise<void>
}

export function createChangeSignal(): ChangeSignal {
  const waiting = new Set<() => void>()
  return {
    notify() {
      const woken = [...waiting]
      waiting.clear()
      for (const wake of woken) wake()
    },
    async next(signal) {
      signal.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        const wake = (): void => {
          signal.removeEventListener('abort', leave)
          resolve()
        }
        const leave = (): void => {
          waiting.delete(wake)
          reject(signal.reason as Error)
        }
        waiting.add(wake)
        signal.addEventListener('abort', leave, { once: true })
      })
    },
  }
}
