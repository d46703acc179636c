/** What is never given from memory, and when what was remembered is void. */
import { describe, expect, it } from 'vitest'
import { compileRules, createAllowlist } from '../../src/access/allowlist.ts'
import { fileRule } from '../../src/access/rule.ts'
import { OciError } from '../../src/oci/error.ts'
import { StorageError } from '../../src/storage-error.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { principal } from './fake-control.ts'
import {
  ALICE,
  type Asking,
  BY_BLOB,
  BY_DIGEST,
  BY_TAG,
  blobOf,
  CAROL,
  type Found,
  type HotMirror,
  type HotOptions,
  MANIFEST_DIGEST,
  MIB,
  NOW,
  openHotMirror,
  PATHS,
  REPOSITORY,
} from './hot-mirror.ts'

/** What is in memory for sure. */
async function warm(mirror: HotMirror, asking: Asking = {}): Promise<void> {
  for (const path of PATHS) {
    await mirror.ask(path, asking)
    expect(await mirror.isAsked(path, asking), `${path} is in memory`).toBe(false)
  }
}

async function openWarm(options?: HotOptions): Promise<HotMirror> {
  const mirror = await openHotMirror(options)
  try {
    await warm(mirror)
    return mirror
  } catch (error) {
    await mirror[Symbol.asyncDispose]()
    throw error
  }
}

describe('another request goes the long way', () => {
  it.each<[string, Asking]>([
    ['for a part', { headers: { range: 'bytes=0-9' } }],
    ['for all as a range', { headers: { range: 'bytes=0-' } }],
    ['for a range that is none', { headers: { range: 'lines=1-2' } }],
    ['for what has changed', { headers: { 'if-none-match': '"sha256:0"' } }],
    ['for what it has', { headers: { 'if-none-match': '*' } }],
    ['for a part of the same', { headers: { 'if-range': '"sha256:0"' } }],
    ['by somebody else', { headers: ALICE }],
    ['by nobody who is known', { headers: { authorization: 'Basic foreign' } }],
    ['by an empty credential', { headers: { authorization: 'Bearer' } }],
    ['to another host', { headers: { host: 'other.example' } }],
    ['to the same host in other letters', { headers: { host: 'LOCALHOST:5000' } }],
    ['by HEAD', { method: 'HEAD' }],
    ['that expects something', { headers: { expect: 'nothing' } }],
    ['that wants to continue', { headers: { expect: '100-continue' } }],
    ['that upgrades', { headers: { connection: 'upgrade', upgrade: 'h2c' } }],
  ])('%s', async (_, asking) => {
    await using mirror = await openWarm()
    for (const path of PATHS) expect(await mirror.isAsked(path, asking), `again ${path}`).toBe(true)
    // And leaves alone what is remembered for the plain one.
    for (const path of PATHS) expect(await mirror.isAsked(path), `again ${path}`).toBe(false)
  })

  it('with another query', async () => {
    await using mirror = await openWarm()
    for (const path of PATHS) {
      for (const query of ['?', '?ns=docker.io', '?ns=quay.io', '?x', '#x']) {
        expect(await mirror.isAsked(`${path}${query}`), `${path}${query}`).toBe(true)
      }
    }
  })

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('with the method %s', async (method) => {
    await using mirror = await openWarm()
    for (const path of PATHS) expect((await mirror.ask(path, { method })).status).toBe(405)
  })

  it.each([
    ['with two hosts', 'Host: localhost\r\nHost: localhost\r\n'],
    ['with a host twice, of which one is empty', 'Host: localhost\r\nHost:\r\n'],
    ['with a body', 'Host: localhost\r\nContent-Length: 1\r\n'],
    ['with chunks', 'Host: localhost\r\nTransfer-Encoding: chunked\r\n'],
    ['without a host', ''],
    ['with more lines than are read', `Host: localhost\r\n${'X: y\r\n'.repeat(101)}`],
  ])('%s', async (_, head) => {
    await using mirror = await openHotMirror()
    for (const path of PATHS) {
      const plain = { headers: { host: 'localhost' } }
      await mirror.ask(path, plain)
      expect(await mirror.isAsked(path, plain)).toBe(false)
      const answer = await exchangeRaw({
        url: mirror.url,
        send: `GET ${path} HTTP/1.1\r\n${head}\r\n`,
        enough: hasHead,
      })
      expect(answer.text).toMatch(/^HTTP\/1\.1 400 /)
    }
  })
})

