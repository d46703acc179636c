/** Waiting in tests: for a condition, never for a time. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface UntilOptions {
  readonly deadlineMs?: number
  /** What is waited for; the error says it. */
  readonly what?: string
}

const POLL_MS = 2

/**
 * @returns what the condition gave when it was true for the first time
 * @throws when the deadline has passed; an error of the condition itself is thrown at once
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { deadlineMs = 5000, what = String(condition) }: UntilOptions = {},
): Promise<Exclude<T, false | undefined | null | 0 | ''>> {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    const result = await condition()
    if (result) return result as Exclude<T, false | undefined | null | 0 | ''>
    if (performance.now() > deadline) {
      throw new Error(`Waited ${deadlineMs} ms in vain until: ${what}`)
    }
    await sleep(POLL_MS)
  }
}

/**
 * The promise, unless the deadline comes first.
 * @throws when it does
 */
export async function within<T>(
  promise: Promise<T>,
  { deadlineMs = 5000, what = 'a promise' }: UntilOptions = {},
): Promise<T> {
  const controller = new AbortController()
  const late = sleep(deadlineMs, undefined, { signal: controller.signal }).then(() => {
    throw new Error(`Waited ${deadlineMs} ms in vain for: ${what}`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    controller.abort()
    late.catch(() => undefined)
  }
}
