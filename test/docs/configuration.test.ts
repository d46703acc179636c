/** docs/configuration.md says what the program does: its examples are accepted, its tables are complete. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { format, resolveConfig } from 'prettier'
import { parseConfig } from '../../src/config/load.ts'
import { presetFor } from '../../src/config/presets.ts'
import { REFERENCE } from '../../src/config/reference.ts'
import type { Config } from '../../src/config/schema.ts'
import { needsRestart } from '../../src/configuration-changes.ts'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { keysOf, MAPPINGS, tablesOn, withTables } from './configuration-reference.ts'
import { anchorsOf, blocksOf } from './pages.ts'

const FILE = fileURLToPath(new URL('../../docs/configuration.md', import.meta.url))
const PAGE = readFileSync(FILE, 'utf8')
const EXAMPLES = blocksOf('docs/configuration.md')
  .filter(({ language, info }) => language === 'yaml' && info === '')
  .map(({ text }) => text)
const FOLDER = mkdtempSync(join(tmpdir(), 'docs-'))
const ORIGIN = { file: join(FOLDER, 'mirrors.yml'), env: { HUB_PASSWORD: 'from the environment' } }

/** Keys whose default stands in code: without it, and with it. */
const DEFAULTS = Object.entries(REFERENCE).flatMap(([name, keys]) =>
  Object.entries(keys).flatMap(([key, { default: said = '' }]) => {
    const value = /^`([^`]*)`$/.exec(said)?.[1]
    if (value === undefined) return []
    return [
      [`${name} ${key}: ${value}`, inPlace(name, ''), inPlace(name, `${key}: ${value}`)] as const,
    ]
  }),
)

/** A file in which a mapping says this. */
function inPlace(name: string, text: string): string {
  if (name === '') return `upstreams: { docker.io: {} }\n${text}`
  if (name === 'upstreams') return `upstreams: { docker.io: { ${text} } }`
  if (name === 'allow') {
    return `upstreams: { docker.io: {} }\nallow: [{ image: docker.io/a${text === '' ? '' : `, ${text}`} }]`
  }
  if (name === 'warm') {
    return `upstreams: { docker.io: {} }\nwarm: [{ schedule: '@daily', images: [redis]${text === '' ? '' : `, ${text}`} }]`
  }
  return `upstreams: { docker.io: {} }\n${name}: { ${text} }`
}

beforeAll(async () => {
  await using authority = await createCertificateAuthority()
  const { certificateFile, keyFile } = await authority.issue(['DNS:mirror.example'])
  await mkdir(join(FOLDER, 'secrets'))
  await writeFile(join(FOLDER, 'secrets', 'hub'), 'secret\n')
  await writeFile(join(FOLDER, 'secrets', 'lan'), 'secret\n')
  await writeFile(join(FOLDER, 'secrets', 'webhook'), `${'k'.repeat(32)}\n`)
  await writeFile(join(FOLDER, 'users.htpasswd'), '')
  await writeFile(join(FOLDER, 'images.yml'), '')
  await copyFile(authority.caFile, join(FOLDER, 'lan-ca.pem'))
  await copyFile(certificateFile, join(FOLDER, 'tls.crt'))
  await copyFile(keyFile, join(FOLDER, 'tls.key'))
})
afterAll(() => rmSync(FOLDER, { recursive: true }))

describe('docs/configuration.md', () => {
  it.each(EXAMPLES)('has an example that is accepted: %j', (example) => {
    expect(() => configOf(example)).not.toThrow()
  })

  // Mended by `npx vitest run test/docs/configuration.test.ts --update`.
  it('has the tables that the schema makes', async () => {
    const anchors = anchorsOf('docs/configuration.md')
    const made = withTables({ text: PAGE, anchors, afterChange })
    const style = await resolveConfig(FILE)
    await expect(await format(made, { ...style, parser: 'markdown' })).toMatchFileSnapshot(FILE)
  })

  it('has a table for each mapping of the schema, and says something of each key', () => {
    expect(tablesOn(PAGE).toSorted()).toEqual([...MAPPINGS.keys()].toSorted())
    const shapes = Object.fromEntries([...MAPPINGS].map(([name, { shape }]) => [name, shape]))
    expect(keysOf(REFERENCE).toSorted()).toEqual(keysOf(shapes).toSorted())
  })

  it('explains each key of the top level, with an example', () => {
    const keys = Object.keys(MAPPINGS.get('')?.shape ?? {})
    expect(keys.filter((key) => exampleOf(key) === undefined)).toEqual([])
  })

  it.each(DEFAULTS)('says what is so without a key: %s', (_, without, said) => {
    expect(configOf(said)).toEqual(configOf(without))
  })

  it('has the presets as they are', () => {
    const rows = [
      ...PAGE.matchAll(/^\| `([a-z0-9.]+)` +\| `(https:[^`]+)` +\| (?:`(.+?)`)? *\|$/gm),
    ]
    expect(rows).toHaveLength(11)
    for (const [, name = '', endpoint, realm] of rows) {
      expect(presetFor(name)).toEqual({ endpoints: [endpoint], realms: realm ? [realm] : [] })
    }
  })
})

/** What stands where one entry says nothing. */
function configOf(text: string): Config {
  const rest = /^upstreams:/m.test(text)
    ? ''
    : 'upstreams: { docker.io: {}, quay.io: {}, gcr.io: {} }\n'
  return parseConfig(rest + text, ORIGIN)
}

/** The example that has the key first, on the page. */
function exampleOf(key: string): string | undefined {
  return EXAMPLES.find((text) => new RegExp(`^${key}:`, 'm').test(text))
}

/** Found out from what the program says of a changed file. */
function afterChange(key: string): string {
  const before = configOf('listen: 127.0.0.1:1\n')
  const restarts = needsRestart(before, configOf(exampleOf(key) ?? ''))
  return restarts.includes(key) ? 'restart' : 'live'
}