describe('what follows an odd request is not marked by it', () => {
  it.each<[string, Asking]>([
    ['a part', { headers: { range: 'bytes=0-9' } }],
    ['an upgrade', { headers: { connection: 'upgrade', upgrade: 'h2c' } }],
    ['the end of the connection', { headers: { connection: 'close' } }],
    ['a condition', { headers: { 'if-none-match': '*' } }],
  ])('%s', async (_, odd) => {
    await using mirror = await openHotMirror()
    for (const path of PATHS) {
      const send = `GET ${path} HTTP/1.1\r\nHost: ${new URL(mirror.url).host}\r\n\r\n`
      await mirror.ask(path, odd)
      for (let time = 0; time < 2; time += 1) {
        const { text } = await exchangeRaw({ url: mirror.url, send, enough: hasHead })
        expect(text).toMatch(/^HTTP\/1\.1 200 /)
        expect(text).toMatch(/^Connection: keep-alive\r$/im)
        expect(text).not.toMatch(/^Connection: close\r$/im)
      }
    }
  })

  it('nor by one of HTTP/1.0', async () => {
    await using mirror = await openHotMirror()
    const { host } = new URL(mirror.url)
    for (const path of PATHS) {
      for (const [version, isClosed] of [
        ['1.0', true],
        ['1.0', true],
        ['1.1', false],
        ['1.0', true],
      ] as const) {
        const { text, closed } = await exchangeRaw({
          url: mirror.url,
          send: `GET ${path} HTTP/${version}\r\nHost: ${host}\r\n\r\n`,
          enough: (it) => version === '1.1' && hasHead(it),
        })
        expect(text).toMatch(/^HTTP\/1\.1 200 /)
        expect([closed, /^Connection: close\r$/im.test(text)]).toEqual([isClosed, isClosed])
      }
    }
    expect(mirror.calls).toHaveLength(2 * PATHS.length)
  })
})

