/** Binding a server to a TCP port, a Unix socket or what systemd has opened, and the URL that it then has. */
import { rm } from 'node:fs/promises'
import { connect, type AddressInfo, type ListenOptions, type Server } from 'node:net'
import { inheritedSocket, pathOfSocket } from './inherited-sockets.ts'

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'systemd'; readonly name: string | undefined }

/**
 * @returns the base URL that was bound, or `unix:<path>`
 * @throws {Error} when it cannot be bound, or systemd has opened no such socket for this process
 */
export async function bindServer(
  server: Server,
  address: ListenAddress,
  scheme: 'http' | 'https',
): Promise<string> {
  if (address.kind === 'tcp') await bind(server, address)
  else if (address.kind === 'unix') {
    await removeStaleSocket(address.path)
    await bind(server, { path: address.path })
  } else {
    const fd = inheritedSocket(address.name, process.env, process.pid)
    await bind(server, { fd })
    if (server.address() === null) return `unix:${await pathOfSocket(fd)}`
  }
  return urlOf(server, scheme)
}

function bind(server: Server, where: ListenOptions | { readonly fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** A socket file that nobody listens on is left from a crash, and would make the start fail. */
async function removeStaleSocket(path: string): Promise<void> {
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => socket.destroy()).once('close', (failed) => resolve(!failed))
    socket.on('error', () => undefined)
  })
  if (!answers) await rm(path, { force: true })
}

function urlOf(server: Server, scheme: 'http' | 'https'): string {
  const address = server.address() as AddressInfo | string
  if (typeof address === 'string') return `unix:${address}`
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${scheme}://${host}:${address.port}`
}
