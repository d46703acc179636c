/** Whatever a client sends: refused in the words of the protocol, and nothing happens because of it. */
import { readdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { buildImage, randomBlob } from '../fakes/images.ts'
import { createGate } from '../fakes/gate.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { until, within } from '../support/until.ts'
import { BAD_MESSAGES, SMUGGLED } from './bad-messages.ts'
import { BAD_TARGETS } from './bad-targets.ts'
import { openConnection } from './raw-connection.ts'
import { rawVerdicts } from './raw-verdicts.ts'

const IMAGE = buildImage({ seed: 'bad input' })
const BLOB = IMAGE.blobs[1] ?? IMAGE

let registry: FakeRegistry
let mirror: Mirror
let asked = 0

beforeAll(async () => {
  registry = await startRegistry()
  registry.push('library/app', 'v1', IMAGE)
  mirror = await startMirror({
    upstreams: { 'docker.io': registry, 'quay.io': registry },
    yaml: { defaultUpstream: 'docker.io', hosts: { 'quay.mirror.lan': 'quay.io' } },
    allow: ['docker.io/library/*', 'quay.io/coreos/**'],
  })
  await mirror.pull('library/app', 'v1')
})

beforeEach(() => {
  asked = registry.requests.length
})

afterAll(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

describe('targets', () => {
  it.each(BAD_TARGETS)('%s: %s', async (_what, target, expected) => {
    const head = 'HTTP/1.1\r\nHost: mirror.example\r\nConnection: close\r\n\r\n'
    const got = await exchangeRaw({ url: mirror.url, send: `GET ${target} ${head}` })
    expect(rawVerdicts(got)).toEqual([expected])
    const headed = await exchangeRaw({ url: mirror.url, send: `HEAD ${target} ${head}` })
    expect(headed.text).toContain(`HTTP/1.1 ${expected.slice(0, 3)} `)
    expect(registry.requests).toHaveLength(asked)
  })
})

describe('messages', () => {
  it.each(BAD_MESSAGES)('%s', async (_what, bytes, expected) => {
    const answer = await exchangeRaw({ url: mirror.url, send: Buffer.from(bytes, 'latin1') })
    expect(rawVerdicts(answer)).toEqual(expected)
    const versions = answer.text.match(/^docker-distribution-api-version: registry\/2\.0\r$/gim)
    expect(versions ?? []).toHaveLength(expected.length)
    expect(answer.closed).toBe(true)
    expect(registry.requests).toHaveLength(asked)
  })

  it('what cannot be read ends an answer that is under way, and is not answered within it', async () => {
    const bytes = randomBlob(400_000, 'under way')
    const digest = registry.pushBlob('library/app', bytes)
    const gate = createGate()
    registry.fault({ match: { digest }, hold: { after: 300_000, gate } })
    using connection = openConnection(mirror.url)
    connection.send(`GET /v2/library/app/blobs/${digest} HTTP/1.1\r\nHost: mirror.example\r\n\r\n`)
    await until(() => connection.received().length > 200_000)
    connection.send('what is this?\r\n\r\n')
    await within(connection.closed)
    gate.open()
    const body = connection.received().split('\r\n\r\n').slice(1).join('\r\n\r\n')
    const sent = Buffer.from(bytes).toString('latin1')
    expect(body.length).toBeLessThan(sent.length)
    expect(sent.startsWith(body)).toBe(true)
    await mirror.app.idle()
  })

  it('a request behind one that ends the connection is never looked at', async () => {
    using connection = openConnection(mirror.url)
    const upload = 'PUT /v2/library/app/manifests/v1 HTTP/1.1\r\nHost: mirror.example\r\n'
    connection.send(`${upload}Content-Length: ${SMUGGLED.length}\r\n\r\n`)
    connection.send(SMUGGLED + SMUGGLED)
    await within(connection.closed)
    expect(rawVerdicts({ text: connection.received() })).toEqual(['405 UNSUPPORTED'])
  })
})

describe('ranges and conditions', () => {
  it.each([
    ['bytes=0-0', '206'],
    ['bytes=-1', '206'],
    ['bytes=0-99999999999', '206'],
    ['bytes=999999-', '416 RANGE_INVALID'],
    ['bytes=5-2', '416 RANGE_INVALID'],
    ['bytes=-0', '416 RANGE_INVALID'],
    [`bytes=${'9'.repeat(15)}-`, '416 RANGE_INVALID'],
    [`bytes=${'9'.repeat(400)}-`, '416 RANGE_INVALID'],
    ['bytes=', '200'],
    ['bytes=-', '200'],
    ['bytes=a-b', '200'],
    ['bytes=0-1-2', '200'],
    ['bytes=--1', '200'],
    ['bytes=0x0-0x1', '200'],
    ['bytes=1.5-2', '200'],
    ['bytes 0-1', '200'],
    ['lines=0-1', '200'],
    ['none', '200'],
    ['\xff', '200'],
    [`bytes=${'0-0,'.repeat(2000)}0-0`, '200'],
  ])('Range: %s', async (range, expected) => {
    expect(await askWith(`Range: ${range}`)).toEqual([expected])
  })

  it.each([
    ['""', '200'],
    ['"', '200'],
    ['W/', '200'],
    [`"${'a'.repeat(8000)}"`, '200'],
    [',"x"'.repeat(2000), '200'],
    [`"${BLOB.digest}", "x"`, '304'],
    ['\xff', '200'],
  ])('If-None-Match: %s', async (condition, expected) => {
    expect(await askWith(`If-None-Match: ${condition}`)).toEqual([expected])
  })

  it.each([
    'Accept: ',
    'Accept: ;;;,,,q=2;x',
    `Accept: ${'a/b, '.repeat(2000)}`,
    'Accept-Encoding: gzip, br, zstd, *;q=0',
    'Authorization: Basic !!!',
    'Authorization: Bearer \x80\xff',
    'Authorization: ',
    'Cookie: __proto__=1; a=b',
    'X-Forwarded-Host: evil.example',
    'X-Forwarded-For: \t',
    'X-Original-URL: /metrics',
    'If-Modified-Since: yesterday',
    'TE: trailers',
    'Trailer: X',
    'Via: 1.1 loop',
    'Content-Type: a/b; charset=\x80',
    'User-Agent: \xa0',
    'Content-Length: 0',
  ])('%s changes nothing', async (header) => {
    expect(await askWith(header)).toEqual(['200'])
  })

  async function askWith(header: string): Promise<string[]> {
    const path = `/v2/library/app/blobs/${BLOB.digest}`
    const send = `GET ${path} HTTP/1.1\r\nHost: mirror.example\r\n${header}\r\nConnection: close\r\n\r\n`
    const answer = await exchangeRaw({ url: mirror.url, send: Buffer.from(send, 'latin1') })
    expect(answer.closed).toBe(true)
    expect(registry.requests).toHaveLength(asked)
    return rawVerdicts(answer)
  }
})

describe('slow clients', () => {
  it('who never end their headers are told, and closed', { timeout: 40_000 }, async () => {
    const send = 'GET /v2/ HTTP/1.1\r\nHost: mirror.example\r\nX: '
    const answer = await exchangeRaw({ url: mirror.url, send, deadlineMs: 30_000 })
    expect(answer.closed).toBe(true)
    expect(rawVerdicts(answer)).toEqual(['408 SIZE_INVALID'])
    await until(() => mirror.get('/v2/').then(({ status }) => status === 200))
  })
})

describe('after all this', () => {
  it('the mirror serves, no error was logged, and no file lies where none belongs', async () => {
    const { digest } = await mirror.pull('library/app', 'v1')
    expect(digest).toBe(IMAGE.digest)
    expect(mirror.logs.filter(({ level }) => level === 'error')).toEqual([])
    expect(mirror.logs.map(({ repository }) => repository)).not.toContain('library/smuggled')
    expect(await readdir(dirname(mirror.dataDir))).toEqual(['data'])
    expect((await readdir(mirror.dataDir)).toSorted()).toEqual([
      'blobs-v1',
      'catalog.sqlite',
      'catalog.sqlite-shm',
      'catalog.sqlite-wal',
      'control.sqlite',
      'control.sqlite-shm',
      'control.sqlite-wal',
      'journal.jsonl',
      'lock.sqlite',
      'lock.sqlite-journal',
      'spool',
    ])
  })
})
