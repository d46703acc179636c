/** A way to another process, on which everything arrives in the order in which it was sent. */
import type { ChildProcess, SendHandle, Serializable } from 'node:child_process'

export interface Port {
  /** What cannot be sent any more is lost, and the other side is gone. Buffers may be used again at once. */
  readonly send: (message: unknown) => void
  /** To be called once. */
  readonly receive: (listener: (message: unknown) => void) => void
}

export interface ProcessPort extends Port {
  /** Both processes have it then. */
  readonly sendHandle: (message: unknown, handle: SendHandle) => void
  /** Messages with something besides data are for this one. To be called once. */
  readonly receiveHandles: (listener: (message: unknown, handle: unknown) => void) => void
}

/** @param process this one, where another has started it, or one that was started from here */
export function processPort(process: ChildProcess | NodeJS.Process): ProcessPort {
  function send(message: unknown, handle?: SendHandle): void {
    if (!process.connected) return
    // The callback keeps a channel that breaks from being an error of the process: its end is told apart.
    process.send?.(message as Serializable, handle, { keepOpen: true }, () => undefined)
  }

  return {
    send: (message) => send({ message }),
    sendHandle: (withHandle, handle) => send({ withHandle }, handle),
    receive: (listener) =>
      void process.on('message', (received: object) => {
        if ('message' in received) listener(received.message)
      }),
    receiveHandles: (listener) =>
      void process.on('message', (received: object, handle: unknown) => {
        if ('withHandle' in received) listener(received.withHandle, handle)
      }),
  }
}
