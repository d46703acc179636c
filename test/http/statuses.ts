import type { MirrorStatus } from '../../src/cache/status.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import type { Traffic } from '../../src/traffic.ts'

const GIB = 1024 ** 3

/** A mirror with something to say everywhere. */
export const BUSY: MirrorStatus = {
  startedAt: 1_000_000,
  offline: false,
  store: { bytes: 1.5 * GIB, budget: 10 * GIB, freeBytes: 80 * GIB },
  fills: {
    running: 2,
    waitingPrefetches: 14,
    downloads: [
      {
        upstream: 'docker.io',
        repository: parseRepository('library/redis'),
        digest: digestOf(Buffer.from('layer')),
        bytes: 0.25 * GIB,
        size: GIB,
        rate: 64 * 2 ** 20,
        clients: 3,
      },
      {
        upstream: 'docker.io',
        repository: parseRepository('library/busybox'),
        digest: digestOf(Buffer.from('other layer')),
        bytes: 2000,
        size: undefined,
        rate: 0,
        clients: 0,
      },
    ],
  },
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
  startedAt: 1_000_000,
  offline: true,
  store: { bytes: 0, budget: undefined, freeBytes: undefined },
  fills: { running: 0, waitingPrefetches: 0, downloads: [] },
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

/** Of a mirror that pays. */
export const TRAFFIC: Traffic = {
  clientBytes: 3 * GIB,
  upstreamBytes: GIB,
  savedBytes: 2 * GIB,
  answers: 200,
  hits: 175,
  hitRatio: 0.875,
}

/** Of one that nobody has asked yet. */
export const NO_TRAFFIC: Traffic = {
  clientBytes: 0,
  upstreamBytes: 0,
  savedBytes: 0,
  answers: 0,
  hits: 0,
  hitRatio: undefined,
}
