/** Passes on what other processes write, so that the lines of all stay whole. */
import { writeSync } from 'node:fs'

/** For one stream of one process. @returns takes its next bytes; without any: it has ended */
export function createLineRelay(write: (lines: Buffer) => void): (bytes?: Buffer) => void {
  let unfinished: Buffer = Buffer.alloc(0)
  return (bytes) => {
    const all = bytes ? Buffer.concat([unfinished, bytes]) : unfinished
    const end = bytes ? all.lastIndexOf(NEWLINE) + 1 : all.length
    unfinished = Buffer.from(all.subarray(end))
    if (end === 0) return
    const isWhole = all[end - 1] === NEWLINE
    write(isWhole ? all.subarray(0, end) : Buffer.concat([all.subarray(0, end), LINE_END]))
  }
}

const NEWLINE = 0x0a
const LINE_END = Buffer.of(NEWLINE)

/** Milliseconds between two tries to write to a pipe that nobody empties. */
const PAUSE = 5

/** As the log itself writes: at once, and waiting for whoever reads too slowly. */
export function writeWhole(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length;) {
    try {
      written += writeSync(descriptor, bytes, written)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
      Atomics.wait(STILL, 0, 0, PAUSE)
    }
  }
}

/** Never notified. */
const STILL = new Int32Array(new SharedArrayBuffer(4))
