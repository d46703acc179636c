/** Bytes that came and were not taken yet. What lies side by side in memory is taken in one piece, uncopied. */
import type { Slabs } from './slabs.ts'

export interface ByteQueue {
  readonly length: number
  /** How many pieces of memory they lie in: what each of them takes besides its bytes counts as well. */
  readonly pieces: number
  /** Nothing more can come that would be taken together with what is first. */
  isFirstComplete(): boolean
  add(bytes: Buffer): void
  /** What is first, at least one byte where there is any. */
  take(): Buffer
}

/** Pieces below that are copied together rather than taken one by one. */
const SMALL_BYTES = 64 * 1024
/** Pieces below that are copied together when they come: of frames of a byte each a million may come at once. */
const TINY_BYTES = 4 * 1024

export function createByteQueue(memory: Pick<Slabs, 'release'>): ByteQueue {
  let pieces: Buffer[] = []
  let length = 0
  /** Room behind the last piece, where that is memory of our own. */
  let room: Buffer = NO_ROOM

  function isFirstSmall(): boolean {
    return (pieces[0]?.length ?? 0) < SMALL_BYTES
  }

  function extendLast(bytes: Buffer): boolean {
    const last = pieces.at(-1)
    const joined = last && joinAdjacent(last, bytes)
    if (joined !== undefined) pieces[pieces.length - 1] = joined
    return joined !== undefined
  }

  function copyTiny(received: Buffer): Buffer {
    if (room.length < received.length) room = Buffer.allocUnsafeSlow(SMALL_BYTES)
    received.copy(room)
    const copied = room.subarray(0, received.length)
    room = room.subarray(received.length)
    memory.release(received)
    return copied
  }

  function takeAll(): Buffer {
    const all = Buffer.concat(pieces, length)
    for (const piece of pieces) memory.release(piece)
    pieces = []
    return all
  }

  return {
    get length() {
      return length
    },
    get pieces() {
      return pieces.length
    },
    isFirstComplete: () => pieces.length > 1 && !isFirstSmall(),
    add(bytes) {
      length += bytes.length
      if (extendLast(bytes)) return
      const own = bytes.length < TINY_BYTES && pieces.length > 0 ? copyTiny(bytes) : bytes
      if (own === bytes || !extendLast(own)) pieces.push(own)
    },
    take() {
      const isMixed = pieces.length > 1 && isFirstSmall()
      const taken = (isMixed ? takeAll() : pieces.shift()) ?? Buffer.alloc(0)
      length -= taken.length
      return taken
    },
  }
}

const NO_ROOM = Buffer.alloc(0)

function joinAdjacent(one: Buffer, other: Buffer): Buffer | undefined {
  const isAdjacent = one.buffer === other.buffer && one.byteOffset + one.length === other.byteOffset
  return isAdjacent ? Buffer.from(one.buffer, one.byteOffset, one.length + other.length) : undefined
}
