/** Binding a server to a TCP port or a Unix socket, and the URL that it then has. */
import { rm } from 'node:fs/promises'
import { connect, type AddressInfo, type Server } from 'node:net'

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** @returns the base URL that was bound, or `unix:<path>` */
export async function bindServer(
  server: Server,
  address: ListenAddress,
  scheme: 'http' | 'https',
): Promise<string> {
  if (address.kind === 'unix') await removeStaleSocket(address.path)
  await bind(server, address)
  return urlOf(server, scheme)
}

function bind(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.kind === 'tcp' ? address : address.path, () => {
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
