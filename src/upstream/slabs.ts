/**
 * Large buffers that sockets read into, one read after the other, and that are used again when all of
 * their bytes have been let go. A fresh buffer for each read costs more than the read: its pages are
 * given by the kernel and cleaned, and taken away at the next garbage collection.
 *
 * Whoever does not say that it let go of bytes does no harm: that buffer is left to the garbage collector.
 */

/** One buffer, while a socket reads into it. */
export interface Slab {
  /** Where the next bytes go; `undefined` when too few would fit. */
  room(): Buffer | undefined
  /** @returns the bytes that were just read, to be let go by whoever receives them */
  filled(count: number): Buffer
  /** Nothing more is read into it. */
  close(): void
}

export interface Slabs {
  open(): Slab
  /** Keeps bytes beyond the one who received them. Those of other buffers are nobody's concern here. */
  retain(bytes: Uint8Array): void
  /** To be called once by who received the bytes, when they are used no longer, and once for each `retain`. */
  release(bytes: Uint8Array): void
  /** Bytes of the buffers that wait to be used. */
  idleBytes(): number
}

/** What is done for each piece costs as much as its bytes: of 512 KiB, a cold pull took 0.4 CPU seconds per GB more. */
const SLAB_BYTES = 1024 * 1024
/** Fewer are not worth a read of their own. */
const MIN_ROOM_BYTES = 64 * 1024
/** Buffers that may wait: as many as some connections fill in the time that a write takes. */
const MAX_IDLE = 8
/** Milliseconds without any traffic after which the memory is given back. */
const IDLE_TIME = 5000

interface Lent {
  readonly buffer: Buffer
  /** Bytes read into it. */
  length: number
  /** Bytes that somebody still uses. */
  used: number
  isOpen: boolean
}

export function createSlabs(): Slabs {
  /** By memory, which is how a part of a buffer is told from others. */
  const lent = new WeakMap<ArrayBufferLike, Lent>()
  let idle: Buffer[] = []
  let clearing: NodeJS.Timeout | undefined

  function giveBack(slab: Lent): void {
    if (slab.isOpen || slab.used > 0) return
    lent.delete(slab.buffer.buffer)
    if (idle.length < MAX_IDLE) idle.push(slab.buffer)
    clearing ??= setTimeout(clear, IDLE_TIME).unref()
    clearing.refresh()
  }

  function clear(): void {
    idle = []
    clearing = undefined
  }

  return {
    open() {
      const buffer = idle.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
      const slab: Lent = { buffer, length: 0, used: 0, isOpen: true }
      lent.set(buffer.buffer, slab)
      return {
        room() {
          const isFull = buffer.length - slab.length < MIN_ROOM_BYTES
          return isFull ? undefined : buffer.subarray(slab.length)
        },
        filled(count) {
          const bytes = buffer.subarray(slab.length, slab.length + count)
          slab.length += count
          slab.used += count
          return bytes
        },
        close() {
          if (!slab.isOpen) return
          slab.isOpen = false
          giveBack(slab)
        },
      }
    },
    retain(bytes) {
      const slab = lent.get(bytes.buffer)
      if (slab !== undefined) slab.used += bytes.length
    },
    release(bytes) {
      const slab = lent.get(bytes.buffer)
      if (slab === undefined) return
      slab.used -= bytes.length
      giveBack(slab)
    },
    idleBytes: () => idle.length * SLAB_BYTES,
  }
}

/** Shared by all upstreams: what one has let go the next one uses. */
export const slabs = createSlabs()
