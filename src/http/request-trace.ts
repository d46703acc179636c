/** What is told about a request, to the log and the metrics, when its answer has ended. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Outcome, RequestKind } from '../metrics.ts'
import type { Target } from '../routing/resolve.ts'
import type { Span } from '../tracing.ts'

/** Filled in on the way, written to the log and the metrics at the end. */
export interface RequestTrace {
  readonly id: string
  /** Address of the client, behind trusted proxies. */
  readonly client: string
  /** Name of the user or robot; `undefined` for callers without one. */
  user: string | undefined
  kind: RequestKind
  target: Target | undefined
  reference: string | undefined
  outcome: Outcome | undefined
  /** Body bytes sent. */
  bytes: number
  /** Why the request failed, for the operator. */
  failure: unknown
}

/** What is the same of a request however often it is asked. */
export interface AnswerTrace extends Omit<RequestTrace, 'id' | 'client'> {
  readonly method: string | undefined
  readonly status: number
}

/** What is its own of each request whose answer has ended. */
export interface EndedRequest {
  readonly id: string
  /** Address of the client. */
  readonly client: string
  readonly userAgent: string | undefined
  /** When it came, in milliseconds of `performance.now()`. */
  readonly started: number
  /** The client did not get all of the answer. */
  readonly isCut: boolean
  /** Ended with it; `undefined`: nothing is traced. */
  readonly span: Span | undefined
}

export interface RequestObserver {
  ended(request: EndedRequest, answer: AnswerTrace): void
  /** As `ended`, for an answer that is given again and again: what it always says is put into words once. */
  prepare(answer: AnswerTrace): (request: EndedRequest) => void
}

/** Where the time goes until the headers go out, for who asks for that. */
export interface ServerTiming {
  /** It was decided that the request may be answered. */
  admitted(): void
  /** What is answered was found, or is on its way. */
  found(outcome: Outcome): void
  /** Has to come before the headers go out. */
  tell(outgoing: ServerResponse): void
}

export const newRequestId = (): string => randomUUID()

/** Of a connection: what is to be told of answers that have not had their turn on it. */
const waiting = new WeakMap<Socket, Set<() => void>>()
/**
 * Calls once. An answer that stands behind others of its connection is told nothing by Node where that
 * closes before its turn.
 */
export function onceEnded(
  { socket }: IncomingMessage,
  outgoing: ServerResponse,
  tell: (isCut: boolean) => void,
): void {
  const queued = outgoing.socket === null ? queueOf(socket) : undefined
  const end = (): void => {
    queued?.delete(end)
    outgoing.off('close', end)
    tell(!outgoing.writableFinished)
  }
  queued?.add(end)
  outgoing.once('close', end)
}

function queueOf(socket: Socket): Set<() => void> {
  const known = waiting.get(socket)
  if (known) return known
  const queue = new Set<() => void>()
  waiting.set(socket, queue)
  socket.once('close', () => {
    for (const end of queue) end()
  })
  return queue
}