describe('an answer is not remembered', () => {
  it.each<[string, Partial<Found>]>([
    ['that was just fetched', { outcome: 'miss' }],
    ['that somebody else has begun to fetch', { outcome: 'joined' }],
    ['that was just confirmed', { outcome: 'revalidated' }],
    ['that is stale', { outcome: 'stale', staleBecause: 'docker.io is away' }],
    ['that is out of date by its name', { staleBecause: 'docker.io has newer', freshUntil: 0 }],
    ['that is passed through', { outcome: 'bypass' }],
    ['that has to be asked for again', { freshUntil: 0 }],
    ['that is fresh no more', { freshUntil: NOW }],
  ])('%s', async (_, found) => {
    await using mirror = await openHotMirror()
    Object.assign(mirror.state.manifest, found)
    for (const method of ['GET', 'HEAD', 'GET', 'HEAD']) {
      expect(await mirror.isAsked(BY_TAG, { method })).toBe(true)
      expect(await mirror.isAsked(BY_DIGEST, { method })).toBe(true)
    }
  })

  it.each(['miss', 'joined', 'bypass'] as const)('of a blob that is a %s', async (outcome) => {
    await using mirror = await openHotMirror()
    mirror.state.blobOutcome = outcome
    for (const method of ['GET', 'HEAD', 'GET', 'HEAD']) {
      expect(await mirror.isAsked(BY_BLOB, { method })).toBe(true)
    }
  })

  it('of a blob of more than 1 MiB, which its HEAD may be', async () => {
    await using mirror = await openHotMirror()
    const path = `${REPOSITORY}/blobs/${blobOf(MIB + 1)}`
    for (let time = 0; time < 2; time += 1) expect(await mirror.isAsked(path)).toBe(true)
    await mirror.ask(path, { method: 'HEAD' })
    expect(await mirror.isAsked(path, { method: 'HEAD' })).toBe(false)
  })

  it('that says 304, or 206', async () => {
    await using mirror = await openHotMirror()
    const same = { headers: { 'if-none-match': `"${MANIFEST_DIGEST}"` } }
    const part = { headers: { range: 'bytes=1-2' } }
    for (let time = 0; time < 2; time += 1) {
      expect((await mirror.ask(BY_TAG, same)).status).toBe(304)
      expect((await mirror.ask(BY_BLOB, part)).status).toBe(206)
    }
    expect((await mirror.ask(BY_TAG)).status).toBe(200)
    expect((await mirror.ask(BY_BLOB)).status).toBe(200)
  })

  it('that is an error, and none is from memory while there is one', async () => {
    let isThere = false
    let tried = 0
    await using mirror = await openHotMirror({
      mirror: {
        async manifest() {
          tried += 1
          if (isThere) throw new OciError('UNAVAILABLE', 'The disk is away.')
          throw new OciError('MANIFEST_UNKNOWN', 'There is no such manifest.')
        },
      },
    })
    for (let time = 0; time < 3; time += 1) expect((await mirror.ask(BY_TAG)).status).toBe(404)
    isThere = true
    for (let time = 0; time < 3; time += 1) expect((await mirror.ask(BY_TAG)).status).toBe(503)
    expect(tried).toBe(6)
  })

  it('of who shows something wrong, which is looked at each time', async () => {
    await using mirror = await openHotMirror()
    const foreign = { headers: { authorization: 'Bearer foreign' } }
    for (const path of [...PATHS, ...PATHS]) {
      expect(await mirror.isAsked(path, foreign)).toBe(true)
    }
  })

  it('where there is no memory for it', async () => {
    await using mirror = await openHotMirror({ memory: 0 })
    for (const path of [...PATHS, ...PATHS]) expect(await mirror.isAsked(path)).toBe(true)
  })
})

describe('where a rule has to look at what a digest is', () => {
  it('a digest is not remembered under a rule on tags', async () => {
    const allowlist = createAllowlist(['docker.io/library/app:v1'], [])
    expect(await remembered({ allowlist })).toEqual(['GET tag', 'HEAD tag'])
  })

  it('a digest is not remembered while tags are refused', async () => {
    const allowlist = createAllowlist(['**'], ['docker.io/library/app:old'])
    expect(await remembered({ allowlist })).toEqual(['GET tag', 'HEAD tag'])
  })

  it('nothing is remembered under a rule on age', async () => {
    const rule = fileRule('allow', '**', { place: 0, minAge: 1000 })
    await using mirror = await openHotMirror({
      allowlist: compileRules([rule]),
      mirror: { isOfAge: async () => true },
    })
    for (const path of [...PATHS, ...PATHS]) {
      expect((await mirror.ask(path)).status).toBe(200)
      expect(await mirror.isAsked(path)).toBe(true)
    }
  })

  it('the tag of a signature is not remembered that comes in where its subject may', async () => {
    const allowlist = createAllowlist(['docker.io/library/app:v1'], [])
    await using mirror = await openHotMirror({ allowlist })
    const path = `${REPOSITORY}/manifests/${MANIFEST_DIGEST.replace(':', '-')}.sig`
    expect((await mirror.ask(path)).status).toBe(200)
    expect(await mirror.isAsked(path)).toBe(true)
  })

  it('and all is where no rule has to', async () => {
    const found = await remembered({ allowlist: createAllowlist(['**'], ['docker.io/other:old']) })
    expect(found).toEqual([
      'GET tag',
      'GET digest',
      'GET blob',
      'HEAD tag',
      'HEAD digest',
      'HEAD blob',
    ])
  })

  /** What is given from memory of what may be pulled. */
  async function remembered(options: HotOptions): Promise<string[]> {
    await using mirror = await openHotMirror(options)
    const found: string[] = []
    for (const method of ['GET', 'HEAD']) {
      for (const [at, path] of PATHS.entries()) {
        const { status } = await mirror.ask(path, { method })
        if (status !== 200) throw new Error(`${method} ${path} was answered ${status}.`)
        const kind = ['tag', 'digest', 'blob'][at] ?? ''
        if (!(await mirror.isAsked(path, { method }))) found.push(`${method} ${kind}`)
      }
    }
    return found
  }
})

