#!/usr/bin/env node
/** argv → command; signals → AbortSignal; exit code. */
import { isatty } from 'node:tty'
import { createAudit } from './cli/audit.ts'
import { checkConfig } from './cli/check-config.ts'
import type { Command, Io } from './cli/command.ts'
import { createContent } from './cli/content.ts'
import { createExplain } from './cli/explain.ts'
import { createGc } from './cli/gc.ts'
import { createInput } from './cli/input.ts'
import { offline } from './cli/offline.ts'
import { runProgram } from './cli/program.ts'
import { createRequests } from './cli/requests.ts'
import { createAllow, createDeny } from './cli/rules.ts'
import { serve } from './cli/serve.ts'
import { status } from './cli/status.ts'
import { createTokens } from './cli/tokens.ts'
import { createUsers } from './cli/users.ts'
import { createVerify } from './cli/verify.ts'
import { openMaintenance } from './maintenance.ts'
import { openOperator } from './operator.ts'

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['serve', serve],
  ['check-config', checkConfig],
  ['status', status],
  ['offline', offline],
  ['gc', createGc(openMaintenance)],
  ['verify', createVerify(openMaintenance)],
  ['allow', createAllow(openOperator)],
  ['deny', createDeny(openOperator)],
  ['requests', createRequests(openOperator)],
  ['explain', createExplain(openOperator)],
  ['users', createUsers(openOperator)],
  ['tokens', createTokens(openOperator)],
  ['content', createContent(openOperator)],
  ['audit', createAudit(openOperator)],
])

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

// EPIPE: whoever reads has seen enough, as in `entrepot audit | head`.
process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  if (code !== 'EPIPE') process.stderr.write(`The result cannot be written: ${message}\n`)
  process.exit(code === 'EPIPE' ? 0 : 1)
})

const io: Io = {
  env: process.env,
  input: createInput({
    stream: () => process.stdin,
    isTerminal: () => isatty(0),
    prompt: (text) => void process.stderr.write(text),
  }),
  out: (text) => void process.stdout.write(`${text}\n`),
  error: (text) => void process.stderr.write(`${text}\n`),
  onReload: (reload) => void process.on('SIGHUP', reload),
}

process.exitCode = await runProgram(COMMANDS, process.argv.slice(2), io, stop.signal)
