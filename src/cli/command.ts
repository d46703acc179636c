/** What a command gets, and what it gives back. */
import { StorageError } from '../storage-error.ts'

export interface Io {
  readonly env: NodeJS.ProcessEnv
  /** Writes a line to standard output. */
  out(text: string): void
  /** Writes a line to standard error. */
  error(text: string): void
  /** Calls back when the operator asks to read the configuration again (SIGHUP). */
  onReload(reload: () => void): void
}

/** 0 done, 1 failed, 2 called wrongly */
export type ExitCode = 0 | 1 | 2

export type Command = (args: readonly string[], io: Io, signal: AbortSignal) => Promise<ExitCode>

/** Says what a command could not do. */
export function failWith(io: Io, error: unknown): ExitCode {
  io.error(sentence(error))
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS') ? 2 : 1
}

/** Says how the command should have been called. */
export function calledWrongly(io: Io, message: string): ExitCode {
  io.error(message)
  return 2
}

/** With the cause where the disk is at fault: only that names the file, which the operator may know. */
function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { message, cause } = error
  return error instanceof StorageError && cause instanceof Error
    ? `${message} ${cause.message}`
    : message
}
