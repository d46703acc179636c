/** GET and HEAD /v2/<name>/blobs/<digest> */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Digest } from '../oci/digest.ts'
import { allowsRange, parseRanges, type Selection } from '../oci/range.ts'
import { cacheStatus, contentHeaders, notModified } from './answer.ts'
import { authorizeReference } from './authorize.ts'
import { blobBody } from './blob-body.ts'
import type { HttpContext, HttpDependencies, DigestRequest } from './context.ts'
import { sendPieces } from './send.ts'

/** What distribution sends, and what clients ignore: the type is in the manifest. */
const MEDIA_TYPE = 'application/octet-stream'

export async function blobs(
  c: HttpContext,
  dependencies: HttpDependencies,
  request: DigestRequest,
): Promise<Response> {
  const { target, isHead } = request
  const { digest } = request.reference
  await authorizeReference(c, dependencies, request)
  const { mirror } = dependencies
  if (isHead) {
    const { size, outcome } = await mirror.blobHead(target, digest)
    c.get('trace').outcome = outcome
    const headers = { ...blobHeaders(digest, size), ...cacheStatus(outcome) }
    return notModified(c, digest) ?? new Response(null, { headers })
  }

  const { source, outcome } = await mirror.blob(target, digest)
  try {
    c.get('trace').outcome = outcome
    const unchanged = notModified(c, digest)
    if (unchanged) return unchanged
    const selection = requestedRanges(c, digest, source.size)
    const { status, headers, pieces } = blobBody(selection, source.size, MEDIA_TYPE)
    c.env.outgoing.writeHead(status, {
      ...blobHeaders(digest, source.size),
      ...cacheStatus(outcome),
      ...headers,
    })
    // The bytes may be long in coming, and containerd gives up after 30 s without headers.
    if (outcome !== 'hit') c.env.outgoing.flushHeaders()
    await sendPieces(c.env.outgoing, source, pieces, {
      buffers: dependencies.buffers,
      onSent: (bytes) => (c.get('trace').bytes += bytes),
      onCut: (error) => (c.get('trace').failure = error),
    })
    return RESPONSE_ALREADY_SENT
  } finally {
    await source.close()
  }
}

function blobHeaders(digest: Digest, size: number): Record<string, string> {
  return { ...contentHeaders({ digest, mediaType: MEDIA_TYPE, size }), 'Accept-Ranges': 'bytes' }
}

function requestedRanges(c: HttpContext, digest: Digest, size: number): Selection {
  if (!allowsRange(c.req.header('if-range'), digest)) return { kind: 'whole' }
  return parseRanges(c.req.header('range'), size)
}
