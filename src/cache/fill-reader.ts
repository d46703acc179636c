/**
 * What one client sees of a blob that is on its way: the spool as it grows, and upstream itself once
 * nothing can be stored any more.
 */
import type { ByteSource } from '../byte-source.ts'
import type { Digest } from '../oci/digest.ts'
import { StorageError, storageFailure } from '../storage-error.ts'
import type { ChunkWindow } from './chunk-window.ts'
import { createExtents } from './extents.ts'
import type { HeldBack } from './held-back.ts'
import { createPassThrough, type HashedPrefix, type PassThroughOptions } from './pass-through.ts'
import { createPrefixHash, type PrefixHash } from './prefix-hash.ts'
import type { PartialFile } from './spool.ts'

/** How far a fill has come. */
export interface FillState {
  /** The digest is right: everything may be given out. */
  verified: boolean
  /** Nothing more will come into the file. */
  failure: Error | undefined
  /** Somebody reads what comes, rather than having it sent from the file. */
  isRead: boolean
  /** What came and could not be written. */
  unwritten: { readonly bytes: Buffer; readonly first: number } | undefined
}

interface FillReaderOptions {
  readonly digest: Digest
  /** Bytes of the blob. */
  readonly size: number
  readonly file: PartialFile
  readonly prefix: PrefixHash
  readonly heldBack: HeldBack
  readonly window: ChunkWindow
  readonly state: FillState
  readonly connect: PassThroughOptions['connect']
  /** Resolves at the next change; this byte is waited for. */
  changed(position: number, signal: AbortSignal): Promise<void>
  /** The client goes on straight from upstream. */
  passedThrough(): void
  /** Called once. */
  closed(): Promise<void>
}

export function createFillReader(options: FillReaderOptions): ByteSource {
  const { digest, size, file, prefix, heldBack, window, state } = options
  let passThrough: ByteSource | undefined
  let isClosed = false

  async function read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number> {
    state.isRead = true
    const { place, count } = await find(position, buffer.length, signal)
    const wanted = buffer.subarray(0, count)
    if (place === 'file') return fromFile(wanted, position)
    if (place === 'memory') return fromUnwritten(wanted, position)
    // Once begun, it goes on to the end: only an unbroken read can be checked there.
    return passThrough?.read(buffer, position, signal) ?? 0
  }

  async function reach(position: number, length: number, signal: AbortSignal): Promise<number> {
    const { place, count } = await find(position, length, signal)
    return place === 'file' ? count : 0
  }

  /** Waits until something at `position` may be given out. */
  async function find(position: number, length: number, signal: AbortSignal): Promise<Found> {
    while (passThrough === undefined) {
      if (position >= size && state.verified) return NOTHING
      const inFile = released(position, Math.min(length, written(position)))
      if (inFile > 0) return { place: 'file', count: inFile }
      const inMemory = released(position, Math.min(length, unwritten(position).length))
      if (inMemory > 0) return { place: 'memory', count: inMemory }
      if (state.failure === undefined) await options.changed(position, signal)
      else passThrough = await leaveSpool(state.failure, position, signal)
    }
    return NOTHING
  }

  function written(position: number): number {
    return isUsable(state) ? file.extents.missingFrom(position) - position : 0
  }

  function unwritten(position: number): Buffer {
    const { bytes, first } = state.unwritten ?? NO_BYTES
    return position < first ? NO_BYTES.bytes : bytes.subarray(position - first)
  }

  function released(position: number, length: number): number {
    return state.verified || length === 0 ? length : heldBack.release(position, length)
  }

  async function fromFile(buffer: Uint8Array, position: number): Promise<number> {
    const recent = window.has(position, buffer.length)
    if (recent === 0) return readFile(file, buffer, position)
    window.copy(buffer.subarray(0, recent), position)
    return recent
  }

  function fromUnwritten(buffer: Uint8Array, position: number): number {
    buffer.set(unwritten(position).subarray(0, buffer.length))
    return buffer.length
  }

  /** When nothing can be stored any more, the client is served all the same. */
  async function leaveSpool(
    failure: Error,
    position: number,
    signal: AbortSignal,
  ): Promise<ByteSource> {
    if (!(failure instanceof StorageError)) throw failure
    const before = await hashBefore(position, signal)
    options.passedThrough()
    return createPassThrough({ digest, size, connect: options.connect }, before)
  }

  /** The hash of all that precedes; `undefined` when that is not here, and the read one of a part. */
  async function hashBefore(
    position: number,
    signal: AbortSignal,
  ): Promise<HashedPrefix | undefined> {
    if (prefix.position === position) return prefix.copy()
    const { first = 0, bytes = Buffer.alloc(0) } = state.unwritten ?? {}
    const there = createExtents(file.extents.list())
    there.add(first, first + bytes.length)
    if (there.missingFrom(0) < position) return undefined
    const written = file.extents.list().map((it) => ({ ...it, end: Math.min(it.end, position) }))
    const hash = createPrefixHash(digest, file.handle, createExtents(written))
    await hash.catchUp(signal)
    hash.wrote(bytes.subarray(0, Math.max(0, position - first)), first)
    await hash.catchUp(signal)
    return hash.copy()
  }

  return {
    size,
    read,
    file: { descriptor: file.handle.fd, reach },
    async close() {
      if (isClosed) return
      isClosed = true
      await passThrough?.close()
      await options.closed()
    },
  }
}

/** Where bytes are, and how many may be given out. */
interface Found {
  readonly place: 'file' | 'memory' | 'elsewhere'
  readonly count: number
}

const NOTHING: Found = { place: 'elsewhere', count: 0 }
const NO_BYTES = { bytes: Buffer.alloc(0), first: 0 }

/** What a failed download has left may be wrong, unless it is our disk that failed. */
function isUsable({ failure, verified }: Readonly<FillState>): boolean {
  return verified || failure === undefined || failure instanceof StorageError
}

async function readFile(
  { handle }: PartialFile,
  buffer: Uint8Array,
  position: number,
): Promise<number> {
  try {
    return (await handle.read(buffer, 0, buffer.length, position)).bytesRead
  } catch (error) {
    throw storageFailure(error)
  }
}
