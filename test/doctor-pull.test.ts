/** Pulls of the doctor, through a real mirror or one that is in trouble. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { CLIENT_NAMES, parsePulledImage, type ClientName, type Login } from '../src/doctor.ts'
import { choosePlatform, imageName, ownPlatform } from '../src/doctor/pulled-image.ts'
import { answering, listen, type Answer } from './cli/answering-server.ts'
import { examined, placeOf, type Examined } from './doctor-findings.ts'
import { buildImage, buildMultiPlatform } from './fakes/images.ts'
import { startRegistry } from './fakes/registry.ts'
import { startMirror } from './support/mirror.ts'
import { openPeople } from './support/people.ts'
import { until } from './support/until.ts'

const IMAGE = 'quay.io/team/tool:1'

interface PullWith {
  readonly image?: string
  readonly login?: Login
}

function pulled(
  url: string,
  client: ClientName = 'containerd',
  { image = IMAGE, login }: PullWith = {},
): Promise<Examined> {
  const pull = { image: parsePulledImage(image), client }
  return examined({ place: placeOf(url), pull, login })
}

describe('a pull through a mirror', () => {
  it('goes the way of each client, and verifies what comes', async () => {
    await using registry = await startRegistry()
    const image = buildImage({ seed: 'doctor', layers: [2000, 500, 90_000] })
    registry.push('team/tool', '1', image)
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const first = await pulled(mirror.url, 'podman')
    expect(first.of('pull as podman').map(untimed)).toEqual([
      `ok: ${IMAGE} is ${image.digest} (miss, … ms)`,
      'ok: its config has the right digest (miss, … ms)',
      'ok: the smallest of its 3 layers has the right digest: 500 bytes in … ms (miss)',
      'ok: the largest layer (87.9 KiB) begins after … ms (miss)',
    ])
    await mirror.app.idle()
    for (const client of CLIENT_NAMES) {
      const lines = (await pulled(mirror.url, client)).of(`pull as ${client}`)
      expect([client, lines.map(untimed)]).toEqual([
        client,
        [
          `ok: ${IMAGE} is ${image.digest} (hit, … ms)`,
          'ok: its config has the right digest (hit, … ms)',
          'ok: the smallest of its 3 layers has the right digest: 500 bytes in … ms (hit)',
          expect.stringMatching(/begins after/),
        ],
      ])
    }
  })

  it('says how fast a larger layer comes', async () => {
    await using registry = await startRegistry()
    registry.push('team/tool', '1', buildImage({ seed: 'doctor', layers: [2 ** 20] }))
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    expect((await pulled(mirror.url)).of('pull as containerd')[2]).toMatch(
      /^ok: its only layer has the right digest: 1\.0 MiB at [\d.]+ \w+\/s \(miss\)$/,
    )
  })

  it('takes the image of this platform', async () => {
    await using registry = await startRegistry()
    const index = buildMultiPlatform('doctor', [700])
    registry.push('team/tool', '1', index)
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const found = await pulled(mirror.url, 'containerd', {
      image: `quay.io/team/tool@${index.digest}`,
    })
    const lines = found.of('pull as containerd').map(untimed)
    expect(lines[0]).toBe(`ok: quay.io/team/tool@${index.digest} is ${index.digest} (miss, … ms)`)
    // As Node has it, this machine is one of the two.
    expect(lines[2]).toBe('ok: its only layer has the right digest: 700 bytes in … ms (miss)')
    expect(choosePlatform(JSON.parse(Buffer.from(index.bytes).toString()), 'linux/s390x')).toEqual({
      digest: undefined,
      platforms: ['linux/amd64', 'linux/arm64'],
    })
    expect([ownPlatform('x64'), ownPlatform('arm64')]).toEqual(['linux/amd64', 'linux/arm64'])
  })

  it('says what the mirror says of an image that is not allowed', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry }, allow: [] })
    for (const client of ['containerd', 'podman'] as const) {
      const found = (await pulled(mirror.url, client)).finding(`pull as ${client}`)
      expect(found).toMatchObject({
        state: 'failed',
        found: expect.stringMatching(
          /^manifest 1: status 403 DENIED: .+ \(request [\w-]+ in the log\)$/,
        ),
        advice: expect.stringContaining(`entrepot explain ${IMAGE}`),
      })
    }
    // A refused HEAD does not say why: the same was asked once more.
    expect(registry.requests).toEqual([])
  })

  it.each([
    ['quay.io/team/other:1', /status 404/, /mend the name or the tag/],
    ['other.example/team/tool:1', /status 404 NAME_UNKNOWN/, /upstreams of the mirror/],
  ])('says that %s is not there', async (image, sentence, advice) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const found = await pulled(mirror.url, 'crane', { image })
    expect(found.finding('pull as crane')).toMatchObject({
      state: 'failed',
      found: expect.stringMatching(sentence),
      advice: expect.stringMatching(advice),
    })
  })

  it('says that upstream is in trouble', async () => {
    await using registry = await startRegistry()
    registry.fault({ status: 503 })
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    expect((await pulled(mirror.url)).finding('pull as containerd')).toMatchObject({
      state: 'failed',
      advice: expect.stringMatching(/^Upstream limits requests or is out of order: ask again/),
    })
  })

  it('logs in as the client does', async () => {
    await using registry = await startRegistry()
    registry.push('team/tool', '1', buildImage({ seed: 'doctor', layers: [700] }))
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry }, anonymous: [] })
    const people = await openPeople(mirror)
    await people.user('alice', 'right password', 'pull quay.io/**')
    const alice = { username: 'alice', password: 'right password' }
    for (const client of ['containerd', 'podman', 'jib'] as const) {
      const found = await pulled(mirror.url, client, { login: alice })
      expect([client, found.finding(`pull as ${client}`).state]).toEqual([client, 'ok'])
      expect(found.of('login')).toEqual(['ok: alice may log in'])
      const wrong = await pulled(mirror.url, client, { login: { ...alice, password: 'wrong' } })
      expect(wrong.of('login')).toEqual(['failed: the mirror does not accept the login of alice'])
      expect(wrong.finding(`pull as ${client}`)).toMatchObject({
        state: 'failed',
        found: 'the mirror does not accept the login of alice',
      })
      expect(JSON.stringify([found.findings, wrong.findings])).not.toMatch(/right password|wrong/)
    }
    const nobody = await pulled(mirror.url, 'podman')
    expect(nobody.finding('pull as podman')).toMatchObject({
      state: 'failed',
      advice: expect.stringContaining('--username'),
    })
  })
})

/** A mirror that serves one image, but for what a test has instead. */
async function scripted(special: (path: string) => Answer | undefined) {
  const { config, layer, manifest } = TEXTS
  const answers = new Map([
    ['/v2/', {}],
    [`/manifests/${digestOf(manifest)}`, { body: manifest }],
    ['/manifests/1', { body: manifest, headers: { 'Docker-Content-Digest': digestOf(manifest) } }],
    [`/blobs/${digestOf(config)}`, { body: config }],
    [`/blobs/${digestOf(layer)}`, { body: layer }],
  ])
  return answering(({ path }) => {
    const [bare = ''] = path.split('?')
    const end = [...answers.keys()].find((it) => bare.endsWith(it)) ?? ''
    const usual: Answer = answers.get(end) ?? { status: 404 }
    const { headers, ...rest } = { ...usual, ...special(bare) }
    return { ...rest, headers: { 'Docker-Distribution-Api-Version': 'registry/2.0', ...headers } }
  })
}

