/** What this server answers: the table of contents. */
import { Hono } from 'hono'
import { OciError } from '../oci/error.ts'
import { pathOf } from '../routing/request-path.ts'
import { createAccessLog } from './access-log.ts'
import type { HttpDependencies, HttpEnvironment } from './context.ts'
import { healthz, createMetricsPage, createReadyz, welcome } from './health.ts'
import { refuseBadFraming } from './message-framing.ts'
import { createOnError } from './on-error.ts'
import { createRegistry } from './registry.ts'

export function createRoutes(dependencies: HttpDependencies): Hono<HttpEnvironment> {
  const routes = new Hono<HttpEnvironment>({
    // The raw target: a decoded or normalised path would let names say one thing to the router and
    // another to the rules.
    getPath: (_request, options) => pathOf(options?.env?.incoming.url ?? '/'),
  })
  const registry = createRegistry(dependencies)

  routes.use(createAccessLog(dependencies))
  routes.use(refuseBadFraming)

  routes.get('/', welcome)
  routes.get('/healthz', healthz)
  routes.get('/readyz', createReadyz(dependencies))
  routes.get('/metrics', createMetricsPage(dependencies))
  routes.all('/v2', registry)
  routes.all('/v2/*', registry)
  routes.all('/:upstream/v2', registry)
  routes.all('/:upstream/v2/*', registry)

  routes.notFound(() => {
    throw new OciError('NAME_UNKNOWN', 'There is nothing at this path. The registry is at /v2/.')
  })
  routes.onError(createOnError(dependencies.log))
  return routes
}
