/** Where the configuration comes from: a file, and the options that win over it. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseListen } from '../config/listen.ts'
import { loadConfig } from '../config/load.ts'
import { nearest } from '../config/nearest.ts'
import type { Config, Listen } from '../config/schema.ts'
import { UsageError } from './command.ts'

export interface ConfigurationSource {
  /** The file that counts now: `mirrors.yml` may appear after the start. */
  file(): string
  /** True while the example counts, because the operator has no file yet. */
  isExample(): boolean
  /** Every file that may come to count. */
  readonly candidates: readonly string[]
  /** @throws {ConfigError}, and an Error when --listen is no address */
  load(): Config
  /**
   * Absolute path of the data folder; reads the file only where no option tells it.
   * @throws as `load`
   */
  data(): string
}

/** Options that a command has besides those of the configuration. */
export type OwnOptions = Readonly<Record<string, 'string' | 'strings' | 'boolean'>>

/** What was given of them; `strings` is one that may be given several times. */
export type OptionValues<O extends OwnOptions> = {
  readonly [K in keyof O]?: O[K] extends 'strings'
    ? readonly string[]
    : O[K] extends 'string'
      ? string
      : boolean
}

export interface Arguments<O extends OwnOptions> {
  readonly source: ConfigurationSource
  readonly options: OptionValues<O>
  /** What is no option, in order. */
  readonly operands: readonly string[]
}

const OWN_FILE = 'mirrors.yml'
/** Counts where the operator has no file yet. */
export const EXAMPLE_FILE = fileURLToPath(new URL('../../mirrors.example.yml', import.meta.url))

const SOURCE_OPTIONS = {
  config: { type: 'string' },
  listen: { type: 'string' },
  data: { type: 'string' },
} as const

/** @throws {UsageError} when an option is not known, {TypeError} when it is used wrongly or something is none */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv): ConfigurationSource {
  return readArguments(args, env, {}).source
}

/**
 * @param allowOperands whether there may be something that is no option
 * @throws {TypeError} as `readOptions`
 */
export function readArguments<O extends OwnOptions>(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  own: O,
  allowOperands = false,
): Arguments<O> {
  const types = Object.entries(own).map(([name, type]) => [name, NODE_OPTIONS[type]] as const)
  const options = { ...Object.fromEntries(types), ...SOURCE_OPTIONS }
  const { values, positionals } = guessing(Object.keys(options), () =>
    parseArgs({ args: [...args], options, allowPositionals: allowOperands }),
  )
  return {
    source: createSource(values, env),
    options: values as OptionValues<O>,
    operands: positionals,
  }
}

/** Says of an option that there is not which one may have been meant. */
function guessing<T>(names: readonly string[], parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    const [, name] = /^Unknown option '--([^']*)'/.exec((error as Error).message) ?? []
    if (name === undefined) throw error
    throw new UsageError(`Unknown option '--${name}'${hint(name, names)}`, { cause: error })
  }
}

/** Options of commands that ask a mirror elsewhere, where this one does not. */
const REMOTE: ReadonlySet<string> = new Set(['server', 'token-file'])

function hint(name: string, names: readonly string[]): string {
  if (REMOTE.has(name)) return ': this works on the host of the mirror alone; run it there'
  const meant = nearest(name, names)
  return meant === undefined ? '' : `: did you mean --${meant}?`
}

const NODE_OPTIONS = {
  string: { type: 'string' },
  strings: { type: 'string', multiple: true },
  boolean: { type: 'boolean' },
} as const

interface SourceOptions {
  readonly config?: string | undefined
  readonly listen?: string | undefined
  readonly data?: string | undefined
}

function createSource(
  { config: named, listen, data }: SourceOptions,
  env: NodeJS.ProcessEnv,
): ConfigurationSource {
  const candidates = named === undefined ? [resolve(OWN_FILE), EXAMPLE_FILE] : [resolve(named)]
  const file = (): string => candidates.find((path) => existsSync(path)) ?? candidates[0] ?? ''
  const load = (): Config => ({
    ...loadConfig(file(), env),
    ...(listen !== undefined && { listen: listenOption(listen) }),
    ...(data !== undefined && { data: resolve(data) }),
  })
  return {
    file,
    isExample: () => named === undefined && file() === EXAMPLE_FILE,
    candidates,
    load,
    data: () => (data === undefined ? load().data : resolve(data)),
  }
}

function listenOption(text: string): Listen {
  try {
    return parseListen(text, process.cwd())
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`--listen "${text}" ${reason}`, { cause: error })
  }
}
