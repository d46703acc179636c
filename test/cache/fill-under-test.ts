/** One blob, a fill of it from an upstream that follows a script, and what tests do with it. */
import type { ByteSource } from '../../src/byte-source.ts'
import { startFill, type Fill, type FillOptions } from '../../src/cache/fill.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { randomBlob } from '../fakes/images.ts'
import { within } from '../support/until.ts'
import { scriptUpstream, type Connection } from './scripted-upstream.ts'
import type { SpoolFolder } from './spool-folder.ts'

export const KIB = 1024
export const blob = Buffer.from(randomBlob(200 * KIB, 'layer'))
/** Of a client that never leaves. */
export const { signal } = new AbortController()

type StartOptions = Partial<FillOptions> & { readonly afterwards?: Connection }

/** A fill of the blob, from an upstream that follows the script. */
export function start(
  folder: SpoolFolder,
  script: readonly Connection[] = [],
  { afterwards = {}, ...options }: StartOptions = {},
) {
  const upstream = scriptUpstream(blob, script, { afterwards })
  const fill = startFill({
    upstream: 'docker.io',
    digest: digestOf(blob),
    expectedSize: undefined,
    spool: folder.spool,
    connect: (window, aborted) => upstream.connect(window, aborted),
    keep: (path) => folder.keep(path),
    ...options,
  })
  return { fill, upstream }
}

export async function opened(fill: Fill): Promise<ByteSource> {
  const source = await fill.open()
  if (source === undefined) throw new Error('The fill has settled already.')
  return source
}

/** Closes the source. */
export async function readToEnd(source: ByteSource): Promise<Buffer> {
  const chunks: Buffer[] = []
  for (let position = 0; ; position += chunks.at(-1)?.length ?? 0) {
    const buffer = Buffer.alloc(32 * KIB)
    const count = await within(source.read(buffer, position, signal))
    if (count === 0) break
    chunks.push(buffer.subarray(0, count))
  }
  await source.close()
  return Buffer.concat(chunks)
}

/** What it rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise.then(() => undefined)
  } catch (error) {
    return error
  }
}
