/** docs/operations.md says what the program does: its status, metrics, log, and proofs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { createMetrics } from '../../src/metrics.ts'
import { BUSY, TRAFFIC } from '../http/statuses.ts'

const ROOT = new URL('../../', import.meta.url)
const PAGE = read('docs/operations.md')

describe('docs/operations.md', () => {
  it('lists every metric', async () => {
    const { text } = await createMetrics().render()
    const exposed = [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name)
    const listed = [...PAGE.matchAll(/^\| `(entrepot_\w+)`/gm)].map(([, name]) => name)
    expect(new Set(listed)).toEqual(new Set(exposed))
  })

  it('says which labels each metric has', async () => {
    for (const [, name = '', labels = ''] of PAGE.matchAll(/^\| `(entrepot_\w+)` *\|(.*?)\|/gm)) {
      const listed = [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label)
      expect([name, listed]).toEqual([name, labelsOf(name)])
    }
  })

  it('asks Prometheus for no metric that there is not', async () => {
    const { text } = await createMetrics().render()
    const asked = [...PAGE.matchAll(/```promql\n(.*?)```/gs)].flatMap(([, query = '']) =>
      [...query.matchAll(/entrepot_\w+/g)].map(([name]) => name.replace(/_bucket$/, '')),
    )
    expect(asked.length).toBeGreaterThan(5)
    for (const name of asked) expect(text).toContain(`# TYPE ${name} `)
  })

  it('explains every warning and error of the log, and none that there is not', () => {
    const code = filesBelow('src', '.ts').map(read)
    const said = code.flatMap(complaintsIn)
    const [, table = ''] = /^\| `msg`.*\n.*\n((?:\|.*\n)+)/m.exec(PAGE) ?? []
    const listed = [...table.matchAll(/^\| `(.+?)`/gm)].map(([, message = '']) => message)
    expect(said.length).toBeGreaterThan(20)
    expect(said.filter((message) => !listed.includes(message))).toEqual([])
    expect(listed.filter((message) => !code.some((text) => text.includes(message)))).toEqual([])
  })

  it('lists what the status says', () => {
    const [, table = ''] = /^## Status\n(.*?)^## /ms.exec(PAGE) ?? []
    const cells = table.split('\n').map((row) => row.split('|')[1] ?? '')
    const listed = cells.flatMap((cell) => [...cell.matchAll(/`(.+?)`/g)].map(([, path]) => path))
    expect(new Set(listed)).toEqual(new Set(pathsIn({ ...BUSY, traffic: TRAFFIC })))
  })

  it('names the tests of each promise, and every proof', () => {
    const [, table = ''] = /^## What the mirror promises.*?\n((?:\|.*\n)+)/ms.exec(PAGE) ?? []
    const rows = table.split('\n').map((row) => row.split('|'))
    const tests = rows.flatMap(([, , cell = '']) => namesIn(cell)).map((name) => `test/${name}`)
    const proofs = rows
      .flatMap(([, , , cell = '']) => namesIn(cell))
      .map((name) => `test/proofs/${name}`)
    expect(tests.length).toBeGreaterThan(10)
    expect(tests.filter((path) => !existsSync(new URL(path, ROOT)))).toEqual([])
    expect(proofs.toSorted()).toEqual(filesBelow('test/proofs', '.test.ts').toSorted())
  })
})

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8')
}

/** Paths from the root. */
function filesBelow(folder: string, end: string): string[] {
  return readdirSync(fileURLToPath(new URL(folder, ROOT)), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(end))
    .map((path) => `${folder}/${path}`)
}

function labelsOf(metric: string): string[] {
  const declared = new RegExp(`name: '${metric}',[^}]*?labelNames: \\[(.*?)\\]`, 's')
  const [, names = ''] = declared.exec(read('src/metric-definitions.ts')) ?? []
  return [...names.matchAll(/'(\w+)'/g)].map(([, name = '']) => name)
}

/** What is given to `log.warn` and `log.error` as it stands: the next sentence that ends an argument list. */
function complaintsIn(code: string): string[] {
  const calls = code.split(/\blog\.(?:warn|error)\(/).slice(1)
  return calls.flatMap((text) => /'([a-z][^'\n]* [^'\n]*)',?\s*\)/.exec(text)?.[1] ?? [])
}

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`(.+?\.test\.ts)`/g)].map(([, name = '']) => name)
}

/** `a.b`, `list[].c`: every value that is no object. */
function pathsIn(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsIn(item, `${path}[]`))
  if (typeof value !== 'object' || value === null) return [path]
  return Object.entries(value).flatMap(([key, member]) =>
    pathsIn(member, path === '' ? key : `${path}.${key}`),
  )
}
