/** The mirror of the main process, for a worker: the same use-cases, asked over the channel. */
import type { Mirror } from '../cache/mirror.ts'
import type { MirrorStatus } from '../cache/status.ts'
import type { Channel } from './channel.ts'
import { openLentSource } from './lent-source.ts'
import type { MirrorCalls } from './protocol.ts'

type RepositoryKey = Parameters<Mirror['blob']>[0]

interface Dependencies {
  readonly channel: Pick<Channel<MirrorCalls>, 'call' | 'tell'>
  /** Of the main process. */
  readonly pid: number
  /** As the main process said last. */
  readonly tagsVersion: () => number
}

/** Milliseconds after which a main process that says nothing is not ready. */
const READY_WITHIN = 5000

export function createMirrorClient({
  channel,
  pid,
  tagsVersion,
}: Dependencies): Mirror & { status(): Promise<MirrorStatus> } {
  const { call } = channel
  return {
    manifest: (key, reference, wantsBody, isPull = true) =>
      call('manifest', [only(key), reference, wantsBody, isPull]),
    blobHead: (key, digest) => call('blobHead', [only(key), digest]),
    async blob(key, digest) {
      const lent = await call('blob', [only(key), digest])
      return { source: await openLentSource(lent, { channel, pid }), outcome: lent.outcome }
    },
    ensureBlob: (key, digest, signal) => call('ensureBlob', [only(key), digest], signal),
    blobProgress: (key, digest) => call('blobProgress', [only(key), digest]),
    confirmTag: (key, tag) => call('confirmTag', [only(key), tag]),
    upstreamState: (upstream) => call('upstreamState', [upstream]),
    tags: (key, query) => call('tags', [only(key), query]),
    referrers: (key, subject, artifactType, query) =>
      call('referrers', [only(key), subject, artifactType, query]),
    tagsLeadingTo: (key, digest) => call('tagsLeadingTo', [only(key), digest]),
    isOfAge: (key, digest, minAge, kind) => call('isOfAge', [only(key), digest, minAge, kind]),
    tagsVersion,
    describe: (key, reference) => call('describe', [only(key), reference]),
    repositories: (after, limit) => call('repositories', [after && only(after), limit]),
    ready: () => call('ready', [], AbortSignal.timeout(READY_WITHIN)),
    status: () => call('status', []),
    scrub: () => call('scrub', []),
    idle: () => call('idle', []),
    // It is closed where it was made.
    close: async () => undefined,
  }
}

/** Callers have more on their keys than can be sent, or than anybody there needs. */
function only({ upstream, repository }: RepositoryKey): RepositoryKey {
  return { upstream, repository }
}
