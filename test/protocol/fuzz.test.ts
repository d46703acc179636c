/** Random requests, made of what requests are made of: none crashes, hangs, or reaches upstream by mistake. */
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { askedSince } from './asked.ts'
import { rawVerdicts } from './raw-verdicts.ts'

const RUNS = 300
const IMAGE = buildImage({ seed: 'fuzz' })
const BLOB = IMAGE.blobs[1] ?? IMAGE

let registry: FakeRegistry
let mirror: Mirror

beforeAll(async () => {
  registry = await startRegistry()
  registry.push('library/app', 'v1', IMAGE)
  mirror = await startMirror({
    upstreams: { 'docker.io': registry },
    yaml: { defaultUpstream: 'docker.io' },
  })
  await mirror.pull('library/app', 'v1')
})

afterAll(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

const PIECES = [
  ...'/ / / / /v2 /v2/ // /../ /./ v2 docker.io quay.io localhost library app'.split(' '),
  ...'manifests blobs tags/list referrers uploads /manifests/v1 _catalog v1'.split(' '),
  ...'sha256: sha512: %2f %2e%2e %00 % \\ .. ? & = ns=docker.io ns=quay.io n=1 n=-1'.split(' '),
  ...'last= artifactType=x # . : @ __ -- ; , ~ $ * | Upper \xe9 __proto__'.split(' '),
  `/blobs/${BLOB.digest}`,
  `/manifests/${IMAGE.digest}`,
  'a'.repeat(64),
  'A'.repeat(64),
]
const METHODS = 'GET GET GET HEAD HEAD PUT DELETE OPTIONS TRACE FOO get'.split(' ')
const NAMES = [
  ...'Range If-Range If-None-Match Accept Accept-Encoding Authorization Cookie Host'.split(' '),
  ...'Content-Length Transfer-Encoding Expect Upgrade Connection TE User-Agent'.split(' '),
  ...'X-Forwarded-Host X-Forwarded-Proto __proto__ constructor X-a'.split(' '),
]
const VALUES = [
  ...'bytes=0- bytes=-1 bytes=5-2 bytes=0-1,3-4 * 0 5 -1 chunked 100-continue h2c'.split(' '),
  ...'close keep-alive mirror.example [::1] W/" \xe9'.split(' '),
  '',
  'gzip, chunked',
  'Basic x',
  'Bearer y',
  'a b',
  BLOB.digest,
  `"${BLOB.digest}"`,
]

/** Any byte but those that would end the line. */
const latin1 = fc
  .array(fc.integer({ min: 1, max: 255 }), { maxLength: 30 })
  .map((codes) => String.fromCharCode(...codes).replace(/[\r\n]/g, ''))
const target = fc.oneof(
  { weight: 9, arbitrary: fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }) },
  { weight: 1, arbitrary: fc.array(latin1, { maxLength: 5 }) },
)
const asPath = target.map((pieces) => `/${pieces.join('')}`)
const header = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...NAMES) }, latin1),
    fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...VALUES) }, latin1),
  )
  .map(([name, value]) => `${name}: ${value}\r\n`)

/** What was answered, after the checks that hold for every answer. */
async function ask(message: string): Promise<string[]> {
  const send = Buffer.from(message, 'latin1')
  const answer = await exchangeRaw({ url: mirror.url, send, deadlineMs: 5000 })
  expect(answer.closed).toBe(true)
  if (message.startsWith('HEAD')) return []
  const verdicts = rawVerdicts(answer)
  expect(verdicts.length).toBeLessThanOrEqual(1)
  for (const verdict of verdicts) {
    expect(verdict).toMatch(/^(200|206|304|4\d\d [A-Z]+_[A-Z]+|403 DENIED|405 UNSUPPORTED)/)
  }
  return verdicts
}

describe('random requests', () => {
  it('targets: an answer in the words of the protocol; upstream sees only names of the grammar', async () => {
    const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
    const resource = '(?:manifests|blobs|referrers)/[A-Za-z0-9_][A-Za-z0-9_.:-]*|tags/list'
    const legal = new RegExp(
      `^(?:GET|HEAD) /v2/${component}(?:/${component})*/(?:${resource})(?:\\?|$)`,
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...METHODS), asPath, async (method, path) => {
        // The fake takes a tag with this name for a ping.
        fc.pre(!path.includes('manifests/v2'))
        const before = registry.requests.length
        await ask(`${method} ${path} HTTP/1.1\r\nHost: mirror.example\r\nConnection: close\r\n\r\n`)
        for (const request of askedSince(registry, before)) expect(request).toMatch(legal)
      }),
      { numRuns: RUNS },
    )
  })

  it('headers on a request for what is cached: one answer, and nobody is asked', async () => {
    const before = registry.requests.length
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(
          '/v2/',
          `/v2/library/app/blobs/${BLOB.digest}`,
          '/v2/library/app/manifests/v1',
        ),
        fc.array(header, { maxLength: 8 }),
        async (path, headers) => {
          const lines = `Host: mirror.example\r\n${headers.join('')}Connection: close\r\n`
          await ask(`GET ${path} HTTP/1.1\r\n${lines}\r\n`)
        },
      ),
      { numRuns: RUNS },
    )
    expect(askedSince(registry, before)).toEqual([])
  })

  it('where nothing is allowed: nobody is asked, whatever is sent', async () => {
    mirror.reload({ allow: [] })
    const before = registry.requests.length
    await fc.assert(
      fc.asyncProperty(asPath, fc.array(header, { maxLength: 4 }), async (path, headers) => {
        const lines = `Host: mirror.example\r\n${headers.join('')}Connection: close\r\n`
        const verdicts = await ask(`GET ${path} HTTP/1.1\r\n${lines}\r\n`)
        // The page at the root and pings need no permission.
        const isResource = /manifests|blobs|referrers|tags/.test(path.split('?', 1)[0] ?? '')
        expect(isResource && verdicts.includes('200')).toBe(false)
      }),
      { numRuns: RUNS },
    )
    expect(askedSince(registry, before)).toEqual([])
    mirror.reload({ allow: ['**'] })
  })

  it('and after all of them the mirror serves, and no error was logged', async () => {
    expect((await mirror.pull('library/app', 'v1')).digest).toBe(IMAGE.digest)
    expect(mirror.logs.filter(({ level }) => level === 'error')).toEqual([])
  })
})
