/** Which bytes of a blob are sent, in which order, and the headers that say so. */
import { randomBytes } from 'node:crypto'
import type { ByteRange, Selection } from '../oci/range.ts'
import type { Piece } from './send.ts'

export interface BlobBody {
  readonly status: 200 | 206
  /** In addition to those of the whole blob, or in their place. */
  readonly headers: Readonly<Record<string, string>>
  readonly pieces: readonly Piece[]
}

/**
 * A satisfiable range is always answered 206, cold or hot: containerd does not look at the status of
 * later chunks, and a 200 there corrupts the layer. Several ranges are answered with the whole where
 * that is shorter, so that ranges which overlap cannot make us send more (RFC 9110 §17.15); podman,
 * which asks for several, takes the whole apart by itself.
 * @param size bytes of the whole blob
 */
export function blobBody(selection: Selection, size: number, mediaType: string): BlobBody {
  switch (selection.kind) {
    case 'whole':
      return whole(size)
    case 'part':
      return part(selection.range, size)
    case 'parts': {
      const parts = multipart(selection.ranges, size, mediaType)
      return lengthOf(parts.pieces) > size ? whole(size) : parts
    }
  }
}

/** An empty blob has no last byte: the range ends before it begins, and nothing is sent. */
function whole(size: number): BlobBody {
  return { status: 200, headers: {}, pieces: [{ first: 0, last: size - 1 }] }
}

function part(range: ByteRange, size: number): BlobBody {
  const headers = {
    'Content-Length': String(lengthOf([range])),
    'Content-Range': contentRange(range, size),
  }
  return { status: 206, headers, pieces: [range] }
}

/**
 * One part for each range, in the order asked, none of them joined: podman counts them (RFC 9110
 * §14.6, §15.3.7.2). There is no Content-Range beside those of the parts.
 */
function multipart(ranges: readonly ByteRange[], size: number, mediaType: string): BlobBody {
  // Of letters and digits alone, and not to be foreseen by whoever made the blob.
  const boundary = randomBytes(16).toString('hex')
  const pieces = [
    ...ranges.flatMap((range, index) => [
      Buffer.from(
        `${index === 0 ? '' : '\r\n'}--${boundary}\r\n` +
          `Content-Type: ${mediaType}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`,
      ),
      range,
    ]),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]
  const headers = {
    'Content-Type': `multipart/byteranges; boundary=${boundary}`,
    'Content-Length': String(lengthOf(pieces)),
  }
  return { status: 206, headers, pieces }
}

function contentRange({ first, last }: ByteRange, size: number): string {
  return `bytes ${first}-${last}/${size}`
}

/** Bytes of all pieces together. */
function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce(
    (sum, piece) => sum + ('first' in piece ? piece.last - piece.first + 1 : piece.length),
    0,
  )
}
