#!/usr/bin/env node
/** argv → command; signals → AbortSignal; exit code. */
import { isatty, type WriteStream } from 'node:tty'
import type { Io, Terminal } from './cli/command.ts'
import { COMMANDS } from './cli/commands.ts'
import { createInput } from './cli/input.ts'
import { runProgram } from './cli/program.ts'

const stop = new AbortController()
/** Exit code of what was given up rather than failed, as shells have it: 128 and the number of the signal. */
let givenUp = 1
for (const [name, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  process.once(name, () => {
    givenUp = code
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
  terminal: process.stdout.isTTY ? terminalOf(process.stdout) : undefined,
  onReload: (reload) => void process.on('SIGHUP', reload),
}

const code = await runProgram(COMMANDS, process.argv.slice(2), io, stop.signal)
process.exitCode = code === 1 ? givenUp : code

function terminalOf(stream: WriteStream): Terminal {
  return {
    columns: () => stream.columns,
    rows: () => stream.rows,
    write: (text) => void stream.write(text),
  }
}
