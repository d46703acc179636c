/** Builds the `Response` to one request out of the content asked for and what is wrong with it. */
import { gzipSync } from 'node:zlib'
import { digestOf } from '../../src/oci/digest.ts'
import type { Faults } from './faults.ts'
import { onWire, type WireBehaviour } from './wire.ts'

/** What a healthy registry would send. */
export interface Content {
  readonly bytes: Uint8Array
  readonly contentType: string
  readonly digest?: string
  /** Answers `Range`. */
  readonly ranges?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

const API_VERSION = { 'docker-distribution-api-version': 'registry/2.0' }
const CHUNK_BYTES = 256 * 1024
const NEVER_SENT = 'this is the digest of something else'

const ERROR_CODES: Readonly<Record<number, string>> = {
  401: 'UNAUTHORIZED',
  403: 'DENIED',
  404: 'NAME_UNKNOWN',
  405: 'UNSUPPORTED',
  429: 'TOOMANYREQUESTS',
}

/** An answer with the body that registries give: `{"errors":[…]}`. */
export function errorResponse(
  status: number,
  code: string = ERROR_CODES[status] ?? 'UNKNOWN',
  headers: Readonly<Record<string, string>> = {},
): Response {
  const body = JSON.stringify({ errors: [{ code, message: `the fake says ${code}` }] })
  return new Response(body, {
    status,
    headers: {
      ...API_VERSION,
      'content-type': 'application/json',
      'content-length': String(body.length),
      ...headers,
    },
  })
}

/** What is sent instead of the content, if a fault says so. */
export function replacedAnswer(request: Request, faults: Faults): Response | undefined {
  const { status, redirectTo, redirectStatus = 307, redirectLoop, html200 } = faults
  if (faults.resetConnection === true && faults.cutAfter === undefined) {
    return onWire(new Response(null), { resetConnection: true })
  }
  if (status !== undefined) return statusResponse(status, faults)
  if (redirectTo !== undefined || redirectLoop === true) {
    const url = new URL(request.url)
    const target = redirectLoop === true ? `${url.pathname}${url.search}` : redirectTo
    const location = typeof target === 'function' ? target(url) : (target ?? '')
    const headers = { location, 'content-length': '0', ...faults.headers }
    return new Response(null, { status: redirectStatus, headers })
  }
  if (html200 === true) {
    const page = new TextEncoder().encode('<!doctype html><title>Log in</title>')
    return contentResponse(request, { bytes: page, contentType: 'text/html' }, {})
  }
  return undefined
}

/** The content, damaged as the faults say. A HEAD gets the same headers and no body. */
export function contentResponse(request: Request, content: Content, faults: Faults): Response {
  const whole = bytesOf(content, faults)
  const part = content.ranges === true ? partOf(request, whole.length, faults) : undefined
  if (part === 'unsatisfiable') {
    return errorResponse(416, 'RANGE_INVALID', { 'content-range': `bytes */${whole.length}` })
  }
  const slice = part ? whole.subarray(part.first, part.last + 1) : whole
  const sent = faults.gzip === true ? gzipSync(slice) : slice
  const headers = headersOf(content, sent.length, faults)
  if (part) headers.set('content-range', `bytes ${part.first}-${part.last}/${whole.length}`)
  const body =
    request.method === 'HEAD' ? null : streamOf(sent, CHUNK_BYTES, faults.endless === true)
  return onWire(new Response(body, { status: part ? 206 : 200, headers }), wireOf(faults))
}

function statusResponse(status: number, { body, headers }: Faults): Response {
  if (body === undefined) return errorResponse(status, undefined, headers)
  const length = String(Buffer.byteLength(body))
  return new Response(typeof body === 'string' ? body : new Uint8Array(body), {
    status,
    headers: { 'content-length': length, ...headers },
  })
}

function bytesOf({ bytes }: Content, { body, wrongByteAt }: Faults): Uint8Array {
  const given = body === undefined ? bytes : new Uint8Array(Buffer.from(body))
  if (wrongByteAt === undefined || wrongByteAt >= given.length) return given
  const damaged = Uint8Array.from(given)
  damaged[wrongByteAt] = (given[wrongByteAt] ?? 0) ^ 0xff
  return damaged
}

function headersOf(content: Content, length: number, faults: Faults): Headers {
  const headers = new Headers({ ...API_VERSION, 'content-type': content.contentType })
  if (content.digest !== undefined) {
    headers.set('docker-content-digest', content.digest)
    headers.set('etag', `"${content.digest}"`)
  }
  if (content.ranges === true) headers.set('accept-ranges', 'bytes')
  for (const [name, value] of Object.entries(content.headers ?? {})) headers.set(name, value)
  headers.set('content-length', String(faults.claimLength ?? length))
  lie(headers, faults)
  for (const [name, value] of Object.entries(faults.headers ?? {})) headers.set(name, value)
  return headers
}

function lie(headers: Headers, faults: Faults): void {
  const { noDigestHeader, wrongDigestHeader, contentType, gzipLabel, gzip, noLength } = faults
  if (noDigestHeader === true) {
    headers.delete('docker-content-digest')
    headers.delete('etag')
  }
  if (wrongDigestHeader !== undefined) {
    const other = digestOf(new TextEncoder().encode(NEVER_SENT))
    headers.set('docker-content-digest', wrongDigestHeader === true ? other : wrongDigestHeader)
  }
  if (contentType === null) headers.delete('content-type')
  else if (contentType !== undefined) headers.set('content-type', contentType)
  if (gzipLabel === true || gzip === true) headers.set('content-encoding', 'gzip')
  if (noLength !== undefined || (faults.endless === true && faults.claimLength === undefined)) {
    headers.delete('content-length')
  }
}

interface Part {
  readonly first: number
  /** Included. */
  readonly last: number
}

/** Ranges as a registry in front of object storage does them: one range, clamped to the end. */
function partOf(
  request: Request,
  size: number,
  faults: Faults,
): Part | 'unsatisfiable' | undefined {
  const bounds = /^bytes=(\d*)-(\d*)$/.exec(request.headers.get('range') ?? '')
  if (!bounds || faults.ignoreRange === true) return undefined
  const [, start = '', end = ''] = bounds
  if (start === '') return { first: Math.max(0, size - Number(end)), last: size - 1 }
  const first = Number(start) + (faults.shiftRange ?? 0)
  const last = Math.min(end === '' ? Infinity : Number(end), size - 1)
  return first >= size || last < first ? 'unsatisfiable' : { first, last }
}

function wireOf(faults: Faults): WireBehaviour {
  const { cutAfter, resetConnection, hold, bytesPerSecond, noLength, claimLength } = faults
  return {
    cutAfter,
    resetConnection,
    bytesPerSecond,
    holds: hold === undefined ? [] : [hold].flat(),
    framing: noLength === 'close' ? 'close' : 'chunked',
    closeAfter: claimLength !== undefined,
  }
}

/** Nothing is copied, and nothing is produced before it is asked for. */
function streamOf(bytes: Uint8Array, chunkBytes: number, endless: boolean): ReadableStream {
  const zeros = new Uint8Array(chunkBytes)
  let position = 0
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = bytes.subarray(position, position + chunkBytes)
        position += chunk.length
        if (chunk.length > 0) controller.enqueue(chunk)
        else if (endless) controller.enqueue(zeros)
        else controller.close()
      },
    },
    { highWaterMark: 0 },
  )
}
