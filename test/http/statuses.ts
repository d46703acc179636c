import type { MirrorStatus } from '../../src/cache/status.ts'

const GIB = 1024 ** 3

/** A mirror with something to say everywhere. */
export const BUSY: MirrorStatus = {
  offline: false,
  store: { bytes: 1.5 * GIB, budget: 10 * GIB, freeBytes: 80 * GIB },
  fills: { running: 2, waitingPrefetches: 14 },
  scrub: { checkedBytes: GIB, damaged: 1, finishedAt: 1_000_000 },
  upstreams: [
    {
      name: 'docker.io',
      offline: false,
      pullBudget: 'scarce',
      endpoints: [
        { origin: 'https://registry-1.docker.io', restsFor: 30_000 },
        { origin: 'https://mirror.gcr.io', restsFor: 0 },
      ],
      accounts: [
        { account: 'credentials[0]', limit: 200, remaining: 17, window: 21_600 },
        { account: 'anonymous', limit: undefined, remaining: undefined, window: undefined },
      ],
    },
  ],
}

/** A mirror that has just been started, offline. */
export const FRESH: MirrorStatus = {
  offline: true,
  store: { bytes: 0, budget: undefined, freeBytes: undefined },
  fills: { running: 0, waitingPrefetches: 0 },
  scrub: { checkedBytes: 0, damaged: 0, finishedAt: undefined },
  upstreams: [
    {
      name: 'quay.io',
      offline: true,
      pullBudget: 'ample',
      endpoints: [{ origin: 'https://quay.io', restsFor: 0 }],
      accounts: [],
    },
  ],
}
