/** Tells another system of new requests for access: one signed POST for each batch of them. */
import { createHmac } from 'node:crypto'
import { request as requestHttp, type RequestOptions } from 'node:http'
import { request as requestHttps } from 'node:https'
import { setTimeout as wait } from 'node:timers/promises'
import type { AccessRequest } from '../catalog/control-catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { ControlSettings } from './control.ts'

export interface Webhook {
  /** Returns at once; what is behind too much else is dropped, and counted. */
  tell(requests: readonly AccessRequest[]): void
  /** Resolves when everything that was told is delivered or given up. */
  idle(): Promise<void>
  /** Gives up what is under way. */
  close(): Promise<void>
}

interface Dependencies {
  readonly settings: () => Pick<ControlSettings, 'webhook'>
  readonly metrics: Pick<Metrics, 'notified'>
  readonly log: Log
  readonly now: () => number
  /** Milliseconds before each further try. */
  readonly pauses?: readonly number[]
}

/** Milliseconds that one try may take. */
const DEADLINE = 10_000
const PAUSES = [1000, 10_000, 60_000]
/** Batches that wait: refusals are gathered, so these are minutes. */
const MAX_WAITING = 100

export function createWebhook({
  settings,
  metrics,
  log,
  now,
  pauses = PAUSES,
}: Dependencies): Webhook {
  const shutdown = new AbortController()
  let waiting = 0
  let delivering: Promise<void> = Promise.resolve()

  function tell(requests: readonly AccessRequest[]): void {
    if (settings().webhook === undefined || requests.length === 0) return
    if (waiting >= MAX_WAITING) return metrics.notified('dropped')
    waiting += 1
    const body = bodyOf(requests, now())
    delivering = delivering.then(() => deliver(body)).finally(() => (waiting -= 1))
  }

  async function deliver(body: string): Promise<void> {
    for (const pause of [0, ...pauses]) {
      const target = settings().webhook
      if (target === undefined || shutdown.signal.aborted) return
      try {
        if (pause > 0) await wait(pause, undefined, { signal: shutdown.signal, ref: false })
        await post(target, body, shutdown.signal)
        return metrics.notified('delivered')
      } catch (error) {
        if (shutdown.signal.aborted) return
        log.warn({ reason: reasonOf(error) }, 'the webhook did not take a message')
      }
    }
    metrics.notified('failed')
  }

  return {
    tell,
    idle: () => delivering,
    async close() {
      shutdown.abort(new Error('The mirror is shutting down.'))
      await delivering
    },
  }
}

function bodyOf(requests: readonly AccessRequest[], at: number): string {
  const told = requests.map(({ id, user, address, name, tag, reason, userAgent, firstAt }) => {
    const since = new Date(firstAt).toISOString()
    return { id, user, address, name, tag, reason, userAgent, firstAt: since }
  })
  return JSON.stringify({
    event: 'access-requested',
    sentAt: new Date(at).toISOString(),
    requests: told,
  })
}

/** Redirects are not followed: the operator said where. */
function post(
  { url, secret }: { url: string; secret: string },
  body: string,
  signal: AbortSignal,
): Promise<void> {
  const options: RequestOptions = {
    method: 'POST',
    agent: false,
    signal: AbortSignal.any([signal, AbortSignal.timeout(DEADLINE)]),
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      'User-Agent': 'entrepot',
      'X-Entrepot-Signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    },
  }
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? requestHttps : requestHttp
    const outgoing = request(url, options, (incoming) => {
      incoming.resume().once('error', () => undefined)
      const { statusCode = 0 } = incoming
      incoming.destroy()
      if (statusCode >= 200 && statusCode < 300) resolve()
      else reject(new Error(`it answered ${statusCode}`))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** Never the URL, which may hold a key. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return code ?? error.message
}
