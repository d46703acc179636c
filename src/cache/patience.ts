/** How long a client waits for what it could do without. */

/**
 * Milliseconds for which an upstream that does not answer may hold up a client when something older can
 * be served. An upstream that is well answers in a tenth of that, even behind a token server.
 */
const PATIENCE = 3_000

/** The result, or `undefined` when that takes too long; the work itself goes on. */
export async function withinPatience<T>(work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), PATIENCE)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
