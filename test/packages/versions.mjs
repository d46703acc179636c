/**
 * Fails unless everything that an installed copy runs with has the version of package-lock.json.
 *
 *   node versions.mjs SOURCE FOLDER     FOLDER/node_modules has the copy
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const [source, folder] = process.argv.slice(2)
const read = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'))
const inLock = read(source, 'package-lock.json').packages
const installed = read(folder, 'node_modules', '.package-lock.json').packages
const named = (packages) =>
  Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && path !== 'node_modules/entrepot' && !dev)
    .map(([path, { version }]) => `${path.split('node_modules/').at(-1)}@${version}`)
const tested = new Set(named(inLock))
const untested = named(installed).filter((it) => !tested.has(it))
assert.deepEqual(untested, [], 'what is installed was tested')
for (const name of Object.keys(read(source, 'package.json').dependencies)) {
  assert.ok(
    named(installed).some((it) => it.startsWith(`${name}@`)),
    `${name} is installed`,
  )
}
process.stdout.write(`${named(installed).length} packages\n`)