describe('what was remembered is void', () => {
  it.each<[string, (mirror: HotMirror) => void]>([
    ['after 30 s', ({ state }) => (state.now += 30_000)],
    ['when the clock was set back', ({ state }) => (state.now -= 1)],
    ['under another policy', ({ state }) => (state.policy = { ...state.policy })],
    ['when tags mean something else', ({ state }) => (state.tagsVersion += 1)],
  ])('%s', async (_, happen) => {
    await using mirror = await openWarm()
    happen(mirror)
    for (const path of PATHS) expect(await mirror.isAsked(path), `again ${path}`).toBe(true)
    // From here on it is remembered again.
    for (const path of PATHS) expect(await mirror.isAsked(path), `again ${path}`).toBe(false)
  })

  it('while something has changed that nobody has looked at yet', async () => {
    await using mirror = await openWarm()
    mirror.state.isCurrent = false
    for (const path of [...PATHS, ...PATHS])
      expect(await mirror.isAsked(path), `again ${path}`).toBe(true)
  })

  it('while it cannot be found out whether something has changed, which ends nothing else', async () => {
    await using mirror = await openWarm()
    Object.defineProperty(mirror.state, 'isCurrent', {
      get() {
        throw new StorageError('broken', 'The disk is away.')
      },
    })
    for (const path of [...PATHS, ...PATHS])
      expect(await mirror.isAsked(path), `again ${path}`).toBe(true)
  })

  it('not before 30 s', async () => {
    await using mirror = await openWarm()
    mirror.state.now += 29_999
    for (const path of PATHS) expect(await mirror.isAsked(path), `again ${path}`).toBe(false)
  })

  it('when the tag has to be confirmed, to the millisecond', async () => {
    await using mirror = await openHotMirror()
    mirror.state.manifest = { freshUntil: NOW + 1000 }
    for (const method of ['GET', 'HEAD']) {
      mirror.state.now = NOW
      await mirror.ask(BY_TAG, { method })
      mirror.state.now = NOW + 999
      expect(await mirror.isAsked(BY_TAG, { method })).toBe(false)
      mirror.state.now = NOW + 1000
      expect(await mirror.isAsked(BY_TAG, { method })).toBe(true)
    }
  })

  it('when the credential ends, to the millisecond', async () => {
    const dave = principal('user', 'dave', 'pull=docker.io/**')
    const identities = { 'Bearer dave': { principal: dave, validUntil: NOW + 1000 } }
    await using mirror = await openHotMirror({ anonymous: [], identities })
    const asking = { headers: { authorization: 'Bearer dave' } }
    await warm(mirror, asking)
    mirror.state.now += 999
    for (const path of PATHS) expect(await mirror.isAsked(path, asking)).toBe(false)
    mirror.state.now += 1
    for (const path of [...PATHS, ...PATHS]) expect(await mirror.isAsked(path, asking)).toBe(true)
  })

  it('for one policy alone, also where an earlier one comes back', async () => {
    await using mirror = await openWarm()
    const before = mirror.state.policy
    mirror.state.policy = { ...before }
    await mirror.ask(BY_TAG)
    mirror.state.policy = before
    expect(await mirror.isAsked(BY_TAG)).toBe(true)
  })

  it('by rules that refuse it, for each of those who had it', async () => {
    await using mirror = await openHotMirror()
    for (const headers of [{}, ALICE, CAROL]) await warm(mirror, { headers })
    mirror.state.policy = { ...mirror.state.policy, allowlist: createAllowlist([], []) }
    for (const headers of [{}, ALICE, CAROL]) {
      for (const path of PATHS) expect((await mirror.ask(path, { headers })).status).toBe(403)
    }
  })
})

const hasHead = (text: string): boolean => text.includes('\r\n\r\n')
