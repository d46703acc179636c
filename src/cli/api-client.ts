/** Requests to a mirror's API, and what its refusals mean. */
import type { IncomingMessage } from 'node:http'
import { ControlError, type ControlErrorCode, type InvalidField } from '../operator.ts'
import { type ApiRequest, failureOf, readText, reasonOf, send } from './http-client.ts'
import { ForeignAnswer, readObject } from './json-object.ts'
import type { MirrorAddress } from './mirror-address.ts'
import { readLines } from './json-lines.ts'
import { safeText } from './text.ts'

/** Milliseconds for a whole answer; of a stream, for its beginning and between two pieces of it. */
const DEADLINE = 30_000
const MAX_BYTES = 8 * 2 ** 20
const MAX_STREAM_BYTES = 64 * 2 ** 20
/** Of a job, which tells what it does for as long as it takes. */
const MAX_JOB_BYTES = 64 * 2 ** 30
const MAX_MESSAGE_LENGTH = 1000

export interface ApiClient {
  /**
   * @param path below `/api/v1`, with its query
   * @returns what was answered, parsed
   * @throws {ControlError} as the mirror has it, and an Error where it could not be asked
   */
  readonly ask: (method: string, path: string, body?: object) => Promise<unknown>
  /**
   * One value a line.
   * @param body is sent; without it, only read
   * @throws as `ask`
   */
  readonly stream: (path: string, body?: object) => AsyncIterable<unknown>
}

interface ApiClientOptions {
  readonly token: string
  readonly signal: AbortSignal
  readonly deadline?: number
}

export function createApiClient(
  address: MirrorAddress,
  { token, signal, deadline = DEADLINE }: ApiClientOptions,
): ApiClient {
  return {
    ask: (method, path, body) =>
      explained(async (patience) => {
        const incoming = await request({ method, path, token, body }, patience.signal)
        return parseJson(await readText(incoming, MAX_BYTES))
      }),
    async *stream(path, body) {
      const patience = createPatience(signal, deadline)
      try {
        const [method, maxBytes] =
          body === undefined
            ? (['GET', MAX_STREAM_BYTES] as const)
            : (['POST', MAX_JOB_BYTES] as const)
        const incoming = await request({ method, path, token, body }, patience.signal)
        const pieces = renewing(incoming, patience)
        for await (const line of readLines(pieces, maxBytes)) yield parseJson(line)
      } catch (error) {
        throw translated(error, patience)
      } finally {
        patience.end()
      }
    },
  }

  async function request(
    { method, path, body }: Omit<ApiRequest, 'body'> & { readonly body?: object | undefined },
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const question = { method, path: `/api/v1${path}`, token, body: text }
    const incoming = await send(address, question, signal)
    const status = incoming.statusCode ?? 0
    if (status >= 200 && status < 300) return incoming
    throw refusalOf(status, await readText(incoming, MAX_BYTES))
  }

  async function explained<T>(work: (patience: Patience) => Promise<T>): Promise<T> {
    const patience = createPatience(signal, deadline)
    try {
      return await work(patience)
    } catch (error) {
      throw translated(error, patience)
    } finally {
      patience.end()
    }
  }

  function translated(error: unknown, patience: Patience): Error {
    if (error instanceof ControlError || error instanceof ForeignAnswer) return error
    const reason = patience.isLate() ? `no answer within ${deadline / 1000} s` : reasonOf(error)
    return failureOf(`The mirror at ${address.name} could not be asked: ${reason}.`, error)
  }
}

interface Patience {
  readonly signal: AbortSignal
  isLate(): boolean
  /** Begins anew. */
  renew(): void
  end(): void
}

function createPatience(given: AbortSignal, milliseconds: number): Patience {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), milliseconds)
  return {
    signal: AbortSignal.any([given, late.signal]),
    isLate: () => late.signal.aborted,
    renew: () => void timer.refresh(),
    end: () => clearTimeout(timer),
  }
}

/** Whoever reads slowly is not late. */
async function* renewing(incoming: IncomingMessage, patience: Patience): AsyncIterable<Buffer> {
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    yield chunk
    patience.renew()
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new ForeignAnswer('JSON')
  }
}

const CODES: ReadonlySet<string> = new Set<ControlErrorCode>([
  'invalid',
  'not-found',
  'conflict',
  'last-admin',
  'forbidden',
  'unauthenticated',
])

/** Problem details (RFC 9457), or what something on the way has to say. */
function refusalOf(status: number, text: string): Error {
  const { code, detail, fields } = readProblem(text)
  if (code !== undefined) return new ControlError(code, detail, fields)
  if (status === 401) return new ControlError('unauthenticated', UNKNOWN_TOKEN)
  if (status === 404 && detail === '') return new Error('there is no API for operators there')
  return new Error(`it answered ${status}${detail === '' ? '' : ` (${detail})`}`)
}

const UNKNOWN_TOKEN =
  'The mirror does not accept the token: it has ended, was removed, or is of another mirror. Have a new one made, and give it with --token-file.'

interface Problem {
  /** `undefined`: none of ours. */
  readonly code: ControlErrorCode | undefined
  readonly detail: string
  readonly fields: InvalidField[]
}

function readProblem(text: string): Problem {
  try {
    const problem = readObject(JSON.parse(text))
    const code = /^urn:entrepot:(.+)$/.exec(problem.maybeText('type') ?? '')?.[1] ?? ''
    const detail = problem.maybeText('detail') ?? problem.maybeText('title') ?? ''
    return {
      code: isCode(code) ? code : undefined,
      detail: safeText(detail, MAX_MESSAGE_LENGTH),
      fields: problem.value('errors') === undefined ? [] : problem.list('errors', readField),
    }
  } catch {
    return { code: undefined, detail: '', fields: [] }
  }
}

function readField(json: unknown): InvalidField {
  const field = readObject(json)
  return {
    path: safeText(field.text('path')),
    message: safeText(field.text('message'), MAX_MESSAGE_LENGTH),
  }
}

function isCode(text: string): text is ControlErrorCode {
  return CODES.has(text)
}
