/** A listener that serves nothing itself: its connections are handed to others, unread. */
import { createServer, type Socket } from 'node:net'
import { bindServer, type ListenAddress } from '../listening.ts'

export interface FrontDoor {
  /** @returns the base URL that was bound, or `unix:<path>` */
  listen(address: ListenAddress): Promise<string>
  /** Accepts no more; connections that were handed on are not its own. */
  close(): void
}

/** @param scheme what those speak who get the connections */
export function createFrontDoor(
  scheme: 'http' | 'https',
  give: (socket: Socket) => void,
): FrontDoor {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    // A client that leaves is noticed by who serves it.
    socket.on('error', () => undefined)
    give(socket)
  })
  return {
    listen: (address) => bindServer(server, address, scheme),
    close: () => void server.close(),
  }
}
