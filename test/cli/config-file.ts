import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export interface ConfigFile {
  readonly folder: string
  readonly file: string
  readonly data: string
}

/** A configuration of one upstream, in a folder that goes with the test. */
export function configFile(more = ''): ConfigFile {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-cli-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'mirrors.yml')
  const data = join(folder, 'data')
  writeFileSync(file, `data: ${data}\nupstreams: { docker.io: {} }\nallow: ['**']\n${more}\n`)
  return { folder, file, data }
}
