/** entrepot config check|show|schema|init: the configuration, without starting anything. */
import { readFileSync, writeFileSync } from 'node:fs'
import { effectiveConfig } from '../config/effective.ts'
import { configSchema } from '../config/json-schema.ts'
import { stringify } from '../formats/yaml.ts'
import { checkConfig } from './check-config.ts'
import { calledWrongly, failWith, UsageError, type Command, type Io } from './command.ts'
import { EXAMPLE_FILE, readArguments } from './configuration.ts'
import { jsonText } from './text.ts'

const OPTIONS = { json: 'boolean' } as const

export const config: Command = async (args, io, signal) => {
  const [action = '', ...options] = args
  const act = ACTIONS.get(action)
  if (act === undefined) {
    return calledWrongly(io, `Say one of these: config ${[...ACTIONS.keys()].join('|')}`)
  }
  return act(options, io, signal)
}

const ACTIONS: ReadonlyMap<string, Command> = new Map([
  ['check', checkConfig],
  ['show', unlessFailing(show)],
  ['schema', unlessFailing(printSchema)],
  ['init', unlessFailing(init)],
])

function unlessFailing(act: (args: readonly string[], io: Io) => void): Command {
  return async (args, io) => {
    try {
      act(args, io)
      return 0
    } catch (error) {
      return failWith(io, error)
    }
  }
}

function show(args: readonly string[], io: Io): void {
  const { source, options } = readArguments(args, io.env, OPTIONS)
  const effective = effectiveConfig(source.load())
  if (options.json === true) return io.out(jsonText(effective))
  io.out(`# ${source.file()}, with what it leaves open; secrets are not shown.`)
  io.out(stringify(effective, { lineWidth: 0 }).trimEnd())
}

function printSchema(args: readonly string[], io: Io): void {
  readArguments(args, io.env, OPTIONS)
  io.out(jsonText(configSchema()))
}

function init(args: readonly string[], io: Io): void {
  const { source, options } = readArguments(args, io.env, OPTIONS)
  const [file = ''] = source.candidates
  try {
    // Neither a file nor a link to one is ever replaced.
    writeFileSync(file, firstConfiguration(), { flag: 'wx' })
  } catch (error) {
    throw new UsageError(notWritten(file, error), { cause: error })
  }
  io.out(
    options.json === true
      ? jsonText({ file })
      : `${file} is written: say in it which registries are mirrored, and what may come in.`,
  )
}

/** The example, without what it says of itself. */
function firstConfiguration(): string {
  const text = readFileSync(EXAMPLE_FILE, 'utf8')
  return text.replace(/^# Without a mirrors\.yml .*\n/m, '')
}

function notWritten(file: string, error: unknown): string {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException
  return code === 'EEXIST'
    ? `${file} is there already, and stays as it is: edit it, or name another with --config`
    : `${file} cannot be written: ${WRITE_FAILURES.get(code) ?? code}`
}

const WRITE_FAILURES: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such folder'],
  ['ENOTDIR', 'its folder is none'],
  ['EACCES', 'this user may not write there'],
  ['EROFS', 'the disk is read-only'],
])
