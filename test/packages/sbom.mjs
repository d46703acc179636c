/**
 * Fails unless both lists name every package that runs, with its version, and none that does not.
 *
 *   node sbom.mjs SOURCE CYCLONEDX SPDX
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const [source, ...lists] = process.argv.slice(2)
const read = (file) => JSON.parse(readFileSync(file, 'utf8'))
const { packages } = read(join(source, 'package-lock.json'))
const manifest = read(join(source, 'package.json'))
const [cyclonedx, spdx] = lists.map(read)

const expected = Object.entries(packages)
  .filter(([path, { dev }]) => path !== '' && !dev)
  .map(([path, { version }]) => `${path.split('node_modules/').at(-1)}@${version}`)
const sorted = (names) => [...new Set(names)].toSorted((a, b) => a.localeCompare(b))

const components = cyclonedx.components.map(({ name, version }) => `${name}@${version}`)
assert.deepEqual(sorted(components), sorted(expected), 'CycloneDX')
const described = spdx.packages.map(({ name, versionInfo }) => `${name}@${versionInfo}`)
const own = `${manifest.name}@${manifest.version}`
assert.deepEqual(sorted(described), sorted([own, ...expected]), 'SPDX')

const { component } = cyclonedx.metadata
assert.deepEqual(
  [component.name, component.version, component.type],
  [manifest.name, manifest.version, 'application'],
)
assert.deepEqual([cyclonedx.bomFormat, spdx.spdxVersion], ['CycloneDX', 'SPDX-2.3'])
for (const name of Object.keys(manifest.dependencies)) {
  assert.ok(
    components.some((it) => it.startsWith(`${name}@`)),
    name,
  )
}
for (const { name, purl, hashes } of cyclonedx.components) assert.ok(purl && hashes?.length, name)
process.stdout.write(`${expected.length} packages\n`)
