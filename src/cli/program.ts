/** Which command is meant, or what help is asked for. */
import { readFileSync } from 'node:fs'
import { nearest } from '../config/nearest.ts'
import { calledWrongly, type Command, type ExitCode, type Io } from './command.ts'
import { safeText } from './text.ts'
import { COMMAND_USAGE, USAGE } from './usage.ts'

const HELP = new Set(['--help', '-h'])
const VERSION = new Set(['--version', '-V'])

/** @param args without the program itself */
export async function runProgram(
  commands: ReadonlyMap<string, Command>,
  [name = '', ...args]: readonly string[],
  io: Io,
  signal: AbortSignal,
): Promise<ExitCode> {
  if (name === '' || HELP.has(name)) return help(undefined, io)
  if (VERSION.has(name)) return version(io)
  if (name === 'help')
    return help(
      args.find((it) => !HELP.has(it)),
      io,
    )
  const command = commands.get(name)
  if (command === undefined) return unknown(name, io)
  return asksForHelp(args) ? help(name, io) : command(args, io, signal)
}

/** Behind `--` nothing is an option. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return (end === -1 ? args : args.slice(0, end)).some((it) => HELP.has(it))
}

function help(name: string | undefined, io: Io): ExitCode {
  const usage = name === undefined ? USAGE : COMMAND_USAGE.get(name)
  if (usage === undefined) return unknown(name ?? '', io)
  io.out(usage)
  return 0
}

/** `src/cli` and `dist/cli` lie equally deep below package.json. */
function version(io: Io): ExitCode {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  io.out(`entrepot ${(JSON.parse(text) as { readonly version: string }).version}`)
  return 0
}

/** Options of the program itself are not worth a guess: a name is what is missing. */
function unknown(name: string, io: Io): ExitCode {
  const meant = name.startsWith('-') ? undefined : nearest(name, [...COMMAND_USAGE.keys(), 'help'])
  const guess = meant === undefined ? '' : ` Did you mean "${meant}"?`
  const what = name.startsWith('-') ? 'option' : 'command'
  return calledWrongly(
    io,
    `There is no ${what} "${safeText(name)}".${guess} "entrepot help" lists what there is.`,
  )
}
