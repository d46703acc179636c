/**
 * Many clients that take the same large body at once. Each is a bare socket, and all read into one
 * buffer: what is measured and waited for is the mirror, not a hundred HTTP parsers.
 */
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import type { ClientDownload } from '../support/client.ts'

const BUFFER_BYTES = 512 * 1024

export interface Herd {
  /** So many further clients ask now. */
  join(count: number): void
  readonly size: number
  /** What each of them got; rejects when one has no connection. */
  all(): Promise<readonly Omit<ClientDownload, 'headers'>[]>
}

export function createHerd({ url, path }: { url: string; path: string }): Herd {
  const shared = Buffer.alloc(BUFFER_BYTES)
  const clients: Promise<Omit<ClientDownload, 'headers'>>[] = []
  return {
    join(count) {
      for (let index = 0; index < count; index += 1) clients.push(downloadBy(shared, url, path))
    },
    get size() {
      return clients.length
    },
    all: () => Promise.all(clients),
  }
}

function downloadBy(
  buffer: Buffer,
  url: string,
  path: string,
): Promise<Omit<ClientDownload, 'headers'>> {
  const { hostname, port, host } = new URL(url)
  const hash = createHash('sha256')
  let head = ''
  let bytes = 0

  const take = (piece: Buffer): void => {
    hash.update(piece)
    bytes += piece.length
  }
  const receive = (length: number): boolean => {
    if (head.endsWith(END_OF_HEAD)) {
      take(buffer.subarray(0, length))
      return true
    }
    const text = head + buffer.toString('latin1', 0, length)
    const end = text.indexOf(END_OF_HEAD)
    head = end === -1 ? text : text.slice(0, end + END_OF_HEAD.length)
    take(Buffer.from(text.slice(head.length), 'latin1'))
    return true
  }
  return new Promise((resolve, reject) => {
    const onread = { buffer, callback: receive }
    const socket = connect({ host: hostname, port: Number(port), onread })
    socket.once('error', reject)
    socket.once('close', () =>
      resolve({
        status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]),
        digest: `sha256:${hash.digest('hex')}`,
        bytes,
        complete: bytes === Number(/content-length: (\d+)/i.exec(head)?.[1]),
      }),
    )
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  })
}

const END_OF_HEAD = '\r\n\r\n'
