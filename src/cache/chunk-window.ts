/**
 * The chunks that came last, in memory: readers who keep up with a download share them, and neither
 * wait for the disk nor have a thread read what was just written. Who is late reads the file.
 */
import { slabs, type Slabs } from '../upstream/slabs.ts'

export interface ChunkWindow {
  /** Keeps the bytes until later ones take their place. */
  add(bytes: Buffer, position: number): void
  /** How many bytes are here from this one on; no more than `length` are looked for. */
  has(position: number, length: number): number
  /** Fills the buffer, which is no longer than what is here. */
  copy(buffer: Uint8Array, position: number): void
  close(): void
}

export interface ChunkWindows {
  open(): ChunkWindow
  /** Bytes in all of them. */
  bytes(): number
}

export interface WindowLimits {
  /** Bytes of one download. */
  readonly each: number
  /** Bytes of all downloads together. */
  readonly all: number
}

/** Of one download, so that looking for one stays cheap where they are small. */
const MAX_CHUNKS = 64

interface Chunk {
  readonly bytes: Buffer
  readonly first: number
  readonly end: number
}

export function createChunkWindows(
  limits: WindowLimits,
  memory: Pick<Slabs, 'retain' | 'release'> = slabs,
): ChunkWindows {
  /** How to drop each chunk, the oldest first. */
  const drops = new Map<Chunk, () => void>()
  let total = 0

  function open(): ChunkWindow {
    const chunks: Chunk[] = []
    let size = 0
    let isClosed = false

    function dropFirst(): void {
      const chunk = chunks.shift()
      if (chunk === undefined) return
      drops.delete(chunk)
      size -= chunk.bytes.length
      total -= chunk.bytes.length
      memory.release(chunk.bytes)
    }

    /** What came last is what most readers want. */
    function find(position: number): Chunk | undefined {
      return chunks.findLast(({ first, end }) => first <= position && position < end)
    }

    return {
      add(bytes, first) {
        if (isClosed || bytes.length > limits.each) return
        const chunk = { bytes, first, end: first + bytes.length }
        memory.retain(bytes)
        chunks.push(chunk)
        drops.set(chunk, dropFirst)
        size += bytes.length
        total += bytes.length
        while (size > limits.each || chunks.length > MAX_CHUNKS) dropFirst()
        while (total > limits.all) oldest(drops)?.()
      },
      has(position, length) {
        let at = position
        while (at < position + length) {
          const chunk = find(at)
          if (chunk === undefined) break
          at = chunk.end
        }
        return Math.min(length, at - position)
      },
      copy(buffer, position) {
        for (let done = 0; done < buffer.length;) {
          const chunk = find(position + done)
          if (chunk === undefined) throw new RangeError('The bytes are not in memory.')
          const bytes = chunk.bytes.subarray(position + done - chunk.first)
          const count = Math.min(bytes.length, buffer.length - done)
          buffer.set(bytes.subarray(0, count), done)
          done += count
        }
      },
      close() {
        isClosed = true
        while (chunks.length > 0) dropFirst()
      },
    }
  }

  return { open, bytes: () => total }
}

function oldest(drops: ReadonlyMap<Chunk, () => void>): (() => void) | undefined {
  return drops.values().next().value
}

const MIB = 1024 * 1024

/** Of this process: about as much as a client falls behind while fifty others are served. */
export const chunkWindows = createChunkWindows({ each: 8 * MIB, all: 32 * MIB })
