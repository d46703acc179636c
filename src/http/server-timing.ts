/**
 * `Server-Timing` for who asks for it by `Prefer: server-timing` (RFC 7240): where the time went until the
 * headers went out. It says nothing but times, and what `Cache-Status` says to everybody.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Next } from 'hono'
import type { Outcome } from '../metrics.ts'
import type { HttpContext } from './context.ts'
import type { ServerTiming } from './request-trace.ts'

/** How it was served without asking upstream, nor waiting for others who ask. */
const SERVED_FROM_HERE: ReadonlySet<Outcome> = new Set(['hit', 'stale'])

export async function serverTiming(c: HttpContext, next: Next): Promise<void> {
  const { incoming, outgoing } = c.env
  if (!asksForTiming(incoming.headers)) return next()
  const timing = createServerTiming(() => performance.now())
  c.set('timing', timing)
  await next()
  if (!outgoing.headersSent) timing.tell(outgoing)
}

/** @param now milliseconds of a monotonic clock */
export function createServerTiming(now: () => number): ServerTiming {
  const began = now()
  let last = began
  const parts: string[] = []

  /** Milliseconds since the part before has ended. */
  function lap(): string {
    const since = last
    last = now()
    return duration(last - since)
  }

  return {
    admitted: () => void parts.push(`policy;${lap()}`),
    found(outcome) {
      // What is waited for there is upstream, and what is done for it here in between counts for nothing.
      const isFromHere = SERVED_FROM_HERE.has(outcome)
      const waited = lap()
      parts.push(
        isFromHere
          ? `cache;desc=${outcome};${waited}`
          : `cache;desc=${outcome}, upstream;${waited}`,
      )
    },
    tell(outgoing) {
      parts.push(`total;${duration(now() - began)}`)
      outgoing.setHeader('Server-Timing', parts.join(', '))
      outgoing.setHeader('Preference-Applied', 'server-timing')
      // A cache in front must not give it to others.
      outgoing.appendHeader('Vary', 'Prefer')
    },
  }
}

function duration(milliseconds: number): string {
  return `dur=${milliseconds.toFixed(2)}`
}

/** https://www.rfc-editor.org/rfc/rfc7240#section-2: names are in any case, and an empty value is none. */
export function asksForTiming({ prefer }: IncomingHttpHeaders): boolean {
  if (prefer === undefined) return false
  const text = [prefer].flat().join(',')
  // What is quoted may hold what looks like the end of a preference. A quote that nothing ends goes to the
  // end of the text, as looking for another end from each quote on would take the square of its length.
  const preferences = text
    .replace(/"(?:[^"\\]|\\.)*"?/g, (found) => (found === '""' ? found : 'quoted'))
    .split(',')
  return preferences.some((one) => /^\s*server-timing\s*(?:=\s*(?:"")?\s*)?(?:;|$)/i.test(one))
}
