/** A registry and a token server that behave as a test needs them. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createTestUpstream, DIGEST, serve, type LoopbackServer } from './loopback.ts'

/** Answers 401 with these challenges until `accepts` is content, then serves a manifest. */
export function guard(
  challenge: (request: IncomingMessage) => string | readonly string[] | undefined,
  accepts: (authorization: string | undefined, request: IncomingMessage) => boolean,
): RequestListener {
  return (request, response) => {
    if (accepts(request.headers.authorization, request)) return sendManifest(response)
    const challenges = challenge(request)
    if (challenges !== undefined) response.setHeader('WWW-Authenticate', challenges)
    response.writeHead(401, { 'Content-Type': 'application/json' })
    return response.end('{"errors":[{"code":"UNAUTHORIZED"}]}')
  }
}

export function sendManifest(response: ServerResponse): void {
  response.writeHead(200, {
    'Content-Type': 'application/vnd.oci.image.manifest.v1+json',
    'Content-Length': 2,
    'Docker-Content-Digest': DIGEST,
  })
  response.end('{}')
}

export function sendJson(
  response: ServerResponse,
  value: unknown,
  status = 200,
  contentType = 'application/json',
): void {
  response.writeHead(status, { 'Content-Type': contentType })
  response.end(JSON.stringify(value))
}

/** Answers everything with the same status, headers and body. */
export function answer(
  status: number,
  headers: Record<string, string | number | string[]> = {},
  body: string | Buffer = '',
): RequestListener {
  return (request, response) => {
    response.writeHead(status, headers)
    response.end(request.method === 'HEAD' ? undefined : body)
  }
}

/** A server, and an upstream that is pointed at it. */
export async function start(listener: RequestListener, path = '') {
  const server = await serve(listener)
  return { server, ...createTestUpstream([`${server.url}${path}`]) }
}

/** Who we are towards a registry. */
export const credentials = [{ username: 'someone', password: 'pass:wörd' }]
/** `Authorization` of that. */
export const BASIC = `Basic ${Buffer.from('someone:pass:wörd').toString('base64')}`
export const SCOPE = 'repository:library/alpine:pull'

/** A registry that wants a token of the server at `realm`. */
export function bearerRegistry(realm: () => string, token = 'T1'): RequestListener {
  return guard(
    () => `Bearer realm="${realm()}",service="test service",scope="${SCOPE}"`,
    (authorization) => authorization === `Bearer ${token}`,
  )
}

/** A registry with its token server under /token. */
export async function serveWithTokens(
  tokens: RequestListener,
  registry?: RequestListener,
): Promise<LoopbackServer> {
  const server: LoopbackServer = await serve((request, response) => {
    if (request.url?.startsWith('/token') === true) return tokens(request, response)
    return (registry ?? bearerRegistry(() => `${server.url}/token`))(request, response)
  })
  return server
}
