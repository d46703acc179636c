/** Calls from one process to another: with answers, with errors as they were, and with an end by a signal. */
import type { Tracing } from '../tracing.ts'
import { decodeError, encodeError, type EncodedError } from './error-codec.ts'
import type { Port } from './port.ts'

/** What may be called: arguments and results are data that can be cloned. */
type Calls<T> = { [Name in keyof T]: (...args: never[]) => unknown }

/** Each as it is called, with a signal behind the arguments, which is aborted when nobody waits any more. */
export type Handlers<T extends Calls<T>> = {
  readonly [Name in keyof T]: (
    ...args: [...Parameters<T[Name]>, signal: AbortSignal]
  ) => ReturnType<T[Name]> | Promise<Awaited<ReturnType<T[Name]>>>
}

export interface Channel<Remote extends Calls<Remote>> {
  /**
   * @throws what the other side threw, the signal's reason when it aborts first, and what `close` was given
   */
  call<Name extends keyof Remote & string>(
    name: Name,
    args: Parameters<Remote[Name]>,
    signal?: AbortSignal,
  ): Promise<Awaited<ReturnType<Remote[Name]>>>
  /** A call whose result nobody waits for. */
  tell<Name extends keyof Remote & string>(name: Name, args: Parameters<Remote[Name]>): void
  /** Ends all calls, of both sides: those from here with this error. */
  close(reason: Error): void
}

type Message =
  | {
      readonly kind: 'call'
      /** `undefined`: nobody waits. */
      readonly id: number | undefined
      readonly name: string
      readonly args: readonly unknown[]
      /** What it is a part of, where that is traced. */
      readonly trace?: string | undefined
    }
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly error: EncodedError }

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

type AnyHandler = (...args: unknown[]) => unknown

/**
 * @param beforeAnswer may send what has to arrive before the answer that follows
 * @param tracing calls are parts of what makes them, in whichever process
 */
export function createChannel<Remote extends Calls<Remote>, Local extends Calls<Local>>(
  port: Port,
  handlers: Handlers<Local>,
  beforeAnswer: () => void = () => undefined,
  tracing?: Tracing,
): Channel<Remote> {
  const pending = new Map<number, Pending>()
  /** Calls from the other side that have not ended. */
  const running = new Map<number, AbortController>()
  let lastId = 0
  let closed: Error | undefined
  const send = (message: Message): void => port.send(message)

  async function answer({ id, name, args, trace }: Extract<Message, { kind: 'call' }>) {
    const controller = new AbortController()
    if (id !== undefined) running.set(id, controller)
    const result = await settle(() =>
      tracing
        ? tracing.resume(trace, () => invoke(name, args, controller.signal))
        : invoke(name, args, controller.signal),
    )
    if (id === undefined || !running.delete(id) || closed !== undefined) return
    beforeAnswer()
    try {
      send({ ...result, id })
    } catch (error) {
      // It cannot be cloned.
      send({ kind: 'failure', id, error: encodeError(error) })
    }
  }

  function invoke(name: string, args: readonly unknown[], signal: AbortSignal): unknown {
    if (!Object.hasOwn(handlers, name)) throw new TypeError(`There is no call ${name}.`)
    return (handlers as Record<string, AnyHandler>)[name]?.(...args, signal)
  }

  function settled(id: number, settleWith: (call: Pending) => void): void {
    const call = pending.get(id)
    // It was given up.
    if (call === undefined) return
    pending.delete(id)
    settleWith(call)
  }

  port.receive((received) => {
    // The protocol's other end is this very file.
    const message = received as Message
    if (closed !== undefined) return
    switch (message.kind) {
      case 'call':
        void answer(message)
        return
      case 'abort':
        running.get(message.id)?.abort(new Error('Nobody waits for this any more.'))
        return
      case 'result':
        return settled(message.id, ({ resolve }) => resolve(message.value))
      case 'failure':
        return settled(message.id, ({ reject }) => reject(decodeError(message.error)))
    }
  })

  function call(name: string, args: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (closed) return reject(closed)
      if (signal?.aborted === true) return reject(signal.reason as Error)
      lastId += 1
      const id = lastId
      send({ kind: 'call', id, name, args, ...(tracing && { trace: tracing.current() }) })
      const giveUp = (): void => {
        pending.delete(id)
        send({ kind: 'abort', id })
        reject(signal?.reason as Error)
      }
      signal?.addEventListener('abort', giveUp, { once: true })
      const end = (): void => signal?.removeEventListener('abort', giveUp)
      pending.set(id, {
        resolve: (value) => (end(), resolve(value)),
        reject: (error) => (end(), reject(error)),
      })
    })
  }

  return {
    call: call as Channel<Remote>['call'],
    tell(name, args) {
      if (closed === undefined) send({ kind: 'call', id: undefined, name, args })
    },
    close(reason) {
      closed ??= reason
      for (const controller of running.values()) controller.abort(reason)
      running.clear()
      for (const { reject } of pending.values()) reject(reason)
      pending.clear()
    },
  }
}

async function settle(
  work: () => unknown,
): Promise<
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'failure'; readonly error: EncodedError }
> {
  try {
    return { kind: 'result', value: await work() }
  } catch (error) {
    return { kind: 'failure', error: encodeError(error) }
  }
}
