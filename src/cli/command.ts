/** What a command gets, and what it gives back. */
import { ControlError } from '../operator.ts'
import { StorageError } from '../storage-error.ts'
import type { Input } from './input.ts'
import { safeText } from './text.ts'

export interface Io {
  readonly env: NodeJS.ProcessEnv
  readonly input: Input
  /** Writes a line to standard output. */
  out(text: string): void
  /** Writes a line to standard error. */
  error(text: string): void
  /** What standard output is; absent where that is a file or a pipe. */
  readonly terminal?: Terminal | undefined
  /** Calls back when the operator asks to read the configuration again (SIGHUP). */
  onReload(reload: () => void): void
}

/** A screen that somebody looks at. */
export interface Terminal {
  /** Characters in a line, as of now; 0: not known. */
  columns(): number
  /** Lines, as of now; 0: not known. */
  rows(): number
  /** Writes as it is, with what moves the cursor. */
  write(text: string): void
}

/** 0 done, 1 failed, 2 called wrongly: nothing was changed */
export type ExitCode = 0 | 1 | 2

export type Command = (args: readonly string[], io: Io, signal: AbortSignal) => Promise<ExitCode>

/** The command was called wrongly; the message says how it should have been, in one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Nothing answers there, so nothing was asked and nothing changed. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'
}

/** Says what a command could not do. */
export function failWith(io: Io, error: unknown): ExitCode {
  io.error(sentence(error))
  return isMistake(error) ? 2 : 1
}

/** Says how the command should have been called. */
export function calledWrongly(io: Io, message: string): ExitCode {
  io.error(message)
  return 2
}

function isMistake(error: unknown): boolean {
  return (
    error instanceof UsageError ||
    error instanceof UnreachableError ||
    isUnreadable(error) ||
    (error instanceof ControlError && error.code === 'invalid')
  )
}

/** What Node throws for arguments that it cannot make out. */
function isUnreadable(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS')
}

const MAX_SENTENCE_LENGTH = 2000

/** With the cause where the disk is at fault: only that names the file, which the operator may know. */
function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { message, cause } = error
  if (error instanceof ControlError) return safeText(withFields(error), MAX_SENTENCE_LENGTH)
  if (isUnreadable(error)) return safeText(message.replaceAll(/\s+/g, ' '), MAX_SENTENCE_LENGTH)
  return error instanceof StorageError && cause instanceof Error
    ? `${message} ${cause.message}`
    : message
}

/** Which part was wrong, unless the sentence says so already. */
function withFields({ message, fields }: ControlError): string {
  const more = fields.filter((field) => !message.includes(field.message))
  if (more.length === 0) return message
  return `${message} (${more.map((field) => `${field.path}: ${field.message}`).join('; ')})`
}
