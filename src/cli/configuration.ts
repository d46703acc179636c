/** Where the configuration comes from: a file, and the options that win over it. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseListen } from '../config/listen.ts'
import { loadConfig } from '../config/load.ts'
import type { Config, Listen } from '../config/schema.ts'

export interface ConfigurationSource {
  /** The file that counts now: `mirrors.yml` may appear after the start. */
  file(): string
  /** True while the example counts, because the operator has no file yet. */
  isExample(): boolean
  /** Every file that may come to count. */
  readonly candidates: readonly string[]
  /** @throws {ConfigError}, and an Error when --listen is no address */
  load(): Config
}

const OWN_FILE = 'mirrors.yml'
const EXAMPLE_FILE = fileURLToPath(new URL('../../mirrors.example.yml', import.meta.url))

/** @throws {TypeError} when an option is not known */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv): ConfigurationSource {
  const { values } = parseArgs({
    args: [...args],
    options: {
      config: { type: 'string' },
      listen: { type: 'string' },
      data: { type: 'string' },
    },
  })
  const named = values.config
  const candidates = named === undefined ? [resolve(OWN_FILE), EXAMPLE_FILE] : [resolve(named)]
  const file = (): string => candidates.find((path) => existsSync(path)) ?? candidates[0] ?? ''
  return {
    file,
    isExample: () => named === undefined && file() === EXAMPLE_FILE,
    candidates,
    load() {
      const config = loadConfig(file(), env)
      return {
        ...config,
        ...(values.listen !== undefined && { listen: listenOption(values.listen) }),
        ...(values.data !== undefined && { data: resolve(values.data) }),
      }
    },
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
