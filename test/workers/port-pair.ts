/** Both ends of a way between two processes, in one: what is sent is cloned as it would be there. */
import { deserialize, serialize } from 'node:v8'
import type { Port } from '../../src/workers/port.ts'

export interface PortPair {
  readonly here: Port
  readonly there: Port
  /** What was sent from here, oldest first. */
  readonly sent: readonly unknown[]
  /** What was sent from there. */
  readonly sentBack: readonly unknown[]
}

export function createPortPair(): PortPair {
  const [toThere, toHere] = [createWay(), createWay()]
  return {
    here: { send: toThere.send, receive: toHere.receive },
    there: { send: toHere.send, receive: toThere.receive },
    sent: toThere.sent,
    sentBack: toHere.sent,
  }
}

function createWay(): Port & { readonly sent: readonly unknown[] } {
  const sent: unknown[] = []
  let listen: (message: unknown) => void = () => undefined
  return {
    sent,
    send(message) {
      const bytes = serialize(message)
      sent.push(message)
      setImmediate(() => listen(deserialize(bytes)))
    },
    receive: (listener) => void (listen = listener),
  }
}
