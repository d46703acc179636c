/** The pull operations of the OCI distribution specification against one upstream. */
import type { Metrics } from '../metrics.ts'
import { isDigest } from '../oci/digest.ts'
import { MANIFEST_MAX_BYTES, OCI_INDEX } from '../oci/manifest.ts'
import { referenceText } from '../oci/reference.ts'
import { createAuthenticator } from './auth.ts'
import { contentEncoding, destroyBody, discardBody, readDocument, streamBody } from './body.ts'
import { createBudget } from './budget.ts'
import { rangeOf, readPart, type BlobPart } from './byte-window.ts'
import { resolveBySystem, type Resolve } from './connect.ts'
import type { Credential } from './credential.ts'
import { createFailover, type Operation } from './failover.ts'
import type { HopObservers } from './hop-record.ts'
import { createIdentities } from './identities.ts'
import { nextQuery } from './link.ts'
import { createOfflineUpstream } from './offline.ts'
import { contentLength, header, type HopResponse } from './response.ts'
import {
  blobRequest,
  createRequests,
  manifestRequest,
  pageRequest,
  type OperationRequest,
} from './requests.ts'
import { createRoutes, type Route } from './route.ts'
import { createTokens } from './tokens.ts'
import { createTransport, type TransportOptions } from './transport.ts'
import {
  UpstreamError,
  type ByteWindow,
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

export interface UpstreamDependencies extends HopObservers {
  readonly metrics: Pick<
    Metrics,
    | 'upstreamRequested'
    | 'upstreamReceived'
    | 'upstreamFailed'
    | 'tokenRequested'
    | 'rateLimitSeen'
    | 'hedged'
  >
  /** True: every method fails without touching the network. */
  readonly offline?: boolean
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
  readonly resolve?: Resolve
}

/** Milliseconds without an answer after which another endpoint is asked too. */
const DEFAULT_HEDGE = 1500
/** Tag lists and referrers, in bytes. */
const PAGE_MAX_BYTES = 4 * 1024 * 1024
/** HEAD is not known to every registry. */
const HEAD_UNSUPPORTED = new Set([405, 501])
/** public.ecr.aws answers HEAD of a blob with 401, object stores that were given a URL signed for GET with 403. */
const BLOB_HEAD_UNSUPPORTED = new Set([...HEAD_UNSUPPORTED, 401, 403])
/** quay.io answers 400 for referrers of what it does not have, others do not know the endpoint. */
const REFERRERS_UNSUPPORTED = new Set([400, 405, 501])

/** @throws {TypeError} when the options hold an endpoint, a network or the name of a helper that is malformed */
export function createUpstream(
  options: UpstreamOptions,
  {
    metrics,
    offline = false,
    now = () => performance.now(),
    resolve = resolveBySystem,
    ...observers
  }: UpstreamDependencies,
): Upstream {
  const { name, timeouts } = options
  if (offline) return createOfflineUpstream(name, options.endpoints)
  const identities = createIdentities(now)
  const routes = createRoutes(options.endpoints, options.credentials, (credential, endpoint) =>
    identities.create(credential, endpoint),
  )
  const transport = createTransport(options, { metrics, resolve, now, ...observers })
  const tokens = createTokens(options, { transport, metrics, now })
  const authenticator = createAuthenticator(options, { transport, tokens })
  const budget = createBudget(routes, now)
  const requests = createRequests(name, { authenticator, budget, metrics })
  const failover = createFailover(routes, {
    hedgeAfter: timeouts.hedge ?? DEFAULT_HEDGE,
    pullsLeft: (route) => budget.left(route),
    hedged: (winner) => metrics.hedged(name, winner),
    now,
  })
  const documentDeadline = timeouts.firstByte + timeouts.idle

  return {
    name,

    headManifest: (repository, reference, callerSignal) =>
      operate(callerSignal, async (route, signal) => {
        const request = manifestRequest('HEAD', repository, referenceText(reference))
        const response = await requests.sendHead(route, request, HEAD_UNSUPPORTED, signal)
        return headOf(await requests.expectOk(response, route, request))
      }),

    getManifest: (repository, reference, callerSignal) =>
      operate(
        callerSignal,
        async (route, signal) => {
          const request = manifestRequest('GET', repository, referenceText(reference))
          const response = await getOk(route, request, signal)
          const bytes = await readWhole(response, MANIFEST_MAX_BYTES)
          return { ...headOf(response), size: bytes.byteLength, bytes }
        },
        { isCounted: true },
      ),

    headBlob: (repository, digest, callerSignal) =>
      operate(callerSignal, async (route, signal) => {
        const request = blobRequest('HEAD', repository, digest)
        const response = await requests.sendHead(route, request, BLOB_HEAD_UNSUPPORTED, signal)
        return headOf(await requests.expectOk(response, route, request))
      }),

    getBlob: (repository, digest, window, callerSignal) =>
      operate(
        callerSignal,
        async (route, signal) => {
          const request = blobRequest('GET', repository, digest, rangeOf(window))
          const response = await requests.send(route, request, signal)
          const { offset, size, maxBytes } = await expectPart(response, route, request, window)
          const body = openBody(response, route, maxBytes, signal)
          const ignoresRange = request.range !== undefined && response.status !== 206
          return { offset, size, ignoresRange, body, distrust: () => failover.distrust(route) }
        },
        {
          lane: window.lane,
          discard: dropBlob,
          onEnd: ({ body }, release) => void body.once('close', release),
        },
      ),

    getTags: (repository, query, callerSignal) =>
      operate(callerSignal, async (route, signal) => {
        const request = pageRequest(repository, 'tags/list', query, 'application/json')
        return readPage(await getOk(route, request, signal))
      }),

    getReferrers: (repository, digest, query, callerSignal) =>
      operate(callerSignal, async (route, signal) => {
        const request = pageRequest(repository, `referrers/${digest}`, query, OCI_INDEX)
        const response = await requests.send(route, request, signal)
        if (REFERRERS_UNSUPPORTED.has(response.status)) {
          await discardBody(response)
          const subject = requests.subjectOf(request)
          throw new UpstreamError('not-found', `${subject}: upstream lists no referrers.`)
        }
        return readPage(await requests.expectOk(response, route, request))
      }),

    state: () => ({
      offline: false,
      pullBudget: budget.total((route) => failover.isLimited(route)),
      endpoints: failover.endpoints(),
      accounts: budget.accounts(),
    }),

    close() {
      identities.close(new UpstreamError('unavailable', `${name} is no longer asked.`))
      return transport.close()
    },
  }

  /** Runs an operation on one endpoint after the other, and counts its failure once. */
  async function operate<T>(
    signal: AbortSignal,
    attempt: Operation<T>['attempt'],
    special: Partial<Omit<Operation<T>, 'attempt'>> = {},
  ): Promise<T> {
    try {
      return await failover.run({ ...DOCUMENT, ...special, attempt }, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof UpstreamError) metrics.upstreamFailed(name, error.reason)
      throw error
    }
  }

  async function getOk(
    route: Route,
    request: OperationRequest,
    signal: AbortSignal,
  ): Promise<HopResponse> {
    return requests.expectOk(await requests.send(route, request, signal), route, request)
  }

  /** The whole, or just what was asked for. */
  async function expectPart(
    response: HopResponse,
    route: Route,
    request: OperationRequest,
    window: ByteWindow,
  ): Promise<BlobPart> {
    if (response.status !== 206 || request.range === undefined) {
      await requests.expectOk(response, route, request)
      return { offset: 0, size: contentLength(response), maxBytes: undefined }
    }
    const part = readPart(response, window)
    if (part !== undefined) return part
    destroyBody(response)
    throw new UpstreamError(
      'corrupt',
      `${requests.subjectOf(request)}: upstream sent another part than ${request.range}.`,
    )
  }

  function openBody(
    response: HopResponse,
    route: Route,
    maxBytes: number | undefined,
    signal: AbortSignal,
  ): UpstreamBlob['body'] {
    return streamBody(
      response,
      {
        maxBytes,
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
}

/** Answers that are complete when they are there. */
const DOCUMENT = {
  isCounted: false,
  discard: () => undefined,
  onEnd: (_: unknown, release: () => void) => release(),
}

/** Of a blob that came too late nobody hears, not even that its transfer was cut. */
function dropBlob({ body }: UpstreamBlob): void {
  body.on('error', () => undefined)
  body.destroy()
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
