/**
 * A registry on a real loopback socket, to stand in for upstreams. Well-behaved until it is told
 * otherwise: `fault` turns the knobs of `faults.ts`.
 */
import { http, type HttpHandler } from 'msw'
import { type Content, errorResponse } from './answer.ts'
import {
  createFaultBook,
  type FakeRequestKind,
  type FaultHandle,
  type FaultRule,
} from './faults.ts'
import { answerWithFaults } from './faulty.ts'
import { type ListingOptions, referrersOf, tagPage } from './listings.ts'
import { refusal, type RegistryAuth } from './registry-auth.ts'
import {
  createRegistryContents,
  type FakeRepository,
  type RegistryContents,
} from './registry-contents.ts'
import { type Served, type ServeOptions, serve } from './serve.ts'
import { type FakeTokenServer, startTokenServer } from './token-server.ts'

export interface RegistryOptions extends ServeOptions, ListingOptions {
  readonly auth?: RegistryAuth
  /** Whether there is a referrers API; `true` unless said otherwise. */
  readonly referrers?: boolean
  /** Pulls that are left, as Docker Hub counts them: every GET of a manifest, no HEAD. */
  readonly pullsLeft?: number
}

export interface FakeRegistry extends Served, Omit<RegistryContents, 'find'> {
  /** The one that its challenges name; `undefined` where it has none. */
  readonly tokenServer: FakeTokenServer | undefined
  /** From now on something is wrong. Faults see only requests that have passed authentication. */
  fault(rule: FaultRule): FaultHandle
  clearFaults(): void
  /** Body bytes sent for a blob, over all requests. */
  bodyBytes(digest: string): number
}

export async function startRegistry(options: RegistryOptions = {}): Promise<FakeRegistry> {
  const { auth = { kind: 'none' } } = options
  const { find, ...contents } = createRegistryContents()
  const faults = createFaultBook()
  const ownTokenServer = await startOwnTokenServer(options)
  const tokenServer = auth.kind === 'token' ? (auth.tokenServer ?? ownTokenServer) : undefined

  const answer = (
    request: Request,
    asked: Asked,
    healthy: (repository: FakeRepository | undefined) => Content | Response,
  ): Response | Promise<Response> => {
    const repository = asked.repository === undefined ? undefined : find(asked.repository)
    const visit = { request, repository: asked.repository, exists: repository !== undefined }
    return (
      refusal(visit, auth, tokenServer) ??
      answerWithFaults(request, faults, asked, () => healthy(repository))
    )
  }
  const served = await serve(handlers(answer, options), options)
  const close = async (): Promise<void> => {
    await served.close()
    await ownTokenServer?.close()
  }

  return {
    ...served,
    ...contents,
    tokenServer,
    fault: (rule) => faults.add(rule),
    clearFaults: () => faults.clear(),
    bodyBytes: (digest) =>
      served.requests
        .filter(({ path }) => path.endsWith(`/blobs/${digest}`))
        .reduce((sum, { bytesSent }) => sum + bytesSent, 0),
    close,
    [Symbol.asyncDispose]: close,
  }
}

interface Asked {
  readonly kind: FakeRequestKind
  readonly repository?: string | undefined
  readonly reference?: string | undefined
}

/** Judges and answers one request; `healthy` is told the repository, if there is such a one. */
type Answer = (
  request: Request,
  asked: Asked,
  healthy: (repository: FakeRepository | undefined) => Content | Response,
) => Response | Promise<Response>

type Resource = (
  repository: FakeRepository,
  reference: string,
  request: Request,
  name: string,
) => Content | Response

/** The table of contents of a registry. */
function handlers(answer: Answer, options: RegistryOptions): HttpHandler[] {
  const { referrers = true } = options
  const pulls = countPulls(options.pullsLeft)
  return [
    ...forGetAndHead(/^https?:\/\/[^/]+\/v2\/?$/, (request) =>
      answer(request, { kind: 'ping' }, () => PING),
    ),
    ...resource(
      'manifest',
      /\/v2\/(.+)\/manifests\/([^/]+)$/,
      answer,
      (repository, reference, request) => pulls(request, manifestContent(repository, reference)),
    ),
    ...resource('blob', /\/v2\/(.+)\/blobs\/([^/]+)$/, answer, blobContent),
    ...resource('tags', /\/v2\/(.+)\/tags\/(list)$/, answer, (repository, _list, request, name) =>
      tagPage(request, name, repository, options),
    ),
    ...resource(
      'referrers',
      /\/v2\/(.+)\/referrers\/([^/]+)$/,
      answer,
      (repository, digest, request) =>
        referrers ? referrersOf(request, digest, repository) : errorResponse(404, 'UNSUPPORTED'),
    ),
    http.all(/\/v2\//, ({ request: { method } }) =>
      method === 'GET' || method === 'HEAD' ? errorResponse(404) : errorResponse(405),
    ),
  ]
}

function resource(
  kind: FakeRequestKind,
  path: RegExp,
  answer: Answer,
  content: Resource,
): HttpHandler[] {
  return forGetAndHead(path, (request, name = '', reference = '') =>
    answer(request, { kind, repository: name, reference }, (repository) =>
      repository ? content(repository, reference, request, name) : errorResponse(404),
    ),
  )
}

function forGetAndHead(
  path: RegExp,
  respond: (request: Request, ...parts: string[]) => Response | Promise<Response>,
): HttpHandler[] {
  return [http.get, http.head].map((register) =>
    register(path, ({ request, params }) =>
      respond(request, ...Object.values(params).map((part) => String(part))),
    ),
  )
}

const PING: Content = { bytes: new TextEncoder().encode('{}'), contentType: 'application/json' }

function manifestContent(repository: FakeRepository, reference: string): Content | Response {
  const digest = reference.includes(':') ? reference : repository.tags.get(reference)
  const manifest = repository.manifests.get(digest ?? '')
  if (!manifest) return errorResponse(404, 'MANIFEST_UNKNOWN')
  return { bytes: manifest.bytes, contentType: manifest.mediaType, digest: manifest.digest }
}

function blobContent(repository: FakeRepository, digest: string): Content | Response {
  const bytes = repository.blobs.get(digest)
  if (!bytes) return errorResponse(404, 'BLOB_UNKNOWN')
  return { bytes, contentType: 'application/octet-stream', digest, ranges: true }
}

const RATE_LIMIT_WINDOW_SECONDS = 21_600

/** Docker Hub's counting and its headers; nothing at all where there is no limit. */
function countPulls(
  limit: number | undefined,
): (request: Request, answer: Content | Response) => Content | Response {
  let left = limit ?? Infinity
  return ({ method }, answer) => {
    if (limit === undefined || answer instanceof Response) return answer
    if (method === 'GET') left -= 1
    const headers = {
      'ratelimit-limit': `${limit};w=${RATE_LIMIT_WINDOW_SECONDS}`,
      'ratelimit-remaining': `${Math.max(0, left)};w=${RATE_LIMIT_WINDOW_SECONDS}`,
    }
    const refused = method === 'GET' && left < 0
    return refused ? errorResponse(429, undefined, headers) : { ...answer, headers }
  }
}

async function startOwnTokenServer({
  auth,
  tls,
}: RegistryOptions): Promise<FakeTokenServer | undefined> {
  if (auth?.kind !== 'token' || auth.tokenServer) return undefined
  const { username, password, anonymous, tokenField, expiresIn } = auth
  return startTokenServer({ tls, username, password, anonymous, tokenField, expiresIn })
}
