/** How fast the disk of a folder writes and reads: one file, bounded in size and time, that nobody sees. */
import { randomBytes } from 'node:crypto'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { ok, skipped, warning, type Verdict } from './finding.ts'
import { sizeText } from '../size-text.ts'

interface Surroundings {
  /** Milliseconds of a monotonic clock. */
  readonly clock: () => number
  readonly signal: AbortSignal
  /** What is written at most; 64 MiB. */
  readonly maxBytes?: number | undefined
}

const PIECE = 4 * 1024 * 1024
const MAX_BYTES = 64 * 1024 * 1024
/** Milliseconds after which no more is written. */
const MAX_TIME = 2000
/** Bytes per second below which the disk, not the network, is what clients wait for. */
const SLOW = 50 * 1024 * 1024

/** @param room bytes that may be used */
export async function measureDisk(
  folder: string,
  room: number,
  surroundings: Surroundings,
): Promise<Verdict> {
  const { maxBytes = MAX_BYTES } = surroundings
  if (room < maxBytes) return skipped(`there is no room for ${sizeText(maxBytes)} to try it with`)
  const file = join(folder, `.doctor-${randomBytes(6).toString('hex')}`)
  const handle = await open(file, 'wx+', 0o600)
  try {
    // Without a name from now on, it is gone with this process, whatever ends that.
    await rm(file)
    const { bytes, seconds } = await write(handle, surroundings)
    const reading = await read(handle, surroundings)
    return judge(bytes / seconds, reading.bytes / reading.seconds)
  } finally {
    await handle.close()
  }
}

interface Measured {
  readonly bytes: number
  readonly seconds: number
}

async function write(
  handle: FileHandle,
  { clock, signal, maxBytes = MAX_BYTES }: Surroundings,
): Promise<Measured> {
  // What could be compressed says nothing of layers.
  const piece = randomBytes(PIECE)
  const started = clock()
  let bytes = 0
  while (bytes < maxBytes && clock() - started < MAX_TIME) {
    signal.throwIfAborted()
    bytes += (await handle.write(piece)).bytesWritten
  }
  await handle.sync()
  return { bytes, seconds: secondsSince(started, clock) }
}

/** Most of it comes from memory, as it does when a layer is served that was just fetched. */
async function read(handle: FileHandle, { clock, signal }: Surroundings): Promise<Measured> {
  const piece = Buffer.allocUnsafe(PIECE)
  const started = clock()
  let bytes = 0
  for (;;) {
    signal.throwIfAborted()
    const { bytesRead } = await handle.read(piece, 0, PIECE, bytes)
    if (bytesRead === 0) return { bytes, seconds: secondsSince(started, clock) }
    bytes += bytesRead
  }
}

function secondsSince(started: number, clock: () => number): number {
  return Math.max(clock() - started, 0.1) / 1000
}

function judge(writing: number, reading: number): Verdict {
  const found = `the disk writes ${sizeText(writing)}/s and reads ${sizeText(reading)}/s`
  return Math.min(writing, reading) >= SLOW
    ? ok(found)
    : warning(
        found,
        `Below ${sizeText(SLOW)}/s clients wait for the disk: put "data" on a local SSD, or see what else uses this one.`,
      )
}
