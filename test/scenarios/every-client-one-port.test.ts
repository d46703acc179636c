/** Each client, in each form that its own configuration supports, on one port. */
import { request as requestHttp } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { createCertificateAuthority, type CertificateAuthority } from '../fakes/certificates.ts'
import { AMD64, ARM64, buildImage, buildIndex, type FakeImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { openStream } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { CLIENTS, pullAs } from './clients.ts'
import { BLOB_REQUEST, coldLayer, holdAt } from './cold-layer.ts'
import { BARE, HUB_ALIAS, mirrorHosts, SHAPES } from './shapes.ts'

const MIB = 1024 * 1024
const UPSTREAMS = ['docker.io', 'quay.io', 'registry.suse.com']
/** Shapes that mean Docker Hub and nothing else. */
const HUB_ONLY = [BARE, HUB_ALIAS]

const IMAGES = new Map(UPSTREAMS.map((upstream) => [upstream, imageOf(upstream)]))
const HUB_IMAGE = imageIn('docker.io')

/** Each client with each of its shapes, and the upstreams that the shape can name. */
const FORMS = CLIENTS.flatMap((client) =>
  client.shapes.map((name) => {
    const shape = [...SHAPES, ...HUB_ONLY].find((candidate) => candidate.name === name)
    if (shape === undefined) throw new Error(`There is no shape "${name}".`)
    return { client, shape, upstreams: HUB_ONLY.includes(shape) ? ['docker.io'] : UPSTREAMS }
  }),
)
const ALONE = FORMS.map(({ client, shape, upstreams }, index) => ({
  client,
  shape,
  upstream: upstreams[index % upstreams.length] ?? '',
}))

describe('one mirror before three registries', () => {
  it('serves every client in every shape at once, and asks upstream once', async () => {
    await using registries = await startRegistries()
    await using mirror = await startFor(registries)

    const pulls = FORMS.flatMap(({ client, shape, upstreams }) =>
      upstreams.map(async (upstream) => {
        const target = { url: mirror.url, shape, upstream, repository: 'library/app', tag: 'v1' }
        const [root] = await pullAs(client, target)
        expect(root).toBe(imageIn(upstream).digest)
      }),
    )
    await Promise.all(pulls)
    await mirror.app.idle()
    for (const [index, registry] of registries.all.entries()) {
      const { blobs } = imageIn(UPSTREAMS[index] ?? '')
      expect(registry.count(BLOB_REQUEST)).toBe(blobs.length)
      for (const { digest, bytes } of blobs) expect(registry.bodyBytes(digest)).toBe(bytes.length)
    }
  })
})

describe.each(ALONE)('$client.name, $shape.name, $upstream', ({ client, shape, upstream }) => {
  it('pulls what it wants, cold and hot', async () => {
    await using registries = await startRegistries()
    await using mirror = await startFor(registries)
    const target = { url: mirror.url, shape, upstream, repository: 'library/app', tag: 'v1' }

    const cold = await pullAs(client, target)
    await mirror.app.idle()
    const before = registries.all.map(({ requests }) => requests.length)
    const hot = await pullAs(client, target)
    expect(cold[0]).toBe(imageIn(upstream).digest)
    expect(hot).toEqual(cold)
    expect(registries.all.map(({ requests }) => requests.length)).toEqual(before)
  })
})

describe('names', () => {
  it.each([
    '/v2/library/app/manifests/v1',
    '/v2/app/manifests/v1',
    '/v2/docker.io/app/manifests/v1',
    '/v2/index.docker.io/library/app/manifests/v1',
    '/v2/registry-1.docker.io/app/manifests/v1',
    '/registry.hub.docker.com/v2/app/manifests/v1',
    '/v2/app/manifests/v1?ns=index.docker.io',
    '/v2/docker.io/library/app/manifests/v1?ns=registry-1.docker.io',
    '/v2/docker.io/library/app/manifests/v1?ns=quay.io',
  ])('%s is the same image of Docker Hub', async (path) => {
    await using registries = await startRegistries()
    await using mirror = await startFor(registries)
    const { status, body } = await mirror.get(path)
    expect([status, digestOf(body)]).toEqual([200, HUB_IMAGE.digest])
    const [hub] = registries.all
    expect(hub?.requests.map((asked) => [asked.path, asked.query])).toEqual([
      ['/v2/library/app/manifests/v1', ''],
    ])
  })

  it('of hosts hold with a port and in any case', async () => {
    await using registries = await startRegistries()
    await using mirror = await startFor(registries)
    const headers = { host: 'QUAY.io.mirror.lan:5000' }
    expect((await mirror.get('/v2/library/app/manifests/v1', { headers })).status).toBe(200)
    expect(registries.all.map(({ requests }) => requests.length)).toEqual([0, 1, 0])
  })

  it('of namespaces are echoed', async () => {
    await using registries = await startRegistries()
    await using mirror = await startFor(registries)
    const { headers } = await mirror.get('/v2/library/app/manifests/v1?ns=quay.io')
    expect(headers['oci-namespace']).toBe('quay.io')
  })
})

describe('credentials that a client sends for another registry', () => {
  it.each(['Basic dXNlcjpodWItcGFzc3dvcmQ=', 'Bearer somebody-elses-token', 'Nonsense'])(
    '(%s) break nothing and go nowhere',
    async (authorization) => {
      await using registries = await startRegistries()
      await using mirror = await startFor(registries)
      const headers = { authorization, cookie: 'session=hub' }
      expect((await mirror.get('/v2/', { headers })).status).toBe(200)
      await mirror.pull('docker.io/library/app', 'v1', { headers })
      for (const asked of registries.all.flatMap(({ requests }) => requests)) {
        expect(asked.headers).not.toHaveProperty('authorization')
        expect(asked.headers).not.toHaveProperty('cookie')
      }
    },
  )
})

describe('a cold layer', () => {
  it('that containerd fetches in parallel parts, each left early, is fetched once', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { bytes, digest, path } = await coldLayer(registry, mirror, {
      size: 8 * MIB,
      seed: 'parts',
    })
    const [gate] = holdAt(registry, 3 * MIB)

    const parts = Array.from({ length: 8 }, async (_, part) => {
      const headers = { range: `bytes=${part * MIB}-`, 'user-agent': 'containerd/v2.1.4' }
      const stream = await openStream({ url: mirror.url, path, headers })
      const piece = await stream.read(MIB)
      stream.abort()
      return { status: stream.status, contentRange: stream.headers['content-range'], piece }
    })
    await gate.reached
    gate.open()

    const pieces = await Promise.all(parts)
    expect(pieces.map(({ status, contentRange }) => [status, contentRange])).toEqual(
      pieces.map((_, part) => [206, `bytes ${part * MIB}-${8 * MIB - 1}/${8 * MIB}`]),
    )
    expect(digestOf(Buffer.concat(pieces.map(({ piece }) => piece)))).toBe(digest)
    await mirror.app.idle()
    expect(registry.count(BLOB_REQUEST)).toBe(1)
    expect(registry.bodyBytes(digest)).toBe(bytes.length)
    expect(mirror.logs.filter(({ level }) => level === 'error')).toEqual([])
  })

  it.each([
    ['regctl resumes, with an end one past the last byte', 'bytes=500000-1048576', 500_000],
    ['dockerd and podman resume', 'bytes=500000-', 500_000],
  ])('that %s', async (_how, range, start) => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { bytes, path } = await coldLayer(registry, mirror, { size: MIB, seed: 'resumed' })
    for (const state of ['cold', 'hot']) {
      const { status, headers, body } = await mirror.get(path, { headers: { range } })
      expect([state, status, headers['content-range']]).toEqual([
        state,
        206,
        `bytes ${start}-${MIB - 1}/${MIB}`,
      ])
      expect(body.equals(bytes.subarray(start))).toBe(true)
      await mirror.app.idle()
    }
  })

  it('that podman wants several ranges of at once', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
    const { bytes, path } = await coldLayer(registry, mirror, { size: MIB, seed: 'resumed' })
    for (const state of ['cold', 'hot']) {
      const range = 'bytes=0-99,500-699'
      const { status, headers, body } = await mirror.get(path, { headers: { range } })
      expect([state, status]).toEqual([state, 206])
      expect(headers['content-type']).toMatch(/^multipart\/byteranges; boundary=/)
      expect(body.includes(Buffer.from(bytes.subarray(0, 100)))).toBe(true)
      expect(body.includes(Buffer.from(bytes.subarray(500, 700)))).toBe(true)
      await mirror.app.idle()
    }
  })
})

