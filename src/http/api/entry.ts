/** What every request to the API passes, before anybody asks who sent it. */
import type { MiddlewareHandler } from 'hono'
import { ControlError } from '../../control/error.ts'
import { forwardingOf } from '../caller.ts'
import type { HttpContext, HttpDependencies, HttpEnvironment } from '../context.ts'
import { problemResponse } from '../problem.ts'

type Dependencies = Pick<HttpDependencies, 'isTrustedProxy' | 'publicUrl'>

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD'])

export function createEntry(dependencies: Dependencies): MiddlewareHandler<HttpEnvironment> {
  return async (c, next) => {
    c.get('trace').kind = 'api'
    c.env.outgoing.setHeader('Cache-Control', 'no-store')
    // Paths are compared as they were sent, and no id needs an escape: what has one is none of ours.
    if (c.req.path.includes('%')) return nothingHere()
    refuseForeignOrigin(c, dependencies)
    return next()
  }
}

export function nothingHere(): Response {
  return problemResponse({
    status: 404,
    detail: 'There is nothing at this path. /api/v1/openapi.json says what there is.',
  })
}

/**
 * A page of another site may make a browser send what it remembers of us. Browsers name the site in each
 * request that may change something; other programs do not.
 */
function refuseForeignOrigin(c: HttpContext, dependencies: Dependencies): void {
  const { origin } = c.env.incoming.headers
  if (origin === undefined || READING.has(c.req.method)) return
  const asking = hostOf(origin)
  const { scheme, host } = forwardingOf(c, dependencies)
  const own = [hostOf(`${scheme}://${host ?? ''}`), hostOf(dependencies.publicUrl() ?? '')]
  if (asking === undefined || !own.includes(asking)) {
    throw new ControlError('forbidden', 'Pages of other sites may not change anything here.')
  }
}

/** In one spelling, without the port that the scheme says already; `undefined` for what is no URL. */
function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host || undefined : undefined
}
