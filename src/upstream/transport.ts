/** Single HTTP requests to one upstream. Follows no redirect and knows no tokens. */
import { Agent, request as sendRequest } from 'undici'
import { loggableUrl } from '../log.ts'
import { LRUCache } from '../lru.ts'
import type { Metrics } from '../metrics.ts'
import { abortWith } from '../abort.ts'
import { createConnector, type ConnectOptions, type Resolve } from './connect.ts'
import { recordHop, type HopObservers } from './hop-record.ts'
import { isConnectFailure, networkFailure } from './network-failure.ts'
import type { HopResponse } from './response.ts'
import { UpstreamError } from './upstream.ts'
import { USER_AGENT } from './user-agent.ts'

export interface TransportOptions extends Omit<ConnectOptions, 'timeout'> {
  /** Plain HTTP is meant. */
  readonly insecure: boolean
  /** Milliseconds. */
  readonly timeouts: {
    readonly connect: number
    readonly firstByte: number
    readonly idle: number
    /** After which another endpoint is asked the same, too. */
    readonly hedge?: number | undefined
  }
}

/** The only headers that are ever sent besides Host, User-Agent and Accept-Encoding; nothing of a client's. */
export interface RequestHeaders {
  readonly accept?: string
  readonly range?: string
  readonly authorization?: string
  readonly 'content-type'?: string
}

export interface HopRequest {
  /** POST is for tokens only. */
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: URL
  readonly headers: RequestHeaders
  readonly body?: string | undefined
  readonly signal: AbortSignal
}

export interface Transport {
  /** Throws UpstreamError, or the signal's reason when it was aborted. The signal covers the body too. */
  request(hop: HopRequest): Promise<HopResponse>
  /** Waits a little for running transfers, then cuts them. May be called again. */
  close(): Promise<void>
}

interface TransportDependencies extends HopObservers {
  readonly metrics: Pick<Metrics, 'upstreamRequested'>
  readonly resolve: Resolve
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

const MAX_HEADER_BYTES = 16 * 1024
/** Milliseconds that a connection may rest, whatever upstream offers: it keeps a buffer. */
const MAX_IDLE = 30_000
/** Milliseconds that running transfers have to end. */
const CLOSE_GRACE = 2000
/**
 * Milliseconds after a failed connection in which no other is tried to the same origin, so that a
 * server that is down costs its clients an error at once rather than a timeout each.
 */
const REFUSAL = 1000
const MAX_UNREACHABLE = 1000

export function createTransport(
  options: TransportOptions,
  { metrics, resolve, now, ...observers }: TransportDependencies,
): Transport {
  const { name, insecure, timeouts } = options
  const agent = new Agent({
    connect: createConnector({ ...options, timeout: timeouts.connect }, resolve),
    headersTimeout: timeouts.firstByte,
    bodyTimeout: timeouts.idle,
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveMaxTimeout: MAX_IDLE,
  })
  /** Requests whose body has not ended. */
  const running = new Set<AbortController>()
  /** Origins to which no connection could be made, and until when none is tried. */
  const unreachable = new LRUCache<string, number>({ max: MAX_UNREACHABLE })
  let closed: Promise<void> | undefined

  return {
    async request({ method, url, headers, body: sent = null, signal }) {
      signal.throwIfAborted()
      refuseUnsafeUrl(url, insecure)
      if (now() < (unreachable.get(url.origin) ?? 0)) throw justFailed(url)
      metrics.upstreamRequested(name)
      const record = recordHop(name, { method, url, headers }, observers)
      const controller = new AbortController()
      running.add(controller)
      const unlink = abortWith(controller, signal)
      const release = (): void => {
        running.delete(controller)
        unlink()
      }
      // undici's own limit starts again with every interim (1xx) response, this one does not.
      const limit = timeouts.connect + timeouts.firstByte
      const deadline = setTimeout(() => controller.abort(noAnswer(url, limit)), limit)
      try {
        const {
          statusCode,
          headers: received,
          body,
        } = await sendRequest(url, {
          dispatcher: agent,
          method,
          body: sent,
          headers: { ...headers, 'user-agent': USER_AGENT, 'accept-encoding': 'identity' },
          signal: controller.signal,
        })
        unreachable.delete(url.origin)
        record?.answered(statusCode)
        // A body may fail while nobody listens to it; an unheard error event ends the process.
        body.on('error', () => undefined)
        body.once('close', release)
        if (record !== undefined) body.once('close', () => record.ended())
        return { status: statusCode, url, headers: received, body }
      } catch (error) {
        release()
        const failure = networkFailure(error, url)
        record?.failed(signal.aborted ? signal.reason : failure)
        signal.throwIfAborted()
        if (isConnectFailure(failure)) unreachable.set(url.origin, now() + REFUSAL)
        throw failure
      } finally {
        clearTimeout(deadline)
      }
    },

    close() {
      closed ??= shutDown()
      return closed
    },
  }

  async function shutDown(): Promise<void> {
    const timer = setTimeout(() => {
      for (const controller of running) controller.abort(closing(name))
    }, CLOSE_GRACE)
    await agent.close()
    clearTimeout(timer)
  }
}

/** What holds for the configured endpoint and for wherever a redirect or a realm leads. */
function refuseUnsafeUrl(url: URL, insecure: boolean): void {
  if (url.username !== '' || url.password !== '') {
    throw new UpstreamError('corrupt', `${loggableUrl(url)}: a URL with credentials is not used.`)
  }
  if (url.protocol === 'https:' || (url.protocol === 'http:' && insecure)) return
  throw new UpstreamError(
    'unavailable',
    `${loggableUrl(url)} is not HTTPS, so nothing was sent to it. If plain HTTP is meant, set "insecure: true" for this upstream.`,
  )
}

function justFailed({ origin }: URL): UpstreamError {
  return new UpstreamError('unavailable', `No connection to ${origin} could be made a moment ago.`)
}

function noAnswer(url: URL, milliseconds: number): UpstreamError {
  return new UpstreamError(
    'unavailable',
    `${loggableUrl(url)} sent no answer in ${milliseconds} ms.`,
  )
}

function closing(name: string): UpstreamError {
  return new UpstreamError('unavailable', `The connections to ${name} are being closed.`)
}
