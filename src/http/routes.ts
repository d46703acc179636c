/** What this server answers: the table of contents. */
import { Hono } from 'hono'
import { pathOf } from '../routing/request-path.ts'
import { createAccessLog } from './access-log.ts'
import type { HttpDependencies, HttpEnvironment } from './context.ts'
import { createMetricsPage, createReadyz, createStatusPage, healthz, welcome } from './health.ts'
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
  routes.get('/status', createStatusPage(dependencies))
  // /v2/… and /<upstream>/v2/…, told apart by the registry itself; whatever is neither is not found.
  routes.all('*', registry)

  routes.onError(createOnError(dependencies))
  return routes
}
