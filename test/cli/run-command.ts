import type { Command, ExitCode, Io } from '../../src/cli/command.ts'
import type { Input } from '../../src/cli/input.ts'

export interface Ran {
  readonly code: ExitCode
  readonly out: string
  readonly error: string
}

/** Nobody is there, and nothing is piped in. */
const NO_INPUT: Input = {
  isTerminal: false,
  read: async () => '',
  askSecrets: () => Promise.reject(new Error('There is no terminal.')),
}

/** Runs a command in this process, and collects what it writes. */
export async function runCommand(
  command: Command,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  signal = new AbortController().signal,
  onReload: Io['onReload'] = () => undefined,
  input: Input = NO_INPUT,
): Promise<Ran> {
  const out: string[] = []
  const error: string[] = []
  const io: Io = {
    env,
    input,
    out: (text) => void out.push(text),
    error: (text) => void error.push(text),
    onReload,
  }
  const code = await command(args, io, signal)
  return { code, out: out.join('\n'), error: error.join('\n') }
}
