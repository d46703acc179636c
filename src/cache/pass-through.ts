/**
 * A blob from upstream straight to one client, when nothing can be stored: the disk is full or broken.
 * Reads that follow each other share a connection. Whoever reads the whole gets the last bytes only
 * after the digest was right, as from a fill; a part cannot be checked, here or anywhere.
 */
import type { Hash } from 'node:crypto'
import type { ByteSource } from '../byte-source.ts'
import { createDigestHash, digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts'
import { slabs } from '../upstream/slabs.ts'
import { UpstreamError, type ByteWindow, type UpstreamBlob } from '../upstream/upstream.ts'
import { createChunkReader, type ChunkReader } from './chunk-reader.ts'
import { HELD_BACK_BYTES } from './held-back.ts'

export interface PassThroughOptions {
  readonly digest: Digest
  /** Bytes of the blob. */
  readonly size: number
  connect(window: ByteWindow, signal: AbortSignal): Promise<UpstreamBlob>
}

/** The hash of everything before `position`. */
export interface HashedPrefix {
  readonly hash: Hash
  readonly position: number
}

/** Connections in a row that may bring nothing before the client is told. */
const MAX_FRUITLESS = 2

/**
 * @param prefix of what the client was given before; without it, a read that does not begin with the
 *   first byte is of a part
 */
export function createPassThrough(options: PassThroughOptions, prefix?: HashedPrefix): ByteSource {
  const { digest, size } = options
  const closing = new AbortController()
  let checked = prefix ?? { hash: createDigestHash(digestAlgorithm(digest)), position: 0 }
  let stream: Stream | undefined
  /** The last bytes of a blob that was read from its beginning, once they were checked. */
  let ending: { readonly bytes: Buffer; readonly first: number } | undefined

  async function read(
    buffer: Uint8Array,
    position: number,
    clientSignal: AbortSignal,
  ): Promise<number> {
    if (position >= size) return 0
    if (ending !== undefined && position >= ending.first) return fromEnding(buffer, position)
    if (checked.position !== position) return fromUpstream(buffer, position, clientSignal)
    const heldFrom = Math.max(0, size - HELD_BACK_BYTES)
    if (position >= heldFrom) {
      await checkEnding(position, clientSignal)
      return fromEnding(buffer, position)
    }
    const wanted = buffer.subarray(0, Math.min(buffer.length, heldFrom - position))
    const count = await fromUpstream(wanted, position, clientSignal)
    checked.hash.update(wanted.subarray(0, count))
    checked = { hash: checked.hash, position: position + count }
    return count
  }

  function fromEnding(buffer: Uint8Array, position: number): number {
    if (ending === undefined) return 0
    const rest = ending.bytes.subarray(position - ending.first)
    buffer.set(rest.subarray(0, buffer.length))
    return Math.min(rest.length, buffer.length)
  }

  async function checkEnding(first: number, clientSignal: AbortSignal): Promise<void> {
    const bytes = Buffer.alloc(size - first)
    for (let done = 0; done < bytes.length;) {
      done += await fromUpstream(bytes.subarray(done), first + done, clientSignal)
    }
    if (checked.hash.copy().update(bytes).digest('hex') !== digestHex(digest)) {
      stream?.blob.distrust()
      throw new UpstreamError('corrupt', `Upstream sent bytes that are not ${digest}.`)
    }
    ending = { bytes, first }
  }

  /** @returns bytes read, at least 1 */
  async function fromUpstream(
    buffer: Uint8Array,
    position: number,
    clientSignal: AbortSignal,
  ): Promise<number> {
    for (let fruitless = 0; ; fruitless += 1) {
      try {
        if (stream?.position !== position) stream = await begin(position, clientSignal)
        return await take(stream, buffer)
      } catch (error) {
        stream?.blob.body.destroy()
        stream = undefined
        if (clientSignal.aborted || closing.signal.aborted) throw error
        const again = error instanceof UpstreamError && error.reason === 'unavailable'
        if (!again || fruitless >= MAX_FRUITLESS) throw error
      }
    }
  }

  async function begin(first: number, clientSignal: AbortSignal): Promise<Stream> {
    stream?.blob.body.destroy()
    const signal = AbortSignal.any([clientSignal, closing.signal])
    const blob = await options.connect({ first }, signal)
    if (blob.offset > first || (blob.size ?? size) !== size) {
      blob.body.destroy()
      throw new UpstreamError('corrupt', 'Upstream sent another part or length than was asked for.')
    }
    const begun = createStream(blob)
    for (let skip = first - blob.offset; skip > 0;) {
      skip -= await take(begun, Buffer.alloc(Math.min(skip, HELD_BACK_BYTES)))
    }
    return begun
  }

  return {
    size,
    read,
    async close() {
      closing.abort(new Error('The client has what it wanted.'))
      stream?.blob.body.destroy()
    },
  }
}

interface Stream {
  readonly blob: UpstreamBlob
  readonly chunks: ChunkReader
  /** The chunk that is being taken. */
  chunk: Buffer
  /** What came and was not taken yet. */
  rest: Buffer
  /** Where in the blob the next byte lies. */
  position: number
}

function createStream(blob: UpstreamBlob): Stream {
  const chunks = createChunkReader(blob.body)
  const chunk = Buffer.alloc(0)
  return { blob, chunks, chunk, rest: chunk, position: blob.offset }
}

async function take(stream: Stream, buffer: Uint8Array): Promise<number> {
  while (stream.rest.length === 0) {
    const next = await stream.chunks.next().catch((cause: unknown) => {
      if (cause instanceof UpstreamError) throw cause
      throw new UpstreamError('unavailable', 'Upstream cut the connection.', { cause })
    })
    if (next === undefined) {
      throw new UpstreamError('unavailable', 'Upstream ended the blob early.')
    }
    stream.chunk = next
    stream.rest = next
  }
  const count = Math.min(stream.rest.length, buffer.length)
  buffer.set(stream.rest.subarray(0, count))
  stream.rest = stream.rest.subarray(count)
  stream.position += count
  if (stream.rest.length === 0) slabs.release(stream.chunk)
  return count
}
