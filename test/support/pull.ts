/** Pulls an image as containerd does, and believes nothing that it has not hashed. */
import { createHash } from 'node:crypto'
import { type ClientHead, type ClientRequest, download, request } from './client.ts'

interface PulledManifest {
  readonly digest: string
  readonly mediaType: string
  readonly bytes: Buffer
}

export interface PulledImage {
  /** What the reference resolved to. */
  readonly digest: string
  /** The root first. */
  readonly manifests: readonly PulledManifest[]
  readonly blobs: readonly { readonly digest: string; readonly bytes: number }[]
}

export interface PullOptions extends Pick<ClientRequest, 'headers' | 'ca' | 'idleMs'> {
  /** Sent as `?ns=`, as containerd does to a mirror. */
  readonly ns?: string
  /** What stands before `/v2`, for mirrors whose URL has a path. */
  readonly base?: string
}

interface Descriptor {
  readonly digest: string
  readonly mediaType: string
  readonly size: number
}

const ACCEPT = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  '*/*',
].join(', ')

const PARALLEL_BLOBS = 3

/**
 * HEAD of the reference, GET of its digest, of all children of an index, of all blobs.
 * @param name as it stands in the path, e.g. `quay.io/coreos/etcd`
 * @throws on any status other than 200, any short body, any wrong digest, size, or media type
 */
export async function pull(
  url: string,
  name: string,
  reference: string,
  { ns, base = '', ...client }: PullOptions = {},
): Promise<PulledImage> {
  const query = ns === undefined ? '' : `?ns=${encodeURIComponent(ns)}`
  const to = (kind: string, of: string): ClientRequest => ({
    ...client,
    url,
    path: `${base}/v2/${name}/${kind}/${of}${query}`,
    headers: { accept: ACCEPT, ...client.headers },
  })

  const root = await resolve(to('manifests', reference))
  const manifests: PulledManifest[] = []
  const blobs = new Map<string, Descriptor>()
  const open = [root]
  for (let next = open.shift(); next; next = open.shift()) {
    const manifest = await getManifest(to('manifests', next.digest), next)
    manifests.push(manifest)
    const children = childrenOf(manifest)
    open.push(...children.manifests)
    for (const blob of children.blobs) blobs.set(blob.digest, blob)
  }
  const queue = [...blobs.values()]
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      await getBlob(to('blobs', next.digest), next)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL_BLOBS }, worker))
  return {
    digest: root.digest,
    manifests,
    blobs: [...blobs.values()].map(({ digest, size }) => ({ digest, bytes: size })),
  }
}

async function resolve(asked: ClientRequest): Promise<Descriptor> {
  const head = await request({ ...asked, method: 'HEAD' })
  demandOk('HEAD', asked, head)
  const digest = head.headers['docker-content-digest']
  const size = Number(head.headers['content-length'])
  const mediaType = head.headers['content-type']
  if (digest === undefined || mediaType === undefined || !Number.isInteger(size)) {
    throw failure('HEAD', asked, 'lacks a digest, a length or a media type')
  }
  return { digest, mediaType, size }
}

async function getManifest(asked: ClientRequest, expected: Descriptor): Promise<PulledManifest> {
  const got = await request(asked)
  demandOk('GET', asked, got)
  const mediaType = got.headers['content-type']
  if (!got.complete) throw failure('GET', asked, `was cut after ${got.body.length} bytes`)
  if (mediaType !== expected.mediaType) {
    throw failure('GET', asked, `is ${mediaType}, not ${expected.mediaType}`)
  }
  demandSame(asked, expected, { digest: hash(expected.digest, got.body), size: got.body.length })
  return { digest: expected.digest, mediaType, bytes: got.body }
}

async function getBlob(asked: ClientRequest, expected: Descriptor): Promise<void> {
  if (!expected.digest.startsWith('sha256:')) return getOtherBlob(asked, expected)
  const got = await download(asked)
  demandOk('GET', asked, got)
  if (!got.complete) throw failure('GET', asked, `was cut after ${got.bytes} bytes`)
  demandSame(asked, expected, { digest: got.digest, size: got.bytes })
}

/** Of another algorithm than sha256; these are small in tests. */
async function getOtherBlob(asked: ClientRequest, expected: Descriptor): Promise<void> {
  const got = await request(asked)
  demandOk('GET', asked, got)
  demandSame(asked, expected, { digest: hash(expected.digest, got.body), size: got.body.length })
}

function childrenOf({ bytes }: PulledManifest): {
  manifests: Descriptor[]
  blobs: Descriptor[]
} {
  const json = JSON.parse(bytes.toString()) as {
    manifests?: Descriptor[]
    config?: Descriptor
    layers?: Descriptor[]
  }
  const { manifests = [], config, layers = [] } = json
  return { manifests, blobs: config ? [config, ...layers] : layers }
}

function hash(like: string, bytes: Uint8Array): string {
  const algorithm = like.slice(0, like.indexOf(':'))
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

function demandOk(method: string, asked: ClientRequest, { status }: ClientHead): void {
  if (status !== 200) throw failure(method, asked, `was answered ${status}`)
}

function demandSame(
  asked: ClientRequest,
  expected: Pick<Descriptor, 'digest' | 'size'>,
  got: Pick<Descriptor, 'digest' | 'size'>,
): void {
  if (got.digest !== expected.digest || got.size !== expected.size) {
    throw failure('GET', asked, `is ${got.digest} of ${got.size} bytes, not ${expected.size}`)
  }
}

function failure(method: string, { path }: ClientRequest, what: string): Error {
  return new Error(`${method} ${path} ${what}`)
}
