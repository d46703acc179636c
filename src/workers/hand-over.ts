/**
 * Connections that the main process has accepted, each handed to the worker that has the fewest. The main
 * process keeps its end until the worker has taken it, so that a worker that dies loses none that is on its
 * way: node:cluster leaves such a client waiting for ever, and gives a crowd to whoever is quick.
 */
import type { Socket } from 'node:net'

/** Which of the listeners it came by. */
export type ListenerName = 'main' | 'api'

export interface HandOver {
  give(socket: Socket, listener: ListenerName): void
  /** This worker serves from now on. */
  add(worker: number, send: SendSocket): void
  /** The worker has the connection. */
  taken(worker: number, connection: number): void
  /** The connection has ended there. */
  left(worker: number, connection: number): void
  /** It is gone; what it has not taken goes to others. */
  remove(worker: number): void
  /** Closes what nobody has taken. */
  close(): void
}

type SendSocket = (connection: number, listener: ListenerName, socket: Socket) => void

interface Given {
  readonly listener: ListenerName
  /** `undefined`: the worker has it. */
  socket: Socket | undefined
}

interface Taker {
  readonly send: SendSocket
  readonly connections: Map<number, Given>
}

/** Connections that wait while there is no worker; more are closed. */
const MOST_WAITING = 1024

export function createHandOver(): HandOver {
  const takers = new Map<number, Taker>()
  let waiting: { readonly socket: Socket; readonly listener: ListenerName }[] = []
  let lastId = 0
  let isClosed = false

  function give(socket: Socket, listener: ListenerName): void {
    const taker = leastBusy()
    if (isClosed || (taker === undefined && waiting.length >= MOST_WAITING)) socket.destroy()
    else if (taker === undefined) waiting.push({ socket, listener })
    else {
      lastId += 1
      taker.connections.set(lastId, { socket, listener })
      taker.send(lastId, listener, socket)
    }
  }

  function leastBusy(): Taker | undefined {
    let found: Taker | undefined
    for (const taker of takers.values()) {
      if (found === undefined || taker.connections.size < found.connections.size) found = taker
    }
    return found
  }

  function giveAll(all: typeof waiting): void {
    for (const { socket, listener } of all) give(socket, listener)
  }

  return {
    give,
    add(worker, send) {
      takers.set(worker, { send, connections: new Map() })
      const before = waiting
      waiting = []
      giveAll(before)
    },
    taken(worker, connection) {
      const given = takers.get(worker)?.connections.get(connection)
      // The other process has its own end by now: this closes ours, not the connection.
      given?.socket?.destroy()
      if (given) given.socket = undefined
    },
    left: (worker, connection) => void takers.get(worker)?.connections.delete(connection),
    remove(worker) {
      const { connections = new Map<number, Given>() } = takers.get(worker) ?? {}
      takers.delete(worker)
      giveAll([...connections.values()].flatMap(untaken))
    },
    close() {
      isClosed = true
      giveAll(waiting)
      waiting = []
    },
  }
}

function untaken({ socket, listener }: Given): { socket: Socket; listener: ListenerName }[] {
  return socket === undefined ? [] : [{ socket, listener }]
}
