/** For those who watch: probes, metrics, the status, and a word for whoever opens the address in a browser. */
import { authorize } from '../access/authorize.ts'
import type { Principal } from '../access/principal.ts'
import type { DownloadStatus, MirrorStatus } from '../cache/status.ts'
import { trafficOf } from '../traffic.ts'
import { respond } from './answer.ts'
import { callerOf } from './caller.ts'
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
export function createStatusPage(dependencies: StatusDependencies) {
  const { mirror, metrics } = dependencies
  return async function statusPage(c: HttpContext): Promise<Response> {
    const status = await visible(await mirror.status(), c, dependencies)
    const traffic = trafficOf(await metrics.snapshot())
    return respond(c, `${JSON.stringify({ ...status, traffic }, undefined, 2)}\n`, {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
    })
  }
}

type StatusDependencies = Pick<
  HttpDependencies,
  'mirror' | 'metrics' | 'control' | 'isTrustedProxy'
>

/** What is being pulled is named to those who may pull it. */
async function visible(
  status: MirrorStatus,
  c: HttpContext,
  dependencies: StatusDependencies,
): Promise<MirrorStatus> {
  const { fills } = status
  const { control } = dependencies
  const { anonymous } = control.policy()
  if (fills.downloads.every((it) => mayPull(anonymous, it))) return status
  await control.refresh()
  const { principal } = (await callerOf(c, dependencies)).caller
  const downloads = fills.downloads.map((download) => {
    if (mayPull(anonymous, download) || mayPull(principal, download)) return download
    const { repository: _repository, digest: _digest, ...unnamed } = download
    return unnamed
  })
  return { ...status, fills: { ...fills, downloads } }
}

function mayPull(principal: Principal, { upstream, repository }: DownloadStatus): boolean {
  const name = `${upstream}/${repository ?? ''}`
  return authorize(principal, 'pull', { kind: 'repository', name })
}

export function welcome(c: HttpContext): Response {
  const names = 'This is Entrepot, a mirror for container images. The registry is at /v2/.\n'
  return c.text(names)
}
