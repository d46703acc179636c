/** GET and HEAD /v2/<name>/blobs/<digest> */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { ByteSource } from '../byte-source.ts'
import type { Digest } from '../oci/digest.ts'
import { allowsRange, parseRanges, type Selection } from '../oci/range.ts'
import { StorageError } from '../storage-error.ts'
import { cacheStatus, contentHeaders, noteOutcome, notModified } from './answer.ts'
import { authorizeReference } from './authorize.ts'
import { blobBody } from './blob-body.ts'
import type { HttpContext, HttpDependencies, DigestRequest } from './context.ts'
import { rememberer, type Remember } from './remember.ts'
import { sendPieces } from './send.ts'
import { MAX_REMEMBERED_BYTES } from './short-path.ts'

/** What distribution sends, and what clients ignore: the type is in the manifest. */
const MEDIA_TYPE = 'application/octet-stream'

/** A request that was admitted, and what becomes of its answer. */
interface Admitted {
  readonly request: DigestRequest
  /** The policy of the moment alone has decided, so that it may be remembered. */
  readonly isDecided: boolean
  readonly remember: Remember
}

export async function blobs(
  c: HttpContext,
  dependencies: HttpDependencies,
  request: DigestRequest,
): Promise<Response> {
  const remember = rememberer(c, dependencies, request)
  const isDecided = await authorizeReference(c, dependencies, request)
  const admitted = { request, isDecided, remember }
  return request.isHead
    ? answerHead(c, dependencies, admitted)
    : answerWithBody(c, dependencies, admitted)
}

async function answerHead(
  c: HttpContext,
  { mirror }: HttpDependencies,
  { request, isDecided, remember }: Admitted,
): Promise<Response> {
  const { target, reference } = request
  const { digest } = reference
  const { size, outcome } = await mirror.blobHead(target, digest)
  noteOutcome(c, outcome)
  const unchanged = notModified(c, digest)
  if (unchanged) return unchanged
  const headers = { ...blobHeaders(digest, size), ...cacheStatus(outcome) }
  if (isDecided && outcome === 'hit') {
    await remember({ headers, digest, body: undefined, freshUntil: Infinity })
  }
  return new Response(null, { headers })
}

async function answerWithBody(
  c: HttpContext,
  { mirror, shortPath, buffers, sendfile }: HttpDependencies,
  { request, isDecided, remember }: Admitted,
): Promise<Response> {
  const { target, reference } = request
  const { digest } = reference
  const trace = c.get('trace')
  const { source, outcome } = await mirror.blob(target, digest)
  let letGo: (() => void) | undefined
  try {
    noteOutcome(c, outcome)
    const unchanged = notModified(c, digest)
    if (unchanged) return unchanged
    const selection = requestedRanges(c, digest, source.size)
    const common = { ...blobHeaders(digest, source.size), ...cacheStatus(outcome) }
    const isLasting = isDecided && outcome === 'hit' && isSmall(selection, source)
    if (isLasting) letGo = shortPath?.hold(source.size)
    const body = letGo && (await readWhole(source))
    if (body) await remember({ headers: common, digest, body, freshUntil: Infinity })
    const { status, headers, pieces } = blobBody(selection, source.size, MEDIA_TYPE)
    c.get('timing')?.tell(c.env.outgoing)
    c.env.outgoing.writeHead(status, { ...common, ...headers })
    // The bytes may be long in coming, and containerd gives up after 30 s without headers.
    if (outcome !== 'hit') c.env.outgoing.flushHeaders()
    await sendPieces(c.env.outgoing, source, body ? [body] : pieces, {
      buffers,
      sendfile,
      onSent: (bytes) => (trace.bytes += bytes),
      onCut: (error) => (trace.failure = error),
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

/** `undefined` where the file is damaged or cannot be read: the answer then breaks off, and clients ask again. */
async function readWhole(source: ByteSource): Promise<Uint8Array | undefined> {
  const body = Buffer.allocUnsafeSlow(source.size)
  const { signal } = new AbortController()
  try {
    for (let position = 0; position < body.length;) {
      const count = await source.read(body.subarray(position), position, signal)
      if (count === 0) return undefined
      position += count
    }
    return body
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}

function requestedRanges(c: HttpContext, digest: Digest, size: number): Selection {
  if (!allowsRange(c.req.header('if-range'), digest)) return { kind: 'whole' }
  return parseRanges(c.req.header('range'), size)
}
