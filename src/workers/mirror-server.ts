/** The mirror as one worker uses it: what it has open is closed when it says so, or is gone. */
import type { ByteSource } from '../byte-source.ts'
import type { Mirror } from '../cache/mirror.ts'
import type { MirrorStatus } from '../cache/status.ts'
import type { Handlers } from './channel.ts'
import type { MirrorCalls, PlainCalls } from './protocol.ts'

export interface MirrorServer {
  readonly handlers: Handlers<MirrorCalls>
  /** Sources that the worker has open. */
  lent(): number
  /** Closes all of them; what is still being opened for it is closed as soon as it is there. */
  close(): Promise<void>
}

interface Dependencies {
  readonly mirror: Mirror & { status(): Promise<MirrorStatus> }
  /** Awaited before each call, so that both processes judge by the same moment. */
  readonly refresh: () => Promise<void> | undefined
}

/** Bytes of one answer to `read`; what lies in a file goes another way. */
export const MOST_READ = 256 * 1024

interface Lent {
  readonly source: ByteSource
  /** Reads and waits that have not ended: the source is closed behind the last of them. */
  uses: number
  isReleased: boolean
}

export function createMirrorServer({ mirror, refresh }: Dependencies): MirrorServer {
  const lent = new Map<number, Lent>()
  let lastId = 0
  let isClosed = false

  /** Nothing of the request but what the call is about. */
  function forwarded<Name extends keyof PlainCalls>(name: Name): Handlers<PlainCalls>[Name] {
    const useCase = mirror[name] as (...args: unknown[]) => Promise<unknown>
    const handler = async (...args: unknown[]): Promise<unknown> => {
      await refresh()
      return useCase(...args.slice(0, -1))
    }
    return handler as Handlers<PlainCalls>[Name]
  }

  async function use<T>(id: number, work: (source: ByteSource) => Promise<T>): Promise<T> {
    const found = lent.get(id)
    if (found === undefined || found.isReleased) throw new Error('This source was given back.')
    found.uses += 1
    try {
      return await work(found.source)
    } finally {
      found.uses -= 1
      await closeUnused(id, found)
    }
  }

  async function closeUnused(id: number, { source, uses, isReleased }: Lent): Promise<void> {
    if (!isReleased || uses > 0) return
    lent.delete(id)
    await source.close()
  }

  async function release(id: number): Promise<void> {
    const found = lent.get(id)
    if (found === undefined || found.isReleased) return
    found.isReleased = true
    await closeUnused(id, found)
  }

  return {
    handlers: {
      manifest: forwarded('manifest'),
      blobHead: forwarded('blobHead'),
      blobProgress: forwarded('blobProgress'),
      confirmTag: forwarded('confirmTag'),
      upstreamState: forwarded('upstreamState'),
      tags: forwarded('tags'),
      referrers: forwarded('referrers'),
      tagsLeadingTo: forwarded('tagsLeadingTo'),
      isOfAge: forwarded('isOfAge'),
      describe: forwarded('describe'),
      repositories: forwarded('repositories'),
      ready: forwarded('ready'),
      status: forwarded('status'),
      scrub: forwarded('scrub'),
      idle: forwarded('idle'),
      async blob(key, digest) {
        await refresh()
        const { source, outcome } = await mirror.blob(key, digest)
        lastId += 1
        const id = lastId
        lent.set(id, { source, uses: 0, isReleased: false })
        if (isClosed) await release(id)
        const { size, file } = source
        return { id, size, outcome, descriptor: file?.descriptor, isWhole: file?.isWhole ?? false }
      },
      async ensureBlob(key, digest, signal) {
        await refresh()
        return mirror.ensureBlob(key, digest, signal)
      },
      read: (id, position, length, signal) =>
        use(id, async (source) => {
          const buffer = Buffer.allocUnsafeSlow(Math.min(length, MOST_READ))
          return buffer.subarray(0, await source.read(buffer, position, signal))
        }),
      reach: (id, position, length, signal) =>
        use(id, async ({ file }) => (await file?.reach(position, length, signal)) ?? 0),
      release,
    },
    lent: () => lent.size,
    async close() {
      isClosed = true
      await Promise.all([...lent.keys()].map((id) => release(id)))
    },
  }
}
