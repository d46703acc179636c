/**
 * What one client sees of a blob that is on its way: the spool as it grows, and upstream itself once
 * nothing can be stored any more.
 */
import type { ByteSource } from '../byte-source.ts'
import type { Digest } from '../oci/digest.ts'
import { StorageError, storageFailure } from '../storage-error.ts'
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
  readonly state: Readonly<FillState>
  readonly connect: PassThroughOptions['connect']
  /** Resolves at the next change; this byte is waited for. */
  changed(position: number, signal: AbortSignal): Promise<void>
  /** The client goes on straight from upstream. */
  passedThrough(): void
  /** Called once. */
  closed(): Promise<void>
}

export function createFillReader(options: FillReaderOptions): ByteSource {
  const { digest, size, file, prefix, heldBack, state } = options
  let passThrough: ByteSource | undefined
  let isClosed = false

  async function read(buffer: Uint8Array, position: number, signal: AbortSignal): Promise<number> {
    // Once begun, it goes on to the end: only an unbroken read can be checked there.
    while (passThrough === undefined) {
      if (position >= size && state.verified) return 0
      const count = (await fromFile(buffer, position)) || fromUnwritten(buffer, position)
      if (count > 0) return count
      if (state.failure === undefined) await options.changed(position, signal)
      else passThrough = await leaveSpool(state.failure, position, signal)
    }
    return passThrough.read(buffer, position, signal)
  }

  async function fromFile(buffer: Uint8Array, position: number): Promise<number> {
    if (!isUsable(state)) return 0
    const there = file.extents.missingFrom(position) - position
    const given = released(position, Math.min(there, buffer.length))
    return given === 0 ? 0 : readFile(file, buffer.subarray(0, given), position)
  }

  function fromUnwritten(buffer: Uint8Array, position: number): number {
    const { unwritten } = state
    if (unwritten === undefined || position < unwritten.first) return 0
    const there = unwritten.bytes.subarray(position - unwritten.first)
    const given = released(position, Math.min(there.length, buffer.length))
    buffer.set(there.subarray(0, given))
    return given
  }

  function released(position: number, length: number): number {
    return state.verified || length === 0 ? length : heldBack.release(position, length)
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
    async close() {
      if (isClosed) return
      isClosed = true
      await passThrough?.close()
      await options.closed()
    },
  }
}

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
