/**
 * Errors on their way to another process. Those that somebody tells apart by their class arrive as what they
 * were; all others as an Error of the same name, with the plain facts that were on it.
 */
import { ControlError, type ControlErrorCode, type InvalidField } from '../control/error.ts'
import { OciError, type ErrorCode } from '../oci/error.ts'
import { StorageError, type StorageFailure } from '../storage-error.ts'

export interface EncodedError {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly cause: EncodedError | undefined
  /** Own properties whose values can be sent. */
  readonly facts: Readonly<Record<string, unknown>>
}

/** Causes of causes, and data within data, that are told; either may be a circle. */
const MAX_DEPTH = 8

const SAID_ANYWAY = new Set(['name', 'message', 'stack', 'cause'])

export function encodeError(error: unknown, depth = 0): EncodedError {
  if (!(error instanceof Error)) {
    return { name: 'Error', message: String(error), stack: undefined, cause: undefined, facts: {} }
  }
  const { name, message, stack, cause } = error
  const facts = Object.entries(error).filter(
    ([key, value]) => !SAID_ANYWAY.has(key) && isPlain(value),
  )
  const hasCause = cause !== undefined && depth < MAX_DEPTH
  return {
    name,
    message,
    stack,
    cause: hasCause ? encodeError(cause, depth + 1) : undefined,
    facts: Object.fromEntries(facts),
  }
}

export function decodeError(encoded: EncodedError): Error {
  const { name, message, stack, facts } = encoded
  const cause = encoded.cause && { cause: decodeError(encoded.cause) }
  const error = make(name, message, facts, cause)
  if (stack !== undefined) error.stack = stack
  return error
}

function make(
  name: string,
  message: string,
  facts: EncodedError['facts'],
  cause: { cause: Error } | undefined,
): Error {
  switch (name) {
    case 'OciError':
      return new OciError(facts['code'] as ErrorCode, message, { ...defined(facts), ...cause })
    case 'StorageError':
      return new StorageError(facts['code'] as StorageFailure, message, cause)
    case 'ControlError':
      return new ControlError(
        facts['code'] as ControlErrorCode,
        message,
        facts['fields'] as readonly InvalidField[],
      )
    default:
      return Object.assign(new Error(message, cause), { name }, facts)
  }
}

function defined(facts: EncodedError['facts']): Record<string, unknown> {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}

/** Of data only: whatever else an error may hold cannot be sent. */
function isPlain(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return PLAIN_TYPES.has(typeof value)
  const prototype: unknown = Object.getPrototypeOf(value)
  const isData = prototype === Object.prototype || Array.isArray(value)
  return isData && depth < MAX_DEPTH && Object.values(value).every((it) => isPlain(it, depth + 1))
}

const PLAIN_TYPES = new Set(['string', 'number', 'boolean', 'undefined', 'object'])
