/** The rules between the folders are only worth something if they fail: each is given a planted fault. */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')
const OXLINT = join(ROOT, 'node_modules/oxlint/bin/oxlint')

/** Folder, what it may not import, as it would be written in a file of that folder. */
const FORBIDDEN: readonly (readonly [folder: string, module: string])[] = [
  ['src/oci', '../log.ts'],
  ['src/oci', 'node:fs'],
  ['src/routing', '../cache/mirror.ts'],
  ['src/routing', 'node:fs/promises'],
  ['src/access', '../catalog/catalog.ts'],
  ['src/access', '../routing/resolve.ts'],
  ['src/access', 'node:net'],
  ['src/config', '../app.ts'],
  ['src/config', '../cache/mirror.ts'],
  ['src/store', '../catalog/catalog.ts'],
  ['src/store', '../config/schema.ts'],
  ['src/catalog', '../store/disk.ts'],
  ['src/catalog', '../upstream/upstream.ts'],
  ['src/upstream', '../cache/mirror.ts'],
  ['src/upstream', '../http/routes.ts'],
  ['src/upstream', '../config/schema.ts'],
  ['src/cache', '../http/routes.ts'],
  ['src/cache', '../config/schema.ts'],
  ['src/cache', '../access/allowlist.ts'],
  ['src/http', '../store/disk.ts'],
  ['src/http', '../catalog/catalog.ts'],
  ['src/http', '../upstream/upstream.ts'],
  ['src/http', '../config/schema.ts'],
  ['src/cli', '../cache/mirror.ts'],
  ['src/access', '../control/control.ts'],
  ['src/catalog', '../control/control.ts'],
  ['src/cache', '../control/control.ts'],
  ['src/cli', '../control/operator.ts'],
  ['src/control', '../http/routes.ts'],
  ['src/control', '../config/schema.ts'],
  ['src/control', '../upstream/upstream.ts'],
  ['src/control', '../store/disk.ts'],
  ['src/cache', 'hono'],
  ['src/upstream', '@hono/node-server'],
  ['src/http', 'undici'],
  ['src/cache', 'undici'],
  ['src/store', 'better-sqlite3'],
  ['src/cli', 'yaml'],
  ['src/http', 'zod'],
  ['src/http', 'pino'],
  ['src/cache', 'prom-client'],
  ['src/upstream', 'lru-cache'],
  ['src/http', 'bcrypt'],
  ['src/http', 'jose'],
  ['src/cli', 'bcrypt'],
  ['src/control', '@hono/zod-openapi'],
  ['src/control', 'better-sqlite3'],
  ['src/http', 'koffi'],
  ['src/cache', 'koffi'],
  ['src/workers', '../http/routes.ts'],
  ['src/workers', '../store/disk.ts'],
  ['src/workers', '../upstream/upstream.ts'],
  ['src/workers', '../config/schema.ts'],
  ['src/cache', '../workers/mirror-client.ts'],
  ['src/http', '../workers/mirror-client.ts'],
  ['src/formats', '../oci/digest.ts'],
  ['src/formats', 'node:fs'],
  ['src/clients', '../config/schema.ts'],
  ['src/clients', 'node:fs'],
  ['src/clients', 'yaml'],
  ['src/warm', '../http/routes.ts'],
  ['src/warm', '../upstream/upstream.ts'],
  ['src/warm', '../config/schema.ts'],
  ['src/doctor', '../http/routes.ts'],
  ['src/doctor', '../cache/mirror.ts'],
  ['src/cache', '../warm/run.ts'],
  ['src/http', '../doctor/run.ts'],
  ['src/cli', '../clients/configure.ts'],
  ['src/cli', '../doctor/run.ts'],
  ['src/cli', 'jsonc-parser'],
  ['src/config', 'yaml'],
  ['src/config', 'croner'],
  ['src/http', 'semver'],
  ['src/clients', 'smol-toml'],
  ['src/http', '@opentelemetry/api'],
]

let folder: string
let reported: ReadonlyMap<string, string>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-layers-'))
  await copyFile(join(ROOT, '.oxlintrc.json'), join(folder, '.oxlintrc.json'))
  for (const [index, [place, module]] of FORBIDDEN.entries()) {
    await plant(`${place}/planted-${index}.ts`, `import '${module}'\n`)
  }
  await plant(
    'src/cache/one.ts',
    "import { two } from './two.ts'\nexport const one = (): number => two()\n",
  )
  await plant(
    'src/cache/two.ts',
    "import { one } from './one.ts'\nexport const two = (): number => one()\n",
  )
  await plant('src/catalog/allowed.ts', "import type {} from '../access/rule.ts'\n")
  await plant('src/control/allowed.ts', "import type {} from '../catalog/catalog.ts'\n")
  await plant('src/cache/allowed.ts', "import type {} from '../store/blob-store.ts'\n")
  reported = await lint()
})

afterAll(() => rm(folder, { recursive: true }))

describe('the layer rules', () => {
  it.each(FORBIDDEN.map(([place, module], index) => ({ place, module, index })))(
    '$place may not import $module',
    ({ place, index }) => {
      expect(reported.get(`${place}/planted-${index}.ts`)).toContain('no-restricted-imports')
    },
  )

  it('refuse circles', () => {
    expect(reported.get('src/cache/one.ts')).toContain('no-cycle')
  })

  it.each(['src/cache', 'src/catalog', 'src/control'])(
    'let pass what is allowed in %s',
    (place) => {
      expect(reported.get(`${place}/allowed.ts`) ?? '').not.toContain('no-restricted-imports')
    },
  )
})

async function plant(path: string, text: string): Promise<void> {
  const file = join(folder, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}

/** File → the rules that it breaks. */
async function lint(): Promise<Map<string, string>> {
  const output = await new Promise<string>((done) => {
    const args = [OXLINT, '--format=json', '.']
    execFile(process.execPath, args, { cwd: folder, maxBuffer: 1 << 24 }, (_error, stdout) =>
      done(stdout),
    )
  })
  const { diagnostics } = JSON.parse(output) as {
    diagnostics: { code: string; filename: string }[]
  }
  const rules = new Map<string, string>()
  for (const { filename, code } of diagnostics) {
    rules.set(filename, `${rules.get(filename) ?? ''} ${code}`)
  }
  return rules
}
