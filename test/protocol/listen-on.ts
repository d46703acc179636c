import { createServer, type AddressInfo } from 'node:net'

export interface Listener extends AsyncDisposable {
  readonly port: number
  /** So far. */
  readonly connections: number
}

/** Counts who connects to an address of this machine, and says nothing. */
export async function listenOn(address: string): Promise<Listener> {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    get connections() {
      return connections
    },
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
