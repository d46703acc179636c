/** One stored blob behind a server that does nothing but send it, and what has become of each answer. */
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ByteSource } from '../../src/byte-source.ts'
import { blobBody } from '../../src/http/blob-body.ts'
import { createBuffers, type Buffers } from '../../src/http/buffers.ts'
import { sendPieces } from '../../src/http/send.ts'
import { digestHex, digestOf } from '../../src/oci/digest.ts'
import { parseRanges } from '../../src/oci/range.ts'
import { openSendfile, type Sendfile } from '../../src/sendfile.ts'
import { openDiskStore } from '../../src/store/disk.ts'
import { openFilesBelow } from '../support/leaks.ts'
import { until } from '../support/until.ts'

export interface ServedFile extends AsyncDisposable {
  readonly url: string
  readonly server: Server
  /** Of the calls of sendfile so far: bytes that sockets have taken, and calls that left some. */
  readonly direct: { bytes: number; full: number }
  /** Bytes that were sent, and errors, of all answers that have ended. */
  readonly ended: { sent: number; cut: unknown }[]
  /** Answers that have not ended. */
  running(): number
  /** Takes away all but the first bytes of the file. */
  shorten(bytes: number): Promise<void>
}

interface ServedFileOptions {
  readonly bytes: Uint8Array
  /** Default: the one of the system; `undefined`: none. */
  readonly sendfile?: ((system: Sendfile) => Sendfile) | undefined
  readonly changed?: (source: ByteSource) => ByteSource
  readonly buffers?: Buffers
  readonly tls?: { readonly key: string; readonly cert: string }
  /** Milliseconds. */
  readonly timeout?: number
  /** Before a body is sent. */
  readonly before?: (outgoing: ServerResponse) => void
  /** Listens there instead of on a port. */
  readonly socketName?: string
}

const MEDIA_TYPE = 'application/octet-stream'

/** The disposal fails where an answer goes on without its client, or has left a file open. */
export async function serveFile(options: ServedFileOptions): Promise<ServedFile> {
  const {
    bytes,
    buffers = createBuffers(),
    changed = (it) => it,
    before = () => undefined,
    tls,
    timeout,
    socketName,
  } = options
  const root = await mkdtemp(join(tmpdir(), 'entrepot-sent-'))
  const store = await openDiskStore(root)
  const digest = digestOf(bytes)
  await writeFile(join(root, 'finished'), bytes)
  await store.adopt(join(root, 'finished'), digest)
  const direct = { bytes: 0, full: 0 }
  const sendfile = await sendfileOf(options, direct)
  const ended: ServedFile['ended'] = []
  let running = 0

  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const opened = await store.open(digest)
    if (opened === undefined) throw new Error('The blob is not in the store.')
    const source = changed(opened)
    const end = { sent: 0, cut: undefined as unknown }
    try {
      const selection = parseRanges(incoming.headers.range, source.size)
      const { status, headers, pieces } = blobBody(selection, source.size, MEDIA_TYPE)
      outgoing.writeHead(status, { 'Content-Length': source.size, ...headers })
      if (incoming.method === 'HEAD') return void outgoing.end()
      before(outgoing)
      await sendPieces(outgoing, source, pieces, {
        buffers,
        sendfile,
        onSent: (count) => (end.sent += count),
        onCut: (error) => (end.cut = error),
      })
    } finally {
      await source.close()
      ended.push(end)
    }
  }

  const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    running += 1
    void answer(incoming, outgoing).finally(() => (running -= 1))
  }
  const server = tls ? createHttpsServer(tls, listener) : createServer(listener)
  if (timeout !== undefined) server.timeout = timeout
  const path = socketName === undefined ? undefined : join(root, socketName)
  await new Promise<void>((resolve) =>
    path === undefined ? server.listen(0, '127.0.0.1', resolve) : server.listen(path, resolve),
  )
  const scheme = tls ? 'https' : 'http'
  return {
    url: path ?? `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    direct,
    ended,
    running: () => running,
    shorten: (size) => {
      const hex = digestHex(digest)
      return truncate(join(root, 'blobs-v1', 'sha256', hex.slice(0, 2), hex), size)
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
      await until(() => running === 0, { what: 'all answers have ended' })
      const leaked = await openFilesBelow(root)
      await rm(root, { recursive: true })
      if (leaked.length > 0) throw new Error(`These files are open: ${leaked.join()}`)
    },
  }
}

async function sendfileOf(
  options: ServedFileOptions,
  direct: ServedFile['direct'],
): Promise<Sendfile | undefined> {
  if ('sendfile' in options && options.sendfile === undefined) return undefined
  const opened = await openSendfile(true)
  if (opened.sendfile === undefined) throw new Error(opened.reason)
  const sendfile = options.sendfile?.(opened.sendfile) ?? opened.sendfile
  return {
    async send(socket, file, position, length) {
      const sent = await sendfile.send(socket, file, position, length)
      direct.bytes += sent
      if (sent < length) direct.full += 1
      return sent
    },
  }
}