const TEXTS = (() => {
  const [config, layer] = ['{}', 'a layer']
  const descriptor = (text: string) => ({ digest: digestOf(text), size: text.length })
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor(config),
    layers: [
      descriptor(layer),
      { ...descriptor('elsewhere'), mediaType: 'application/vnd.docker.image.rootfs.foreign.diff' },
      { digest: 7 },
    ],
  })
  return { config, layer, manifest }
})()

describe('a pull through what changes answers', () => {
  it('is well when nothing is changed', async () => {
    const { url } = await scripted(() => undefined)
    const lines = (await pulled(url)).of('pull as containerd').map(untimed)
    expect(lines).toEqual([
      `ok: ${IMAGE} is ${digestOf(TEXTS.manifest)} (it does not say how it came by it, … ms)`,
      'ok: its config has the right digest (it does not say how it came by it, … ms)',
      'ok: its only layer has the right digest: 7 bytes in … ms (it does not say how it came by it)',
    ])
  })

  it.each([
    ['manifests/1', 'podman', 'manifest 1'],
    ['manifests/sha256', 'containerd', 'manifest 1'],
    [`blobs/${digestOf(TEXTS.config)}`, 'podman', 'config sha256'],
    [`blobs/${digestOf(TEXTS.layer)}`, 'podman', 'layer sha256'],
  ] as const)('sees wrong bytes of %s as %s', async (part, client, what) => {
    const { url } = await scripted((path) =>
      path.includes(part) ? { body: '{"changed":true}' } : undefined,
    )
    const [last] = (await pulled(url, client)).findings.slice(-1)
    expect(last).toMatchObject({
      state: 'failed',
      found: expect.stringMatching(new RegExp(`^${what}.*has the digest .*, not sha256:`)),
      advice: expect.stringContaining('changes answers'),
    })
  })

  it('sees a page in place of a manifest', async () => {
    const body = '<html>log in</html>'
    const { url } = await scripted((path) =>
      path.endsWith('/manifests/1') ? { body, headers: {} } : undefined,
    )
    expect((await pulled(url, 'podman')).of('pull as podman')).toEqual([
      'failed: what came for the manifest is no JSON',
    ])
  })

  it('sees an answer that breaks off', async () => {
    const { url } = await scripted((path) =>
      path.includes(digestOf(TEXTS.layer))
        ? { body: 'a la', headers: { 'Content-Length': '7', Connection: 'close' } }
        : undefined,
    )
    const [last] = (await pulled(url)).findings.slice(-1)
    expect(last).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('the answer broke off'),
    })
  })

  it('sees what is too long for a manifest', async () => {
    const { url } = await scripted((path) =>
      path.endsWith('/manifests/1') ? { body: 'x'.repeat(5 * 2 ** 20) } : undefined,
    )
    const [last] = (await pulled(url, 'podman')).findings.slice(-1)
    expect(last?.found).toContain('too long for a manifest')
  })

  it.each([
    [500, undefined, /log of the mirror/],
    [401, undefined, /WWW-Authenticate/],
    [401, { 'WWW-Authenticate': 'Basic realm="x"' }, /--username/],
    [429, { 'Retry-After': '30' }, /ask again in 30 s/],
  ])('says what to do about status %d %j', async (status, headers, advice) => {
    const { url } = await scripted((path) =>
      path.includes('/manifests/') ? { status, headers: headers ?? {}, body: 'no' } : undefined,
    )
    const [last] = (await pulled(url)).findings.slice(-1)
    expect(last).toMatchObject({ state: 'failed', advice: expect.stringMatching(advice) })
  })

  it('keeps no connection where a digest cannot be asked for', async () => {
    const open = new Set<Socket>()
    const manifest = JSON.stringify({ config: { digest: 'a b', size: 1 } })
    const server = createServer((request, response) => {
      const isManifest = request.url?.includes('/manifests/') === true
      response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0')
      response.end(isManifest ? manifest : '{}')
    })
    server.on('connection', (socket) => {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
    })
    const port = await listen(server)
    const found = await pulled(`http://127.0.0.1:${port}`, 'podman')
    expect(found.findings.at(-1)).toMatchObject({ state: 'failed' })
    await until(() => open.size === 0, { what: 'no connection is left open' })
  })

  it('logs in by Basic, and says when that does not help', async () => {
    const refused = { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="x"' } }
    const { url, sent } = await scripted((path) =>
      path.includes('/manifests/') ? refused : undefined,
    )
    const login = { username: 'alice', password: 'p' }
    const [last] = (await pulled(url, 'containerd', { login })).findings.slice(-1)
    expect(last?.advice).toContain('This login may not pull it')
    const proofs = sent.filter(({ path }) => path.includes('/manifests/'))
    expect(proofs.map(({ headers }) => headers.authorization)).toContain('Basic YWxpY2U6cA==')
  })

  it('does not log in later where the client asks /v2/ first, and that let it through', async () => {
    const refused = { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="x"' } }
    const { url, sent } = await scripted((path) =>
      path.includes('/manifests/') ? refused : undefined,
    )
    const login = { username: 'alice', password: 'p' }
    const [last] = (await pulled(url, 'podman', { login })).findings.slice(-1)
    expect(last?.advice).toContain('this client did not log in')
    expect(sent.map(({ headers }) => headers.authorization)).not.toContain('Basic YWxpY2U6cA==')
  })

  it('says what stands in the way of the ping', async () => {
    let pings = 0
    const { url } = await scripted((path) =>
      path === '/v2/' && (pings += 1) > 1 ? { status: 500 } : undefined,
    )
    const found = await pulled(url, 'podman')
    expect(found.finding('pull as podman').found).toMatch(/^\/v2\/: status 500/)
  })

  it('asks for the whole image, with layers or without', async () => {
    const bare = JSON.stringify({ schemaVersion: 2, layers: [] })
    const none = {
      manifests: [{ digest: digestOf(bare), platform: { os: 'plan9', architecture: 'x' } }],
    }
    const answer = (body: string) => async () => {
      const { url } = await scripted((path) =>
        path.includes('/manifests/1')
          ? { body, headers: { 'Docker-Content-Digest': digestOf(body) } }
          : undefined,
      )
      return (await pulled(url, 'podman')).of('pull as podman').slice(1)
    }
    expect(await answer(bare)()).toEqual(['skipped: no layers'])
    expect(await answer(JSON.stringify(none))()).toEqual([
      `warning: there is none for ${ownPlatform()}, but for plan9/x`,
    ])
  })
})

describe('the name of an image', () => {
  it.each([
    ['redis', 'docker.io/library/redis:latest'],
    ['redis:7', 'docker.io/library/redis:7'],
    ['team/tool', 'docker.io/team/tool:latest'],
    ['index.docker.io/team/tool:1', 'docker.io/team/tool:1'],
    ['localhost:5000/tool', 'localhost:5000/tool:latest'],
    [`quay.io/a/b@${digestOf('x')}`, `quay.io/a/b@${digestOf('x')}`],
  ])('%s means %s', (text, meant) => {
    expect(imageName(parsePulledImage(text))).toBe(meant)
  })
})

/** Without what another machine would say otherwise. */
function untimed(line: string): string {
  return line.replace(/\d+ ms/, '… ms')
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}
