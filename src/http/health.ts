/** For those who watch: probes, metrics, the status, and a word for whoever opens the address in a browser. */
import { respond } from './answer.ts'
import type { HttpContext, HttpDependencies } from './context.ts'

const TEXT = { 'Content-Type': 'text/plain; charset=utf-8' }

/** The process is alive. Says nothing of upstreams: restarting would not bring them back. */
export function healthz(): Response {
  return new Response('ok\n', { headers: TEXT })
}

/** Requests can be served. Upstreams do not count: what is cached can be pulled without them. */
export function createReadyz({ mirror, log }: Pick<HttpDependencies, 'mirror' | 'log'>) {
  return async function readyz(): Promise<Response> {
    try {
      await mirror.ready()
      return new Response('ready\n', { headers: TEXT })
    } catch (error) {
      log.error({ err: error }, 'not ready')
      return new Response('the catalog cannot be read\n', { status: 503, headers: TEXT })
    }
  }
}

export function createMetricsPage({ metrics }: Pick<HttpDependencies, 'metrics'>) {
  return async function metricsPage(): Promise<Response> {
    const { text, contentType } = await metrics.render()
    return new Response(text, { headers: { 'Content-Type': contentType } })
  }
}

/** For humans and `entrepot status`: what the metrics have no room for. */
export function createStatusPage({ mirror }: Pick<HttpDependencies, 'mirror'>) {
  return async function statusPage(c: HttpContext): Promise<Response> {
    return respond(c, `${JSON.stringify(await mirror.status(), undefined, 2)}\n`, {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
    })
  }
}

export function welcome(c: HttpContext): Response {
  const names = 'This is Entrepot, a mirror for container images. The registry is at /v2/.\n'
  return c.text(names)
}
