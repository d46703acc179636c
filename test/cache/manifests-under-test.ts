/** The use-cases of manifests over a real store and catalog, an upstream by script, and a clock by hand. */
import type { ManifestAnswer } from '../../src/cache/manifest-answer.ts'
import { createManifestStore, type StoredManifest } from '../../src/cache/manifest-store.ts'
import { createManifests, type Manifests } from '../../src/cache/manifests.ts'
import { createUpstreamWork, type UpstreamWork } from '../../src/cache/upstream-work.ts'
import type { CacheSettings, MirroredUpstream } from '../../src/cache/upstreams.ts'
import type { RepositoryKey } from '../../src/catalog/catalog.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { parseRepository, parseTag, type Tag } from '../../src/oci/reference.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { ORDINARY, type ScriptedManifests, scriptManifests } from './scripted-manifests.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

export const APP: RepositoryKey = {
  upstream: 'docker.io',
  repository: parseRepository('library/app'),
}
export const V1 = parseTag('v1')

export function outage(): UpstreamError {
  return new UpstreamError('unavailable', 'The connection was refused.')
}

export interface ManifestsUnderTest extends AsyncDisposable {
  readonly manifests: Manifests
  readonly upstream: ScriptedManifests
  readonly content: StoredContent
  readonly work: UpstreamWork
  readonly clock: { now: number }
  /** What rules and operators say; may be changed at any time. */
  readonly rules: {
    /** Milliseconds, by tag; 0 for others. */
    readonly minAge: Map<Tag, number>
    readonly approved: Set<Digest>
    readonly frozen: Map<Tag, Digest>
  }
  readonly lines: readonly string[]
  readonly pulled: readonly StoredManifest[]
  /** Of `v1`, with its body. */
  pull(): Promise<ManifestAnswer>
  /** The manifest is not in memory any more, nor stored. */
  lose(digest: Digest): Promise<void>
  /** The metrics page. */
  page(): Promise<string>
  /** The same data after a start: nothing is in memory. */
  restarted(): Manifests
}

/** @param broken puts something in the place of the store or the catalog */
export async function openManifests(
  settings: Partial<MirroredUpstream> = {},
  broken: (content: StoredContent) => Partial<StoredContent> = () => ({}),
): Promise<ManifestsUnderTest> {
  const clock = { now: 1_700_000_000_000 }
  const opened = await openStoredContent(() => clock.now)
  const content = { ...opened, ...broken(opened) }
  const upstream = scriptManifests(APP.upstream)
  const shutdown = new AbortController()
  const work = createUpstreamWork(shutdown.signal)
  const lines: string[] = []
  const pulled: StoredManifest[] = []
  const common = {
    ...content,
    metrics: createMetrics(),
    log: createLog({ write: (line) => void lines.push(line) }),
    now: () => clock.now,
  }
  const rules: ManifestsUnderTest['rules'] = {
    minAge: new Map(),
    approved: new Set(),
    frozen: new Map(),
  }
  const cacheSettings: CacheSettings = {
    upstreams: new Map([[APP.upstream, { ...ORDINARY, ...settings, client: upstream.client }]]),
    rateLimitStatus: 503,
    admits: () => true,
    minAge: (_key, tag) => rules.minAge.get(tag) ?? 0,
    isApproved: (_key, digest) => rules.approved.has(digest),
    frozenTo: (_key, tag) => rules.frozen.get(tag),
    frozenDigests: () => [...rules.frozen.values()],
    isPinned: () => false,
  }
  const create = (store = createManifestStore(common)): Manifests =>
    createManifests({
      ...common,
      manifests: store,
      work,
      settings: () => cacheSettings,
      onPulled: (_key, manifest) => void pulled.push(manifest),
    })
  const store = createManifestStore(common)
  const manifests = create(store)

  return {
    manifests,
    upstream,
    content: opened,
    work,
    clock,
    rules,
    lines,
    pulled,
    pull: () => manifests.byTag(APP, V1, true),
    async lose(digest) {
      await opened.store.delete(digest)
      await opened.catalog.contents.forgetManifest(digest)
      store.forget(digest)
    },
    page: async () => (await common.metrics.render()).text,
    restarted: () => create(),
    async [Symbol.asyncDispose]() {
      upstream.mood.gate?.open()
      shutdown.abort(new Error('The test is over.'))
      await work.idle()
      await opened[Symbol.asyncDispose]()
    },
  }
}
