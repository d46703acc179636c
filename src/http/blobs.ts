/** GET and HEAD /v2/<name>/blobs/<digest> */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { parseDigest, type Digest } from '../oci/digest.ts'
import { allowsRange, parseRange, type ByteRange } from '../oci/range.ts'
import { cacheStatus, contentHeaders, notModified } from './answer.ts'
import { authorizeReference } from './authorize.ts'
import type { HttpContext, HttpDependencies, RepositoryRequest } from './context.ts'
import { sendSource } from './send.ts'

/** What distribution sends, and what clients ignore: the type is in the manifest. */
const MEDIA_TYPE = 'application/octet-stream'

export async function blobs(
  c: HttpContext,
  dependencies: HttpDependencies,
  { target, path, isHead }: RepositoryRequest,
): Promise<Response> {
  const digest = parseDigest(path.reference)
  await authorizeReference(dependencies, target, { kind: 'digest', digest })
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
    const range = requestedRange(c, digest, source.size)
    writeHead(
      c,
      { ...blobHeaders(digest, source.size), ...cacheStatus(outcome) },
      range,
      source.size,
    )
    // The bytes may be long in coming, and containerd gives up after 30 s without headers.
    if (outcome !== 'hit') c.env.outgoing.flushHeaders()
    await sendSource(c.env.outgoing, source, range ?? wholeOf(source.size), {
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

function requestedRange(c: HttpContext, digest: Digest, size: number): ByteRange | undefined {
  if (!allowsRange(c.req.header('if-range'), digest)) return undefined
  return parseRange(c.req.header('range'), size)
}

/** An empty blob has no last byte: the range ends before it begins, and nothing is sent. */
function wholeOf(size: number): ByteRange {
  return { first: 0, last: size - 1 }
}

/**
 * A satisfiable range is always answered 206, cold or hot: containerd does not look at the status of
 * later chunks, and a 200 there corrupts the layer.
 */
function writeHead(
  c: HttpContext,
  headers: Record<string, string>,
  range: ByteRange | undefined,
  size: number,
): void {
  const { outgoing } = c.env
  if (range === undefined) {
    outgoing.writeHead(200, headers)
    return
  }
  outgoing.writeHead(206, {
    ...headers,
    'Content-Length': String(range.last - range.first + 1),
    'Content-Range': `bytes ${range.first}-${range.last}/${size}`,
  })
}
