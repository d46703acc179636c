/** Clients in a process of their own, which tells how they fare: one JSON object a line. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface ClientProcess<Report> extends AsyncDisposable {
  /** What it said last; `undefined` before the first word. */
  readonly latest: Report | undefined
  /** What it said that is no report. */
  readonly errors: string
}

/** @param program beside this file */
export function startClientProcess<Report>(
  program: string,
  args: readonly string[],
): ClientProcess<Report> {
  const file = fileURLToPath(new URL(program, import.meta.url))
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let rest = ''
  let errors = ''
  let latest: Report | undefined
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    const line = lines.at(-1)
    if (line !== undefined) latest = JSON.parse(line) as Report
  })
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const closed = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve())
  })
  return {
    get latest() {
      if (errors !== '') throw new Error(`${program}: ${errors}`)
      return latest
    },
    get errors() {
      return errors
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await closed
    },
  }
}
