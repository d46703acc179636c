/** GET and HEAD /v2/<name>/blobs/<digest> */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Digest } from '../oci/digest.ts'
import { StorageError } from '../storage-error.ts'
import { allowsRange, parseRanges, type Selection } from '../oci/range.ts'
import type { ByteSource } from '../byte-source.ts'
import { cacheStatus, contentHeaders, notModified } from './answer.ts'
import { authorizeReference } from './authorize.ts'
import { blobBody } from './blob-body.ts'
import type { HttpContext, HttpDependencies, DigestRequest } from './context.ts'
import { rememberer } from './remember.ts'
import { sendPieces } from './send.ts'
import { MAX_REMEMBERED_BYTES } from './short-path.ts'

/** What distribution sends, and what clients ignore: the type is in the manifest. */
const MEDIA_TYPE = 'application/octet-stream'

export async function blobs(
  c: HttpContext,
  dependencies: HttpDependencies,
  request: DigestRequest,
): Promise<Response> {
  const { target, isHead } = request
  const { digest } = request.reference
  const remember = rememberer(c, dependencies, request)
  const isDecided = await authorizeReference(c, dependencies, request)
  const { mirror } = dependencies
  if (isHead) {
    const { size, outcome } = await mirror.blobHead(target, digest)
    c.get('trace').outcome = outcome
    const unchanged = notModified(c, digest)
    if (unchanged) return unchanged
    const headers = { ...blobHeaders(digest, size), ...cacheStatus(outcome) }
    const isLasting = isDecided && outcome === 'hit'
    if (isLasting) await remember({ headers, digest, body: undefined, freshUntil: Infinity })
    return new Response(null, { headers })
  }

  const { source, outcome } = await mirror.blob(target, digest)
  let letGo: (() => void) | undefined
  try {
    c.get('trace').outcome = outcome
    const unchanged = notModified(c, digest)
    if (unchanged) return unchanged
    const selection = requestedRanges(c, digest, source.size)
    const common = { ...blobHeaders(digest, source.size), ...cacheStatus(outcome) }
    const isLasting = isDecided && outcome === 'hit' && isSmall(selection, source)
    if (isLasting) letGo = dependencies.shortPath?.hold(source.size)
    const body = letGo && (await readWhole(source))
    if (body) await remember({ headers: common, digest, body, freshUntil: Infinity })
    const { status, headers, pieces } = blobBody(selection, source.size, MEDIA_TYPE)
    c.env.outgoing.writeHead(status, { ...common, ...headers })
    // The bytes may be long in coming, and containerd gives up after 30 s without headers.
    if (outcome !== 'hit') c.env.outgoing.flushHeaders()
    await sendPieces(c.env.outgoing, source, body ? [body] : pieces, {
      buffers: dependencies.buffers,
      sendfile: dependencies.sendfile,
      onSent: (bytes) => (c.get('trace').bytes += bytes),
      onCut: (error) => (c.get('trace').failure = error),
    })
    return RESPONSE_ALREADY_SENT
  } finally {
    letGo?.()
    await source.close()
  }
}

function blobHeaders(digest: Digest, size: number): Record<string, string> {
  return { ...contentHeaders({ digest, mediaType: MEDIA_TYPE, size }), 'Accept-Ranges': 'bytes' }
}

function isSmall({ kind }: Selection, { size }: ByteSource): boolean {
  return kind === 'whole' && size <= MAX_REMEMBERED_BYTES
}

/** A source that is verified while it is read throws here, before the client was promised anything. */
async function readWhole(source: ByteSource): Promise<Uint8Array> {
  const body = Buffer.allocUnsafeSlow(source.size)
  const { signal } = new AbortController()
  for (let position = 0; position < body.length;) {
    const count = await source.read(body.subarray(position), position, signal)
    if (count === 0) throw new StorageError('damaged', 'The stored blob is shorter than it was.')
    position += count
  }
  return body
}

function requestedRanges(c: HttpContext, digest: Digest, size: number): Selection {
  if (!allowsRange(c.req.header('if-range'), digest)) return { kind: 'whole' }
  return parseRanges(c.req.header('range'), size)
}
