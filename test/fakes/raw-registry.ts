/**
 * A registry with a token server on bare sockets, for faults below HTTP: each repository may be told
 * to misbehave, byte for byte. Whoever pulls needs a token, and whoever wants one a password.
 */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { FakeImage } from './images.ts'
import { converse, type RawAnswer, type Step, wholeAnswer } from './raw-wire.ts'
import { createRegistryContents, type FakeRepository } from './registry-contents.ts'

export interface RawExchange {
  readonly kind: 'token' | 'manifest' | 'blob'
  readonly method: string
  /** Scheme, host, path and query that were asked for. */
  readonly url: URL
  readonly repository: string
  /** Tag or digest; of a token request nothing. */
  readonly reference: string
  /** Came with a token, or to the token server with the password. */
  readonly authorized: boolean
  /** The first byte that was asked for. */
  readonly first: number
  /** Request line and headers as they came. */
  readonly text: string
  /** URL of the token server, as challenges name it. */
  readonly realm: string
  /** What would be sent if nothing were wrong; of a range, only its bytes. */
  readonly healthy: RawAnswer
}

type RawRequest = Omit<RawExchange, 'authorized' | 'realm' | 'healthy'>

/** `undefined`: nothing is wrong with this answer. */
export type Misbehaviour = (exchange: RawExchange) => Iterable<Step> | undefined

interface RawRegistryOptions {
  readonly username: string
  readonly password: string
  /** What every token begins with. */
  readonly tokenPrefix: string
}

export interface RawRegistry extends AsyncDisposable {
  readonly url: string
  /** Of the token server, as `realms` wants it. */
  readonly tokenHost: string
  /** Request line and headers of every request. */
  readonly asked: { readonly registry: string[]; readonly tokens: string[] }
  /** Connections that are open now, to both servers. */
  connections(): number
  push(repository: string, tag: string, image: FakeImage): void
  /** Without it the repository is well. */
  misbehave(repository: string, misbehaviour: Misbehaviour | undefined): void
  /** Makes all tokens of a repository worthless. */
  revoke(repository: string): void
}

export async function startRawRegistry(options: RawRegistryOptions): Promise<RawRegistry> {
  const contents = createRegistryContents()
  const asked = { registry: [] as string[], tokens: [] as string[] }
  const misbehaviours = new Map<string, Misbehaviour>()
  const grants = new Map<string, string>()
  const basic = `Basic ${Buffer.from(`${options.username}:${options.password}`).toString('base64')}`

  const registry = await listen((socket) =>
    converse(socket, (head) => {
      asked.registry.push(head)
      const request = parse(head, registry.url)
      const token = /^authorization: Bearer (\S+)$/im.exec(head)?.[1] ?? ''
      if (grants.get(token) !== request.repository) {
        return answer(request, false, challenge(request.repository, realm))
      }
      return answer(request, true, contentOf(contents.find(request.repository), request))
    }),
  )
  const tokens = await listen((socket) =>
    converse(socket, (head) => {
      asked.tokens.push(head)
      const request = parse(head, tokens.url)
      if (/^authorization: (Basic \S+)$/im.exec(head)?.[1] !== basic) {
        return answer(request, false, json(401, {}))
      }
      const token = `${options.tokenPrefix}${grants.size}`
      grants.set(token, request.repository)
      return answer(request, true, json(200, { token, expires_in: 300 }))
    }),
  )

  const realm = `${tokens.url}/token`
  const answer = (request: RawRequest, authorized: boolean, healthy: RawAnswer): Iterable<Step> =>
    misbehaviours.get(request.repository)?.({ ...request, authorized, realm, healthy }) ??
    wholeAnswer(healthy, request.method)

  return {
    url: registry.url,
    tokenHost: tokens.host,
    asked,
    connections: () => registry.connections() + tokens.connections(),
    push: (repository, tag, image) => void contents.push(repository, tag, image),
    misbehave(repository, misbehaviour) {
      if (misbehaviour) misbehaviours.set(repository, misbehaviour)
      else misbehaviours.delete(repository)
    },
    revoke(repository) {
      for (const [token, of] of grants) if (of === repository) grants.set(token, '')
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([registry.close(), tokens.close()])
    },
  }
}

function parse(head: string, base: string): RawRequest {
  const [, method = '', target = '/'] = /^(\S+) (\S+)/.exec(head) ?? []
  const url = new URL(target, base)
  const scope = /^repository:([^:]+):/.exec(url.searchParams.get('scope') ?? '')?.[1]
  const [, name = '', kind, reference = ''] =
    /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url.pathname) ?? []
  return {
    kind: url.pathname === '/token' ? 'token' : kind === 'blobs' ? 'blob' : 'manifest',
    method,
    url,
    repository: scope ?? name,
    reference,
    first: Number(/^range: bytes=(\d+)-/im.exec(head)?.[1] ?? 0),
    text: head,
  }
}

function contentOf(
  repository: FakeRepository | undefined,
  { kind, reference, first, text }: RawRequest,
): RawAnswer {
  if (kind === 'blob') {
    const bytes = repository?.blobs.get(reference)
    return bytes ? partOf(bytes, reference, first, text) : json(404, {})
  }
  const digest = reference.includes(':') ? reference : repository?.tags.get(reference)
  const manifest = repository?.manifests.get(digest ?? '')
  if (!manifest) return json(404, {})
  return {
    status: 200,
    headers: {
      'content-type': manifest.mediaType,
      'content-length': String(manifest.bytes.length),
      'docker-content-digest': manifest.digest,
    },
    body: manifest.bytes,
  }
}

function partOf(bytes: Uint8Array, digest: string, first: number, text: string): RawAnswer {
  const end = Number(/^range: bytes=\d+-(\d+)$/im.exec(text)?.[1] ?? bytes.length - 1) + 1
  const ranged = /^range:/im.test(text)
  const body = bytes.subarray(first, end)
  return {
    status: ranged ? 206 : 200,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(body.length),
      'docker-content-digest': digest,
      ...(ranged && {
        'content-range': `bytes ${first}-${first + body.length - 1}/${bytes.length}`,
      }),
    },
    body,
  }
}

function challenge(repository: string, realm: string): RawAnswer {
  const refusal = json(401, {})
  const value = `Bearer realm="${realm}",service="raw",scope="repository:${repository}:pull"`
  return { ...refusal, headers: { ...refusal.headers, 'www-authenticate': value } }
}

function json(status: number, value: unknown): RawAnswer {
  const body = new TextEncoder().encode(JSON.stringify(value))
  return {
    status,
    headers: { 'content-type': 'application/json', 'content-length': String(body.length) },
    body,
  }
}

async function listen(onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    onConnection(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    connections: () => sockets.size,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
