/** What becomes of an error at the border. */
import { STATUS_CODES } from 'node:http'
import { describe, expect, it } from 'vitest'
import { ControlError } from '../../src/control/error.ts'
import { OciError } from '../../src/oci/error.ts'
import { StorageError, type StorageFailure } from '../../src/storage-error.ts'
import { verdict } from '../protocol/answers.ts'
import { metric } from '../scenarios/metrics-page.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { until } from '../support/until.ts'
import { fakeControl } from './fake-control.ts'
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
  it('have headers in the case that proxies and people know them by', async () => {
    await using served = await serveMirror({})
    const send = 'PUT /v2/a HTTP/1.1\r\nHost: mirror.example\r\nConnection: close\r\n\r\n'
    const { text } = await exchangeRaw({ url: served.url, send })
    expect(text).toContain('\r\nAllow: GET, HEAD\r\n')
    expect(text).toContain('\r\nContent-Type: application/json\r\n')
  })

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

describe('errors of the API', () => {
  const TYPE = 'application/problem+json'

  it.each([
    ['invalid', 400],
    ['unauthenticated', 401],
    ['forbidden', 403],
    ['not-found', 404],
    ['conflict', 409],
    ['last-admin', 409],
  ] as const)('say %s as RFC 9457 has it', async (code, status) => {
    const fields = code === 'invalid' ? [{ path: 'pattern', message: 'has three stars' }] : []
    await using served = await serveRefusing(new ControlError(code, 'That cannot be done.', fields))
    const answer = await askApi(served)
    expect([answer.status, answer.headers['content-type']]).toEqual([status, TYPE])
    expect(JSON.parse(answer.body.toString())).toEqual({
      type: `urn:entrepot:${code}`,
      title: STATUS_CODES[status],
      status,
      detail: 'That cannot be done.',
      ...(fields.length > 0 && { errors: fields }),
    })
    const challenge = status === 401 ? 'Bearer realm="entrepot"' : undefined
    expect(answer.headers['www-authenticate']).toBe(challenge)
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  it('say when to try again', async () => {
    const identities = { 'Basic x': { credential: 'rejected', retryAfter: 7 } } as const
    await using served = await serveMirror({}, { control: fakeControl({ identities }) })
    const answer = await askApi(served, 'Basic x')
    expect([answer.status, answer.headers['retry-after']]).toEqual([429, '7'])
    expect(answer.headers['content-type']).toBe(TYPE)
    expect(JSON.parse(answer.body.toString())).toMatchObject({ type: 'about:blank', status: 429 })
  })

  it('that nobody thought of are told without details', async () => {
    await using served = await serveRefusing(new Error('A secret of ours.'))
    const answer = await askApi(served)
    expect([answer.status, answer.headers['content-type']]).toEqual([500, TYPE])
    expect(answer.body.toString()).not.toContain('A secret of ours.')
    expect(JSON.stringify(served.logs)).toContain('A secret of ours.')
  })

  it('are told so for paths below it alone, also where it is not served', async () => {
    const parts = { registry: true, api: false }
    await using served = await serveMirror({}, { parts })
    const types = async (path: string): Promise<string | undefined> =>
      (await request({ url: served.url, path })).headers['content-type']
    expect(await types('/api/v1/rules')).toBe(TYPE)
    expect(await types('/api/v1')).toBe(TYPE)
    expect(await types('/api/v10')).toBe('application/json')
    expect(await types('/api/v2/app/tags/list')).toBe('application/json')
  })

  function serveRefusing(reason: Error): Promise<Served> {
    const refresh = (): Promise<void> => Promise.reject(reason)
    return serveMirror({}, { control: fakeControl({ refresh }) })
  }

  function askApi({ url }: Served, authorization = 'Basic y'): Promise<ClientResponse> {
    return request({ url, path: '/api/v1/rules', headers: { Authorization: authorization } })
  }
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
