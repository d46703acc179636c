/** What becomes of an error at the border. */
import { describe, expect, it } from 'vitest'
import { OciError } from '../../src/oci/error.ts'
import { StorageError, type StorageFailure } from '../../src/storage-error.ts'
import { verdict } from '../protocol/answers.ts'
import { metric } from '../scenarios/metrics-page.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { until } from '../support/until.ts'
import { serveMirror, type Served } from './fake-mirror.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const PATHS = ['manifests/v1', `blobs/${DIGEST}`, 'tags/list', `referrers/${DIGEST}`]

describe('trouble with the disk', () => {
  it.each(PATHS)('is 503 for %s, so that clients go elsewhere at once', async (path) => {
    await using served = await serveFailing(full())
    const answer = await ask(served, path)
    expect(verdict(answer)).toBe('503 UNAVAILABLE')
    expect(answer.headers['retry-after']).toBe('5')
  })

  it('is 503 for HEAD too', async () => {
    await using served = await serveFailing(full())
    const { status, headers, body } = await ask(served, 'manifests/v1', 'HEAD')
    expect([status, headers['retry-after'], body.length]).toEqual([503, '5', 0])
  })

  it('is told to the client without what only the operator may know', async () => {
    await using served = await serveFailing(full())
    const { headers, body } = await ask(served, 'manifests/v1')
    expect(body.toString()).toMatch(/disk of this mirror/)
    expect(body.toString()).toContain(headers['x-request-id'])
    expect(body.toString()).not.toMatch(/ENOSPC|\/srv/)
  })

  it('is told to the operator, in the log and the metrics, by its kind', async () => {
    await using served = await serveFailing(full())
    const { headers } = await ask(served, 'manifests/v1')
    expect(served.logs.find(({ level }) => level === 'error')).toMatchObject({
      id: headers['x-request-id'],
      failure: 'full',
      reason: 'The disk is full (ENOSPC on /srv/data).',
    })
    const kinds: readonly StorageFailure[] = ['full', 'damaged']
    const counted = kinds.map((failure) =>
      metric(served, 'entrepot_storage_failures_total', { failure }),
    )
    expect(await Promise.all(counted)).toEqual([1, 0])
    const line = await until(() => served.logs.find(({ msg }) => msg === 'request'))
    expect(line).toMatchObject({ status: 503, reason: expect.stringContaining('The disk is full') })
  })
})

describe('other errors', () => {
  it('keep their code', async () => {
    await using served = await serveFailing(new OciError('MANIFEST_UNKNOWN', 'Not here.'))
    expect(verdict(await ask(served, 'manifests/v1'))).toBe('404 MANIFEST_UNKNOWN')
  })

  it('that nobody thought of are 500, logged whole and told without details', async () => {
    await using served = await serveFailing(new Error('A secret of ours.'))
    const answer = await ask(served, 'manifests/v1')
    expect(verdict(answer)).toBe('500 UNKNOWN')
    expect(answer.body.toString()).not.toContain('secret')
    expect(JSON.stringify(served.logs)).toContain('A secret of ours.')
  })
})

function full(): StorageError {
  return new StorageError('full', 'The disk is full (ENOSPC on /srv/data).')
}

function serveFailing(error: Error): Promise<Served> {
  const fail = async (): Promise<never> => {
    throw error
  }
  return serveMirror({ manifest: fail, blob: fail, blobHead: fail, tags: fail, referrers: fail })
}

function ask({ url }: Served, path: string, method = 'GET'): Promise<ClientResponse> {
  return request({ url, path: `/v2/docker.io/library/app/${path}`, method })
}
