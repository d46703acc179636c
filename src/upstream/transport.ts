/** Single HTTP requests to one upstream. Follows no redirect and knows no tokens. */
import { Agent, request as sendRequest } from 'undici'
import { loggableUrl } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { createConnector, type ConnectOptions, type Resolve } from './connect.ts'
import { networkFailure } from './network-failure.ts'
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
  }
}

/** The only headers that are ever sent besides Host, User-Agent and Accept-Encoding; nothing of a client's. */
export interface RequestHeaders {
  readonly accept?: string
  readonly range?: string
  readonly authorization?: string
}

export interface HopRequest {
  readonly method: 'GET' | 'HEAD'
  readonly url: URL
  readonly headers: RequestHeaders
  readonly signal: AbortSignal
}

export interface Transport {
  /** Throws UpstreamError, or the signal's reason when it was aborted. The signal covers the body too. */
  request(hop: HopRequest): Promise<HopResponse>
  /** Waits a little for running transfers, then cuts them. */
  close(): Promise<void>
}

const MAX_HEADER_BYTES = 16 * 1024
/** Milliseconds that running transfers have to end. */
const CLOSE_GRACE = 2000

export function createTransport(
  options: TransportOptions,
  metrics: Pick<Metrics, 'upstreamRequested'>,
  resolve: Resolve,
): Transport {
  const { name, insecure, timeouts } = options
  const agent = new Agent({
    connect: createConnector({ ...options, timeout: timeouts.connect }, resolve),
    headersTimeout: timeouts.firstByte,
    bodyTimeout: timeouts.idle,
    maxHeaderSize: MAX_HEADER_BYTES,
  })
  /** Requests whose body has not ended. */
  const running = new Set<AbortController>()

  return {
    async request({ method, url, headers, signal }) {
      signal.throwIfAborted()
      refuseUnsafeUrl(url, insecure)
      metrics.upstreamRequested(name)
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
          headers: { ...headers, 'user-agent': USER_AGENT, 'accept-encoding': 'identity' },
          signal: controller.signal,
        })
        // A body may fail while nobody listens to it; an unheard error event ends the process.
        body.on('error', () => undefined)
        body.once('close', release)
        return { status: statusCode, url, headers: received, body }
      } catch (error) {
        release()
        signal.throwIfAborted()
        throw networkFailure(error, url)
      } finally {
        clearTimeout(deadline)
      }
    },

    async close() {
      const timer = setTimeout(() => {
        for (const controller of running) controller.abort(closing(name))
      }, CLOSE_GRACE)
      await agent.close().finally(() => clearTimeout(timer))
    },
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

/** Aborts the controller when the signal is. AbortSignal.any would keep every request alive as long as the signal. */
function abortWith(controller: AbortController, signal: AbortSignal): () => void {
  const onAbort = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  return () => signal.removeEventListener('abort', onAbort)
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
