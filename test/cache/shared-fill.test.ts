/** Two repositories that ask for one digest at the same time, of which only one holds it. */
import { expect, it } from 'vitest'
import { createMirror } from '../../src/cache/mirror.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import { UpstreamError, type Upstream } from '../../src/upstream/upstream.ts'
import { createGate } from '../fakes/gate.ts'
import { until } from '../support/until.ts'
import { blob, readToEnd } from './fill-under-test.ts'
import { scriptUpstream } from './scripted-upstream.ts'
import { openStoredContent } from './stored-content.ts'

const digest = digestOf(blob)
const holder = { upstream: 'quay.io', repository: parseRepository('team/holder') }
const stranger = { upstream: 'quay.io', repository: parseRepository('team/stranger') }

// Known to fail: the holder's clients join the stranger's fill, and get its 404.
it('E-35: the one without it does not fail the clients of the other', async () => {
  await using content = await openStoredContent()
  await content.catalog.contents.prove(holder, [digest])
  const metrics = createMetrics()
  const log = createLog(undefined, 'silent')
  const gate = createGate()
  const client = registryOf(() => gate.pass())
  const upstream = {
    client,
    tagTtl: 0,
    staleWhileRevalidate: 0,
    staleIfError: Infinity,
    keepDeleted: true,
    complete: 'off',
  } as const
  const mirror = await createMirror({
    ...content,
    disk: { budget: undefined, lowWatermark: undefined, maxUnused: undefined, minFree: 0 },
    scrubRate: 0,
    settings: () => ({
      upstreams: new Map([['quay.io', upstream]]),
      rateLimitStatus: 503,
      admits: () => true,
      minAge: () => 0,
      isApproved: () => false,
      frozenTo: () => undefined,
      frozenDigests: () => [],
      isPinned: () => false,
    }),
    metrics,
    log,
  })
  try {
    const refused = mirror.blob(stranger, digest)
    refused.catch(() => undefined)
    await Promise.race([gate.reached, refused.catch(() => undefined)])
    let isAnswered = false
    const served = mirror.blob(holder, digest).finally(() => (isAnswered = true))
    served.catch(() => undefined)
    const isJoined = async () => /joined_readers_total\S+ 1/.test((await metrics.render()).text)
    await until(async () => isAnswered || (await isJoined()))

    gate.open()

    await expect(refused).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
    const { source } = await served
    expect((await readToEnd(source)).equals(blob)).toBe(true)
  } finally {
    await mirror.close()
  }
})

/** Only the holder has the blob; the stranger's answer takes its time. */
function registryOf(wait: () => Promise<void>): Upstream {
  const upstream = scriptUpstream(blob, [])
  const notFound = new UpstreamError('not-found', 'Upstream does not have it.')
  const client: Pick<Upstream, 'headBlob' | 'getBlob'> = {
    async headBlob(repository) {
      if (repository === stranger.repository) throw notFound
      return { digest, size: blob.length, contentType: undefined }
    },
    async getBlob(repository, _, offset, signal) {
      if (repository !== stranger.repository) return upstream.connect(offset, signal)
      await wait()
      throw notFound
    },
  }
  return client as Upstream
}
