/** What this server answers: the table of contents. */
import { Hono, type Handler } from 'hono'
import { pathOf } from '../routing/request-path.ts'
import { createAccessLog } from './access-log.ts'
import { createApi } from './api/routes.ts'
import { createClientList, createClientPage, createInstallScript } from './clients.ts'
import type { HttpDependencies, HttpEnvironment } from './context.ts'
import { createMetricsPage, createReadyz, createStatusPage, healthz, welcome } from './health.ts'
import { refuseBadFraming } from './message-framing.ts'
import { API_PATH, createOnError } from './on-error.ts'
import { createRegistry, nothingAt } from './registry.ts'
import { declareAction, requireAction } from './require-action.ts'
import { serverTiming } from './server-timing.ts'
import { createTokenEndpoint, TOKEN_PATH } from './token.ts'

/** What is on one listener; probes are on each. */
export interface Parts {
  /** What clients pull from, and where they get tokens. */
  readonly registry: boolean
  /** What operators use: the API, metrics and status. */
  readonly api: boolean
}

/** Every route declares what is done by it, see `requireAction`. */
export function createRoutes(dependencies: HttpDependencies, parts: Parts): Hono<HttpEnvironment> {
  const routes = new Hono<HttpEnvironment>({
    // The raw target: a decoded or normalised path would let names say one thing to the router and
    // another to the rules.
    getPath: (_request, options) => pathOf(options?.env?.incoming.url ?? '/'),
  })

  routes.use(createAccessLog(dependencies.observe, dependencies))
  routes.use(serverTiming)
  routes.use(refuseBadFraming)

  routes.get('/', open(welcome))
  routes.get('/healthz', open(healthz))
  routes.get('/readyz', open(createReadyz(dependencies)))
  if (parts.api) addApi(routes, dependencies)
  if (parts.registry) addRegistry(routes, dependencies)
  else routes.all('*', open(nothingElse))

  routes.onError(createOnError(dependencies))
  return routes
}

function addApi(routes: Hono<HttpEnvironment>, dependencies: HttpDependencies): void {
  const observe = requireAction('observe', dependencies)
  routes.get('/metrics', observe, createMetricsPage(dependencies))
  routes.get('/status', observe, createStatusPage(dependencies))
  routes.route(API_PATH, createApi(dependencies))
}

function addRegistry(routes: Hono<HttpEnvironment>, dependencies: HttpDependencies): void {
  routes.all(TOKEN_PATH, open(createTokenEndpoint(dependencies)))
  routes.get('/client', open(createClientList(dependencies)))
  routes.get('/client/install.sh', open(createInstallScript(dependencies)))
  routes.get('/client/:name', open(createClientPage(dependencies)))
  // /v2/… and /<upstream>/v2/…, told apart by the registry itself; whatever is neither is not found.
  routes.all('*', createRegistry(dependencies))
}

async function nothingElse(): Promise<never> {
  throw nothingAt('The registry is on another address.')
}

/** For everybody, whatever they show of themselves; probes must not depend on who may what. */
function open(handler: Handler<HttpEnvironment>): Handler<HttpEnvironment> {
  return declareAction('public', handler)
}
