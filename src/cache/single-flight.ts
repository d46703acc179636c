/** One piece of work for everybody who asks for the same thing at the same time. */

export interface Flight<T> {
  readonly result: Promise<T>
  /** Somebody else had started it. */
  readonly joined: boolean
}

export interface SingleFlight {
  run<T>(key: string, work: () => Promise<T>): Flight<T>
  /** Resolves when nothing is in flight. */
  idle(): Promise<void>
}

/**
 * The entry goes when the work settles, never when a caller leaves; everybody gets the same result or
 * the same error, and a failure is not remembered here.
 */
export function createSingleFlight(): SingleFlight {
  const inFlight = new Map<string, Promise<unknown>>()
  return {
    run<T>(key: string, work: () => Promise<T>): Flight<T> {
      const running = inFlight.get(key) as Promise<T> | undefined
      if (running) return { result: running, joined: true }
      const result = work().finally(() => inFlight.delete(key))
      inFlight.set(key, result)
      return { result, joined: false }
    },
    async idle() {
      while (inFlight.size > 0) await Promise.allSettled(inFlight.values())
    },
  }
}
