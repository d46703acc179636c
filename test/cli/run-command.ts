import type { Command, ExitCode, Io } from '../../src/cli/command.ts'

export interface Ran {
  readonly code: ExitCode
  readonly out: string
  readonly error: string
}

/** Runs a command in this process, and collects what it writes. */
export async function runCommand(
  command: Command,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  signal = new AbortController().signal,
  onReload: Io['onReload'] = () => undefined,
): Promise<Ran> {
  const out: string[] = []
  const error: string[] = []
  const io: Io = {
    env,
    out: (text) => void out.push(text),
    error: (text) => void error.push(text),
    onReload,
  }
  const code = await command(args, io, signal)
  return { code, out: out.join('\n'), error: error.join('\n') }
}
