/** A registry and a token server that behave as a test needs them. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { DIGEST } from './loopback.ts'

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

/** Serves what lies under `/token` by the first listener, everything else by the second. */
export function withTokens(tokens: RequestListener, registry: RequestListener): RequestListener {
  return (request, response) =>
    request.url?.startsWith('/token') === true
      ? tokens(request, response)
      : registry(request, response)
}
