/** Credential helpers as little programs in a folder that is first in the PATH while a test runs. */
import { appendFile, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'

export interface HelperPrograms {
  /** Writes `docker-credential-<name>`; it runs in the folder as `$FOLDER`. */
  install(name: string, script: string): Promise<void>
  /** Writes a helper that prints this, and records what it was asked. */
  answer(name: string, answer: unknown, exitCode?: number): Promise<void>
  /** What the helpers of `answer` were asked, one server a line. */
  asked(): Promise<string[]>
  /** A file of the folder; empty when it is not there. */
  read(file: string): Promise<string>
}

export async function createHelperPrograms(): Promise<HelperPrograms> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-helpers-'))
  vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`)
  onTestFinished(async () => {
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true })
  })
  await appendFile(join(folder, 'asked'), '')

  const install: HelperPrograms['install'] = async (name, script) => {
    const program = join(folder, `docker-credential-${name}`)
    await writeFile(program, `#!/bin/sh\nFOLDER='${folder}'\n${script}\n`)
    await chmod(program, 0o755)
  }
  const read = (file: string): Promise<string> =>
    readFile(join(folder, file), 'utf8').catch(() => '')

  return {
    install,
    read,
    async answer(name, answer, exitCode = 0) {
      const text = typeof answer === 'string' ? answer : JSON.stringify(answer)
      await writeFile(join(folder, `${name}.answer`), text)
      await install(
        name,
        `read server\necho "$1 $server" >> "$FOLDER/asked"\ncat "$FOLDER/${name}.answer"\nexit ${exitCode}`,
      )
    },
    asked: async () => (await read('asked')).split('\n').filter((line) => line !== ''),
  }
}
