/** docs/configuration.md says what the program does: its examples are accepted, its tables are complete. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { presetFor } from '../../src/config/presets.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { createCertificateAuthority } from '../fakes/certificates.ts'

const PAGE = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
const EXAMPLES = [...PAGE.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)
const FOLDER = mkdtempSync(join(tmpdir(), 'docs-'))
const ORIGIN = { file: join(FOLDER, 'mirrors.yml'), env: { HUB_PASSWORD: 'from the environment' } }

/** A key that is none, in each kind of mapping. */
const PLACES = [
  'notAKeyOfAnything: 1',
  'upstreams: { docker.io: { notAKeyOfAnything: 1 } }',
  'upstreams: { docker.io: { credentials: [{ notAKeyOfAnything: 1 }] } }',
  'timeouts: { notAKeyOfAnything: 1 }',
  'allow: [{ notAKeyOfAnything: 1 }]',
  'grants: { alice: { notAKeyOfAnything: 1 } }',
  'webhook: { notAKeyOfAnything: 1 }',
]

beforeAll(async () => {
  await using authority = await createCertificateAuthority()
  const { certificateFile, keyFile } = await authority.issue(['DNS:mirror.example'])
  await mkdir(join(FOLDER, 'secrets'))
  await writeFile(join(FOLDER, 'secrets', 'hub'), 'secret\n')
  await writeFile(join(FOLDER, 'secrets', 'lan'), 'secret\n')
  await writeFile(join(FOLDER, 'secrets', 'webhook'), `${'k'.repeat(32)}\n`)
  await writeFile(join(FOLDER, 'users.htpasswd'), '')
  await copyFile(authority.caFile, join(FOLDER, 'lan-ca.pem'))
  await copyFile(certificateFile, join(FOLDER, 'tls.crt'))
  await copyFile(keyFile, join(FOLDER, 'tls.key'))
})
afterAll(() => rmSync(FOLDER, { recursive: true }))

describe('docs/configuration.md', () => {
  it.each(EXAMPLES)('has an example that is accepted: %j', (example) => {
    const rest = /^upstreams:/m.test(example)
      ? ''
      : 'upstreams: { docker.io: {}, quay.io: {}, gcr.io: {} }\n'
    expect(() => parseConfig(rest + example, ORIGIN)).not.toThrow()
  })

  it('has a table for each kind of mapping, with its keys and no others', () => {
    const tables = PAGE.match(/(?:^\|.*\n)+/gm)?.map(firstColumn)
    for (const place of PLACES) expect(tables).toContainEqual(keysOf(place))
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

function firstColumn(table: string): (string | undefined)[] {
  return [...table.matchAll(/^\| \[?`(\w+)`/gm)].map(([, key]) => key)
}

/** What the message about an unknown key lists. */
function keysOf(text: string): string[] {
  try {
    parseConfig(text, ORIGIN)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const [, list = ''] = /the keys here are ([\w, ]+)/.exec(error.message) ?? []
    if (list !== '') return list.split(', ')
  }
  throw new Error('No message lists the keys.')
}
