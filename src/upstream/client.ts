/** The pull operations of the OCI distribution specification against one upstream. */
import type { Metrics } from '../metrics.ts'
import { isDigest } from '../oci/digest.ts'
import { MANIFEST_ACCEPT, MANIFEST_MAX_BYTES, OCI_INDEX } from '../oci/manifest.ts'
import { referenceText } from '../oci/reference.ts'
import { createAuthenticator, type AuthenticatedRequest } from './auth.ts'
import { contentEncoding, destroyBody, discardBody, readDocument, streamBody } from './body.ts'
import { resolveBySystem, type Resolve } from './connect.ts'
import { createFailover } from './failover.ts'
import { nextQuery } from './link.ts'
import { createOfflineUpstream } from './offline.ts'
import { contentLength, header, type HopResponse } from './response.ts'
import { apiUrl, createRoutes, type Credential, type Route } from './route.ts'
import { statusFailure } from './status-failure.ts'
import { createTokens } from './tokens.ts'
import { createTransport, type TransportOptions } from './transport.ts'
import {
  UpstreamError,
  type Upstream,
  type UpstreamBlob,
  type UpstreamHead,
  type UpstreamPage,
} from './upstream.ts'

export interface UpstreamOptions extends TransportOptions {
  /** Base URLs in order of preference, without `/v2`. */
  readonly endpoints: readonly string[]
  readonly credentials: readonly Credential[]
  /** `host` or `host:port` of token servers besides the endpoints themselves. */
  readonly realms: readonly string[]
}

export interface UpstreamDependencies {
  readonly metrics: Pick<
    Metrics,
    'upstreamRequested' | 'upstreamReceived' | 'upstreamFailed' | 'tokenRequested' | 'rateLimitSeen'
  >
  /** True: every method fails without touching the network. */
  readonly offline?: boolean
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
  readonly resolve?: Resolve
}

interface Request {
  readonly method: 'GET' | 'HEAD'
  readonly repository: string
  /** Below the repository, made of parsed values only. */
  readonly path: string
  readonly query?: string
  readonly accept: string
  readonly range?: string
  readonly signal: AbortSignal
}

/** Tag lists and referrers, in bytes. */
const PAGE_MAX_BYTES = 4 * 1024 * 1024
/** HEAD is not known to every registry. */
const HEAD_UNSUPPORTED = new Set([405, 501])
/** public.ecr.aws answers HEAD of a blob with 401, object stores that were given a URL signed for GET with 403. */
const BLOB_HEAD_UNSUPPORTED = new Set([...HEAD_UNSUPPORTED, 401, 403])
/** quay.io answers 400 for referrers of what it does not have, others do not know the endpoint. */
const REFERRERS_UNSUPPORTED = new Set([400, 405, 501])

