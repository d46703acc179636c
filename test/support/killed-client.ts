/** A client that is killed in the middle of an answer. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { within } from './until.ts'

interface KilledRequest {
  readonly url: string
  readonly path: string
  /** The body, if it were whole. */
  readonly expected: Buffer
}

/**
 * Resets the connection as soon as so many bytes have come, head and all.
 * @returns whether they came, and were right
 */
export async function killAfter(request: KilledRequest, bytes: number): Promise<boolean> {
  const { hostname, port } = new URL(request.url)
  const socket = connect({ host: hostname, port: Number(port) })
  const chunks: Buffer[] = []
  let size = 0
  socket.write(`GET ${request.path} HTTP/1.1\r\nHost: here\r\n\r\n`)
  socket.on('error', () => undefined)
  socket.on('data', (chunk) => {
    chunks.push(chunk)
    size += chunk.length
    if (size >= bytes) socket.resetAndDestroy()
  })
  await within(once(socket, 'close'), { deadlineMs: 20_000, what: 'the client is gone' })
  const all = Buffer.concat(chunks)
  const head = all.indexOf('\r\n\r\n')
  const body = head < 0 ? Buffer.alloc(0) : all.subarray(head + 4)
  return size >= bytes && body.equals(request.expected.subarray(0, body.length))
}
