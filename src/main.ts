#!/usr/bin/env node
/** argv → command; signals → AbortSignal; exit code. */
import { checkConfig } from './cli/check-config.ts'
import type { Command, ExitCode, Io } from './cli/command.ts'
import { createGc } from './cli/gc.ts'
import { offline } from './cli/offline.ts'
import { serve } from './cli/serve.ts'
import { status } from './cli/status.ts'
import { USAGE } from './cli/usage.ts'
import { createVerify } from './cli/verify.ts'
import { openMaintenance } from './maintenance.ts'

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['serve', serve],
  ['check-config', checkConfig],
  ['status', status],
  ['offline', offline],
  ['gc', createGc(openMaintenance)],
  ['verify', createVerify(openMaintenance)],
])

const HELP = new Set(['--help', '-h'])

const stop = new AbortController()
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.once(name, () => {
    stop.abort()
    // The second time it is meant: the default action ends the process at once.
    process.removeAllListeners(name)
  })
}

// Its default action would end a server that is told to reload while it still starts.
process.on('SIGHUP', () => undefined)

const io: Io = {
  env: process.env,
  out: (text) => void process.stdout.write(`${text}\n`),
  error: (text) => void process.stderr.write(`${text}\n`),
  onReload: (reload) => void process.on('SIGHUP', reload),
}

const [name = '', ...args] = process.argv.slice(2)
process.exitCode = await run(COMMANDS.get(name))

async function run(command: Command | undefined): Promise<ExitCode> {
  const asked = ['', 'help'].includes(name) || [name, ...args].some((it) => HELP.has(it))
  if (command && !asked) return command(args, io, stop.signal)
  if (asked) io.out(USAGE)
  else io.error(`There is no command "${name}".\n\n${USAGE}`)
  return asked ? 0 : 2
}
