import { describe, expect, it } from 'vitest'
import { type ClientResponse, request } from '../support/client.ts'
import { until } from '../support/until.ts'
import { buildImage } from './images.ts'
import { type RawRegistry, startRawRegistry } from './raw-registry.ts'
import { type Step, wholeAnswer } from './raw-wire.ts'

const SECRETS = { username: 'someone', password: 'secret', tokenPrefix: 'token-' }
const BASIC = `Basic ${Buffer.from('someone:secret').toString('base64')}`
const IMAGE = buildImage({ seed: 'raw registry', layers: [1000] })
const LAYER = IMAGE.blobs.at(-1)?.digest ?? ''

describe('a raw registry', () => {
  it('wants a token for the repository, and a password for the token', async () => {
    await using registry = await startRawRegistry(SECRETS)
    registry.push('some/image', 'v1', IMAGE)
    const refused = await get(registry, 'manifests/v1')
    expect(refused.status).toBe(401)
    expect(refused.headers['www-authenticate']).toBe(
      `Bearer realm="http://${registry.tokenHost}/token",service="raw",scope="repository:some/image:pull"`,
    )
    expect((await askToken(registry, 'some/image', 'Basic wrong')).status).toBe(401)

    const headers = await authorized(registry, 'some/image')
    const manifest = await get(registry, 'manifests/v1', headers)
    expect(manifest.body.equals(IMAGE.bytes)).toBe(true)
    expect(manifest.headers['docker-content-digest']).toBe(IMAGE.digest)
    const other = await authorized(registry, 'other/image')
    expect((await get(registry, 'manifests/v1', other)).status).toBe(401)
    registry.revoke('some/image')
    expect((await get(registry, 'manifests/v1', headers)).status).toBe(401)
  })

  it.each([
    ['bytes=900-', 'bytes 900-999/1000'],
    ['bytes=0-9', 'bytes 0-9/1000'],
    ['bytes=10-5000', 'bytes 10-999/1000'],
  ])('answers the range %s', async (range, expected) => {
    await using registry = await startRawRegistry(SECRETS)
    registry.push('some/image', 'v1', IMAGE)
    const headers = { ...(await authorized(registry, 'some/image')), range }
    const part = await get(registry, `blobs/${LAYER}`, headers)
    expect(part).toMatchObject({ status: 206, headers: { 'content-range': expected } })
    expect(Number(part.headers['content-length'])).toBe(part.body.length)
  })

  it('misbehaves byte for byte, until it is told to stop', async () => {
    await using registry = await startRawRegistry(SECRETS)
    registry.push('some/image', 'v1', IMAGE)
    const headers = await authorized(registry, 'some/image')
    const head = 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n'
    const pull = (): Promise<ClientResponse> => get(registry, 'manifests/v1', headers)

    misbehave(registry, [{ send: `${head}12` }, { pause: 1 }, { send: '345' }, { end: 'close' }])
    expect(await pull()).toMatchObject({ status: 200, complete: false, body: Buffer.from('12345') })
    misbehave(registry, [{ end: 'reset' }])
    await expect(pull()).rejects.toMatchObject({ code: 'ECONNRESET' })
    misbehave(registry, [{ end: 'never' }])
    await expect(get(registry, 'manifests/v1', headers, 50)).rejects.toThrow('silent')
    await until(() => registry.connections() === 0)
    registry.misbehave('some/image', undefined)
    expect((await pull()).body.equals(IMAGE.bytes)).toBe(true)
  })

  it('tells a misbehaviour what was asked, and what would be right', async () => {
    await using registry = await startRawRegistry(SECRETS)
    registry.push('some/image', 'v1', IMAGE)
    const seen: unknown[] = []
    registry.misbehave('some/image', ({ kind, authorized: known, first, healthy, method }) => {
      seen.push([kind, known, first, healthy.status])
      return wholeAnswer(healthy, method)
    })
    const headers = await authorized(registry, 'some/image')
    await get(registry, 'manifests/v1')
    await get(registry, `blobs/${LAYER}`, { ...headers, range: 'bytes=7-' })
    expect(seen).toEqual([
      ['token', true, 0, 200],
      ['manifest', false, 0, 401],
      ['blob', true, 7, 206],
    ])
  })
})

function misbehave(registry: RawRegistry, steps: readonly Step[]): void {
  registry.misbehave('some/image', () => steps)
}

function get(
  { url }: RawRegistry,
  rest: string,
  headers: Record<string, string> = {},
  idleMs = 5000,
): Promise<ClientResponse> {
  return request({ url, path: `/v2/some/image/${rest}`, headers, idleMs })
}

function askToken(
  { tokenHost }: RawRegistry,
  repository: string,
  authorization: string,
): Promise<ClientResponse> {
  const path = `/token?service=raw&scope=repository:${repository}:pull`
  return request({ url: `http://${tokenHost}`, path, headers: { authorization } })
}

async function authorized(
  registry: RawRegistry,
  repository: string,
): Promise<{ authorization: string }> {
  const { body } = await askToken(registry, repository, BASIC)
  const { token } = JSON.parse(body.toString()) as { token: string }
  return { authorization: `Bearer ${token}` }
}
