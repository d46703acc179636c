/** Processes that have one `control.sqlite` open at once, and what is left when they are killed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { brokenLink } from '../../src/catalog/audit-chain.ts'
import { openControlCatalog } from '../../src/catalog/sqlite-control.ts'
import { auditOf, ruleIds } from '../contract/control-records.ts'
import { until, within } from '../support/until.ts'
import { compileInto } from './compiled.ts'
import { makeFolder } from './folder.ts'

const KILLS = 5
const DEADLINE = { deadlineMs: 20_000 }

/** Opens it when it is told to, adds rules with their entries of the audit, and tells when each is written. */
const PROGRAM = `
  const [url, file, name, turns] = process.argv.slice(1)
  const { openControlCatalog } = await import(url)
  console.log('loaded')
  await new Promise((resolve) => process.stdin.once('data', resolve))
  process.stdin.destroy()
  const catalog = openControlCatalog(file)
  console.log('secret ' + (await catalog.secret('bearer')).toString('hex'))
  for (let turn = 0; turn < Number(turns); turn++) {
    const id = name + '-' + turn
    await catalog.change(({ state }) => {
      const audit = { at: turn, actor: 'host:root', address: 'local', action: 'rule.add', subject: id }
      const rule = { id, effect: 'allow', pattern: id, minAge: state.rules.length }
      return { changes: [{ kind: 'put-rule', rule }], audit: [audit], result: undefined }
    })
    console.log(id)
  }
  await catalog.close()`

it('make one file between them, and lose nothing of each other', async () => {
  await using folder = await makeFolder()
  const file = join(folder.path, 'control.sqlite')
  const url = await compileInto(folder.path, 'catalog/sqlite-control.ts')

  const writers = ['a', 'b', 'c'].map((name) => startWriter([url, file, name, '20']))
  for (const writer of writers) await loaded(writer)
  for (const writer of writers) writer.begin()
  await within(Promise.all(writers.map(({ ended }) => ended)), DEADLINE)

  for (const writer of writers) {
    expect(writer.errors()).toBe('')
    expect(writer.lines()).toHaveLength(22)
  }
  expect(new Set(writers.map((writer) => writer.lines()[1])).size).toBe(1)
  const catalog = openControlCatalog(file)
  const { rules } = await catalog.state()
  expect(rules.map(({ minAge }) => minAge)).toEqual(Array.from({ length: 60 }, (_, index) => index))
  const entries = await auditOf(catalog)
  expect(entries).toHaveLength(60)
  expect(brokenLink(entries)).toBeUndefined()
  await catalog.close()
  const left = (await readdir(folder.path)).filter((name) => name.startsWith('control.sqlite'))
  expect(left).toEqual(['control.sqlite'])
})

it(`keep what was decided, killed ${KILLS} times while they write`, async () => {
  await using folder = await makeFolder()
  const file = join(folder.path, 'control.sqlite')
  const url = await compileInto(folder.path, 'catalog/sqlite-control.ts')
  const decided = new Set<string>()
  for (let kill = 0; kill < KILLS; kill++) {
    const writer = startWriter([url, file, `kill${kill}`, '1000000'])
    await loaded(writer)
    writer.begin()
    await until(() => writer.errors() !== '' || writer.lines().length > 20 + kill * 7, DEADLINE)
    writer.kill()
    await within(writer.ended, DEADLINE)
    expect(writer.errors()).toBe('')
    for (const id of writer.lines().slice(2)) decided.add(id)

    const catalog = openControlCatalog(file)
    const ids = await ruleIds(catalog)
    const entries = await auditOf(catalog)
    await catalog.close()
    expect([...decided].filter((id) => !ids.includes(id))).toEqual([])
    expect(entries.map(({ subject }) => subject)).toEqual(ids)
    expect(brokenLink(entries)).toBeUndefined()
  }
})

async function loaded(writer: Writer): Promise<void> {
  await until(() => writer.errors() !== '' || writer.lines().length > 0, DEADLINE)
}

interface Writer {
  /** What it has told, whole lines only. */
  lines(): string[]
  errors(): string
  begin(): void
  kill(): void
  readonly ended: Promise<unknown>
}

function startWriter(args: readonly string[]): Writer {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, ...args])
  let [output, errors] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  return {
    lines: () => output.split('\n').slice(0, -1),
    errors: () => errors,
    begin: () => void child.stdin.write('begin'),
    kill: () => void child.kill('SIGKILL'),
    ended: once(child, 'close'),
  }
}
