import { UpstreamError, type Upstream } from './upstream.ts'

/** An upstream that is never asked: what `offline: true` puts in the place of each. */
export function createOfflineUpstream(name: string, endpoints: readonly string[]): Upstream {
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
    state: () => ({
      offline: true,
      // Nothing limits what is not asked; that nothing is asked is said by `offline`.
      pullBudget: 'ample',
      endpoints: endpoints.map((base) => ({ origin: new URL(base).origin, restsFor: 0 })),
      accounts: [],
    }),
    close: () => Promise.resolve(),
  }
}
