import { UpstreamError, type Upstream } from './upstream.ts'

/** An upstream that is never asked: what `offline: true` puts in the place of each. */
export function createOfflineUpstream(name: string): Upstream {
  const refuse = (): Promise<never> =>
    Promise.reject(
      new UpstreamError('unavailable', `${name} is not asked, because this mirror is offline.`),
    )
  return {
    name,
    headManifest: refuse,
    getManifest: refuse,
    headBlob: refuse,
    getBlob: refuse,
    getTags: refuse,
    getReferrers: refuse,
    close: () => Promise.resolve(),
  }
}