describe('a listener', () => {
  it('with two certificates shows the one for the name that is asked for', async () => {
    await using authority = await createCertificateAuthority()
    await using registries = await startRegistries()
    await using mirror = await startFor(registries, {
      tls: await certificatesFor(authority, 'docker.io.mirror.lan', 'quay.io.mirror.lan'),
    })
    const { ca } = authority

    for (const servername of ['docker.io.mirror.lan', 'quay.io.mirror.lan']) {
      const answer = await mirror.get('/v2/library/app/manifests/v1', {
        ca,
        servername,
        headers: { host: servername },
      })
      const upstream = servername.replace('.mirror.lan', '')
      expect(digestOf(answer.body)).toBe(imageIn(upstream).digest)
    }
    expect(registries.all.map(({ requests }) => requests.length)).toEqual([1, 1, 0])
    expect(await certificateNames(mirror.url, ca, 'quay.io.mirror.lan')).toBe(
      'DNS:quay.io.mirror.lan',
    )
    expect(await certificateNames(mirror.url, ca, 'other.lan')).toBe('DNS:docker.io.mirror.lan')
    expect(await certificateNames(mirror.url, ca)).toBe('DNS:docker.io.mirror.lan')
  })

  it('takes over renewed certificates while it runs', async () => {
    await using authority = await createCertificateAuthority()
    await using registries = await startRegistries()
    await using mirror = await startFor(registries, {
      tls: await certificatesFor(authority, 'old.lan'),
    })
    const tls = await certificatesFor(authority, 'new.lan', 'old.lan')
    expect(await certificateNames(mirror.url, authority.ca, 'new.lan')).toBe('DNS:old.lan')
    mirror.reload({ yaml: { ...YAML, tls } })
    expect(await certificateNames(mirror.url, authority.ca, 'new.lan')).toBe('DNS:new.lan')
    expect(await certificateNames(mirror.url, authority.ca)).toBe('DNS:new.lan')
  })

  it('may be a Unix socket, also where one was left from a crash', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'entrepot-socket-'))
    const path = join(folder, 'mirror.sock')
    try {
      await using registries = await startRegistries()
      for (let start = 0; start < 2; start += 1) {
        await using mirror = await startFor(registries, { listen: `unix:${path}` })
        expect(mirror.url).toBe(`unix:${path}`)
        const body = await getOverSocket(path, '/v2/docker.io/library/app/manifests/v1')
        expect(digestOf(body)).toBe(HUB_IMAGE.digest)
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

/** Two platforms, and nothing that is in the image of another upstream as well. */
function imageOf(upstream: string): FakeImage {
  return buildIndex({
    children: [AMD64, ARM64].map((platform) => ({
      platform,
      image: buildImage({
        seed: `${upstream}/${platform.architecture}`,
        platform,
        layers: [1, 1000, 100_000],
      }),
    })),
  })
}

function imageIn(upstream: string): FakeImage {
  const image = IMAGES.get(upstream)
  if (image === undefined) throw new Error(`There is no upstream "${upstream}".`)
  return image
}

const YAML = { defaultUpstream: 'docker.io', hosts: mirrorHosts(...UPSTREAMS) }

interface Registries extends AsyncDisposable {
  /** In the order of `UPSTREAMS`. */
  readonly all: readonly FakeRegistry[]
}

async function startRegistries(): Promise<Registries> {
  const all = await Promise.all(UPSTREAMS.map(() => startRegistry()))
  for (const [index, registry] of all.entries()) {
    registry.push('library/app', 'v1', imageIn(UPSTREAMS[index] ?? ''))
  }
  const close = async (): Promise<void> => {
    await Promise.all(all.map((registry) => registry.close()))
  }
  return { all, [Symbol.asyncDispose]: close }
}

function startFor({ all }: Registries, more: Record<string, unknown> = {}): Promise<Mirror> {
  return startMirror({
    upstreams: Object.fromEntries(all.map((registry, index) => [UPSTREAMS[index] ?? '', registry])),
    yaml: { ...YAML, ...more },
  })
}

async function certificatesFor(
  authority: CertificateAuthority,
  ...names: readonly string[]
): Promise<{ certificate: string; key: string }[]> {
  const files = []
  // One after the other: the authority counts its certificates in a file.
  for (const name of names) {
    const { certificateFile, keyFile } = await authority.issue([`DNS:${name}`])
    files.push({ certificate: certificateFile, key: keyFile })
  }
  return files
}

/** The alternative names in the certificate that is shown. */
function certificateNames(url: string, ca: string, servername?: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connectTls(
      {
        host: hostname,
        port: Number(port),
        ca,
        checkServerIdentity: () => undefined,
        ...(servername !== undefined && { servername }),
      },
      () => {
        resolve(socket.getPeerCertificate().subjectaltname ?? '')
        socket.destroy()
      },
    )
    socket.once('error', reject)
  })
}

function getOverSocket(socketPath: string, path: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const outgoing = requestHttp({ socketPath, path, agent: false }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.once('end', () => resolve(Buffer.concat(chunks)))
    })
    outgoing.once('error', reject)
    outgoing.end()
  })
}