/** @throws {TypeError} when the options hold an endpoint or a network that is malformed */
export function createUpstream(
  options: UpstreamOptions,
  {
    metrics,
    offline = false,
    now = () => performance.now(),
    resolve = resolveBySystem,
  }: UpstreamDependencies,
): Upstream {
  const { name, timeouts } = options
  if (offline) return createOfflineUpstream(name)
  const transport = createTransport(options, { metrics, resolve, now })
  const tokens = createTokens(options, { transport, metrics, now })
  const authenticator = createAuthenticator(options, { transport, tokens })
  const failover = createFailover(createRoutes(options.endpoints, options.credentials), now)
  const documentDeadline = timeouts.firstByte + timeouts.idle

  return {
    name,

    headManifest: (repository, reference, signal) =>
      operate(signal, async (route) => {
        const request = manifestRequest('HEAD', repository, referenceText(reference), signal)
        const response = await sendHead(route, request, HEAD_UNSUPPORTED)
        return headOf(await expectOk(response, request))
      }),

    getManifest: (repository, reference, signal) =>
      operate(signal, async (route) => {
        const request = manifestRequest('GET', repository, referenceText(reference), signal)
        const response = await expectOk(await send(route, request), request)
        const bytes = await readWhole(response, MANIFEST_MAX_BYTES)
        return { ...headOf(response), size: bytes.byteLength, bytes }
      }),

    headBlob: (repository, digest, signal) =>
      operate(signal, async (route) => {
        const request = blobRequest('HEAD', repository, digest, signal)
        const response = await sendHead(route, request, BLOB_HEAD_UNSUPPORTED)
        return headOf(await expectOk(response, request))
      }),

    getBlob: (repository, digest, offset, signal) =>
      operate(signal, async (route) => {
        const request = blobRequest('GET', repository, digest, signal)
        const range = offset > 0 ? { range: `bytes=${offset}-` } : {}
        const response = await send(route, { ...request, ...range })
        const { size, start } = await expectPart(response, request, offset)
        return { offset: start, size, body: openBody(response, route, signal) }
      }),

    getTags: (repository, query, signal) =>
      operate(signal, async (route) => {
        const request = pageRequest(repository, 'tags/list', query, 'application/json', signal)
        return readPage(await expectOk(await send(route, request), request))
      }),

    getReferrers: (repository, digest, query, signal) =>
      operate(signal, async (route) => {
        const request = pageRequest(repository, `referrers/${digest}`, query, OCI_INDEX, signal)
        const response = await send(route, request)
        if (REFERRERS_UNSUPPORTED.has(response.status)) {
          await discardBody(response)
          throw new UpstreamError(
            'not-found',
            `${subjectOf(request)}: upstream lists no referrers.`,
          )
        }
        return readPage(await expectOk(response, request))
      }),

    close: () => transport.close(),
  }

  /** Runs an operation on one endpoint after the other, and counts its failure once. */
  async function operate<T>(
    signal: AbortSignal,
    attempt: (route: Route) => Promise<T>,
  ): Promise<T> {
    try {
      return await failover.run(attempt, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof UpstreamError) metrics.upstreamFailed(name, error.reason)
      throw error
    }
  }

  async function send(route: Route, request: Request): Promise<HopResponse> {
    const { repository, path, query, accept, range } = request
    const sent: AuthenticatedRequest = {
      route,
      method: request.method,
      url: apiUrl(route, `${repository}/${path}`, query),
      headers: { accept, ...(range !== undefined && { range }) },
      repository,
      signal: request.signal,
    }
    const response = await authenticator.send(sent)
    const remaining = /^\d{1,9}/.exec(header(response, 'ratelimit-remaining')?.trim() ?? '')?.[0]
    if (remaining !== undefined) metrics.rateLimitSeen(name, Number(remaining))
    return response
  }

  /** HEAD, or where that is not supported a GET whose body is dropped. */
  async function sendHead(
    route: Route,
    request: Request,
    unsupported: ReadonlySet<number>,
  ): Promise<HopResponse> {
    const head = await send(route, request)
    await discardBody(head)
    if (!unsupported.has(head.status)) return head
    const response = await send(route, { ...request, method: 'GET' })
    if (response.status === 200) destroyBody(response)
    return response
  }

  async function expectOk(response: HopResponse, request: Request): Promise<HopResponse> {
    if (response.status === 200) return response
    await discardBody(response)
    throw statusFailure(response, subjectOf(request))
  }

  /** Where the body begins and how large the whole is. 206 must be what was asked for. */
  async function expectPart(
    response: HopResponse,
    request: Request,
    offset: number,
  ): Promise<{ start: number; size: number | undefined }> {
    if (response.status !== 206 || offset === 0) {
      await expectOk(response, request)
      return { start: 0, size: contentLength(response) }
    }
    const [, start, total] =
      /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(header(response, 'content-range') ?? '') ??
      []
    if (start !== undefined && Number(start) === offset) {
      return { start: offset, size: total === '*' ? undefined : Number(total) }
    }
    destroyBody(response)
    throw new UpstreamError(
      'corrupt',
      `${subjectOf(request)}: upstream sent another part than the one from byte ${offset}.`,
    )
  }

  function openBody(
    response: HopResponse,
    route: Route,
    signal: AbortSignal,
  ): UpstreamBlob['body'] {
    return streamBody(
      response,
      {
        received: (bytes) => metrics.upstreamReceived(name, bytes),
        failed(error) {
          metrics.upstreamFailed(name, error.reason)
          failover.broke(route, error)
        },
      },
      signal,
    )
  }

  async function readPage(response: HopResponse): Promise<UpstreamPage> {
    return {
      bytes: await readWhole(response, PAGE_MAX_BYTES),
      contentType: header(response, 'content-type'),
      nextQuery: nextQuery(response.headers['link']),
      filtersApplied: header(response, 'oci-filters-applied'),
    }
  }

  function readWhole(response: HopResponse, maxBytes: number): Promise<Buffer> {
    const received = (bytes: number): void => metrics.upstreamReceived(name, bytes)
    return readDocument(response, { maxBytes, deadline: documentDeadline, received })
  }

  function subjectOf({ repository, path }: Request): string {
    return `${name}/${repository}/${path}`
  }
}

function manifestRequest(
  method: Request['method'],
  repository: string,
  reference: string,
  signal: AbortSignal,
): Request {
  return { method, repository, path: `manifests/${reference}`, accept: MANIFEST_ACCEPT, signal }
}

function blobRequest(
  method: Request['method'],
  repository: string,
  digest: string,
  signal: AbortSignal,
): Request {
  return { method, repository, path: `blobs/${digest}`, accept: '*/*', signal }
}

function pageRequest(
  repository: string,
  path: string,
  query: string,
  accept: string,
  signal: AbortSignal,
): Request {
  return { method: 'GET', repository, path, query, accept, signal }
}

/** A length is that of the content only where the content is not encoded. */
function headOf(response: HopResponse): UpstreamHead {
  const digest = header(response, 'docker-content-digest')?.trim()
  return {
    digest: isDigest(digest) ? digest : undefined,
    size: contentEncoding(response) === undefined ? contentLength(response) : undefined,
    contentType: header(response, 'content-type'),
  }
}
