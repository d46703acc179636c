/**
 * A client that hides nothing: it sends the request target as it is given, follows no redirect,
 * decodes no body, and tells a whole body from one that was cut. One connection a request.
 */
import { createHash } from 'node:crypto'
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as requestHttps } from 'node:https'

export interface ClientRequest {
  /** Where the server listens, e.g. `http://127.0.0.1:5000`; its path is not used. */
  readonly url: string
  /** The request target, sent unchanged. */
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Uint8Array
  /** PEM of the authority to trust, for https. */
  readonly ca?: string
  /** Name for SNI and the certificate check, for https. */
  readonly servername?: string
  /** Longest silence of the server in milliseconds. */
  readonly idleMs?: number
}

export interface ClientHead {
  readonly status: number
  /** Names in lower case; what came several times is joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
}

export interface ClientResponse extends ClientHead {
  readonly body: Buffer
  /** False when the connection ended before the body did. */
  readonly complete: boolean
}

export interface ClientDownload extends ClientHead {
  readonly digest: string
  readonly bytes: number
  readonly complete: boolean
}

/** A response that is read as slowly as the test wants; what is not read stays in the socket. */
export interface ClientStream extends ClientHead {
  /** Exactly so many bytes, fewer only where the body ends before. */
  read(bytes: number): Promise<Buffer>
  /** Everything that is still to come. */
  rest(): Promise<Buffer>
  /** Whether the body has come to its proper end; known after a read has met the end. */
  readonly complete: boolean
  /** Closes the connection at once. */
  abort(): void
}

/** @throws when there is no connection, no response, or silence for longer than `idleMs` */
export async function request(options: ClientRequest): Promise<ClientResponse> {
  const incoming = await send(options)
  const chunks: Buffer[] = []
  await drain(incoming, (chunk) => chunks.push(chunk))
  return { ...headOf(incoming), body: Buffer.concat(chunks), complete: incoming.complete }
}

/** Hashes the body and keeps nothing of it, so that a hundred clients may take large layers. */
export async function download(options: ClientRequest): Promise<ClientDownload> {
  const incoming = await send(options)
  const hash = createHash('sha256')
  let bytes = 0
  await drain(incoming, (chunk) => {
    hash.update(chunk)
    bytes += chunk.length
  })
  const digest = `sha256:${hash.digest('hex')}`
  return { ...headOf(incoming), digest, bytes, complete: incoming.complete }
}

export async function openStream(options: ClientRequest): Promise<ClientStream> {
  const incoming = await send(options)
  const chunks = incoming[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let kept: Buffer = Buffer.alloc(0)

  const read = async (bytes: number): Promise<Buffer> => {
    const parts = [kept]
    let size = kept.length
    while (size < bytes) {
      const chunk = await nextChunk(chunks)
      if (!chunk) break
      parts.push(chunk)
      size += chunk.length
    }
    const all = Buffer.concat(parts)
    kept = all.subarray(bytes)
    return all.subarray(0, bytes)
  }
  return {
    ...headOf(incoming),
    read,
    rest: () => read(Infinity),
    get complete() {
      return incoming.complete
    },
    abort: () => void incoming.destroy(),
  }
}

function send(options: ClientRequest): Promise<IncomingMessage> {
  const { url, path, method = 'GET', headers = {}, body, ca, servername, idleMs = 10_000 } = options
  const { protocol, hostname, port } = new URL(url)
  const requestOptions: RequestOptions & { ca?: string; servername?: string } = {
    host: hostname,
    port,
    path,
    method,
    headers: headers as Record<string, string | string[]>,
    // A connection of its own, closed with the response: nothing stays open after a test.
    agent: false,
    ...(ca !== undefined && { ca }),
    ...(servername !== undefined && { servername }),
  }
  return new Promise((resolve, reject) => {
    const open = protocol === 'https:' ? requestHttps : requestHttp
    let incoming: IncomingMessage | undefined
    const outgoing = open(requestOptions, (response) => resolve((incoming = response)))
    // Once there is a response it must get the error itself: else silence would look like a cut.
    outgoing.setTimeout(idleMs, () =>
      (incoming ?? outgoing).destroy(
        new Error(`${method} ${path}: the server was silent for ${idleMs} ms`),
      ),
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

function headOf({ statusCode = 0, headers }: IncomingMessage): ClientHead {
  const pairs = Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')])
  return { status: statusCode, headers: Object.fromEntries(pairs) as Record<string, string> }
}

async function drain(incoming: IncomingMessage, take: (chunk: Buffer) => void): Promise<void> {
  const chunks = incoming[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  for (let chunk = await nextChunk(chunks); chunk; chunk = await nextChunk(chunks)) take(chunk)
}

/** A cut connection ends the body like any other end: `complete` tells them apart. */
async function nextChunk(chunks: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  try {
    const next = await chunks.next()
    return next.done === true ? undefined : next.value
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') return undefined
    throw error
  }
}
