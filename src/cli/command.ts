/** What a command gets, and what it gives back. */

export interface Io {
  readonly env: NodeJS.ProcessEnv
  /** Writes a line to standard output. */
  out(text: string): void
  /** Writes a line to standard error. */
  error(text: string): void
  /** Calls back when the operator asks to read the configuration again (SIGHUP). */
  onReload(reload: () => void): void
}

/** @returns the exit code: 0 done, 1 failed, 2 called wrongly */
export type Command = (args: readonly string[], io: Io, signal: AbortSignal) => Promise<number>

/** For what a command could not do. */
export function exitCode(error: unknown): 1 | 2 {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS') ? 2 : 1
}
