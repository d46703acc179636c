/** A fill of any blob, from an upstream that follows a script, in any spool. */
import type { ByteSource } from '../../src/byte-source.ts'
import { startFill, type Fill, type FillOptions } from '../../src/cache/fill.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { within } from '../support/until.ts'
import { signal } from './fill-under-test.ts'
import { scriptUpstream, type Connection, type ScriptedUpstream } from './scripted-upstream.ts'
import type { SpoolFolder } from './spool-folder.ts'

export const MIB = 1024 * 1024

interface Options extends Partial<FillOptions> {
  readonly script?: readonly Connection[]
  /** What follows the script; the whole rest by default. */
  readonly afterwards?: Connection
  /** What upstream sends instead. */
  readonly sent?: Buffer
}

export function fillOf(
  folder: SpoolFolder,
  bytes: Buffer,
  { script = [], afterwards = {}, sent = bytes, ...options }: Options = {},
): { fill: Fill; upstream: ScriptedUpstream } {
  const upstream = scriptUpstream(sent, script, { afterwards, chunkSizes: [256 * 1024] })
  const fill = startFill({
    upstream: 'docker.io',
    digest: digestOf(bytes),
    expectedSize: bytes.length,
    spool: folder.spool,
    connect: (window, aborted) => upstream.connect(window, aborted),
    keep: (path) => folder.keep(path),
    ...options,
  })
  return { fill, upstream }
}

/** Reads until it has so many bytes, the source ends, or fails; does not close it. */
export async function readFrom(
  source: ByteSource,
  first: number,
  length: number,
): Promise<{ bytes: Buffer; error: unknown }> {
  const bytes = Buffer.alloc(length)
  let done = 0
  try {
    while (done < length) {
      const rest = bytes.subarray(done, done + 128 * 1024)
      const count = await within(source.read(rest, first + done, signal))
      if (count === 0) break
      done += count
    }
    return { bytes: bytes.subarray(0, done), error: undefined }
  } catch (error) {
    return { bytes: bytes.subarray(0, done), error }
  }
}

/** Another byte at this place. */
export function spoilt(bytes: Buffer, at: number): Buffer {
  const wrong = Buffer.from(bytes)
  wrong[at] = (wrong[at] ?? 0) ^ 1
  return wrong
}
