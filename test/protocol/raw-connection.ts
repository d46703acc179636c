/** A connection on which a test says one thing after the other, for what must happen in between. */
import { connect, type Socket } from 'node:net'

export interface RawConnection extends Disposable {
  /** latin1 */
  send(bytes: string): void
  /** All that has come so far (latin1). */
  received(): string
  /** Resolves when either side has closed it. */
  readonly closed: Promise<void>
}

export function openConnection(url: string): RawConnection {
  const { hostname, port } = new URL(url)
  const socket: Socket = connect({ host: hostname, port: Number(port) })
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  // A reset closes as well; what came before it is the answer.
  socket.on('error', () => undefined)
  return {
    send: (bytes) => void socket.write(bytes, 'latin1'),
    received: () => Buffer.concat(chunks).toString('latin1'),
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
    [Symbol.dispose]: () => void socket.destroy(),
  }
}
