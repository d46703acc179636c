import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { watchConfig, watchFiles } from '../../src/config/watch.ts'
import { folderWith } from './fixtures.ts'

const DEADLINE = { timeout: 10_000, interval: 10 }

function watch(file: string): { onChange: ReturnType<typeof vi.fn>; close: () => void } {
  const onChange = vi.fn()
  const watcher = watchConfig(file, onChange, { intervalMs: 10 })
  onTestFinished(() => watcher.close())
  return { onChange, close: () => watcher.close() }
}

/** Changes the file until it is noticed: the first look, from which changes count, takes a moment too. */
async function noticed(
  onChange: ReturnType<typeof vi.fn>,
  change: (round: number) => void,
): Promise<number> {
  const before = onChange.mock.calls.length
  let round = 0
  await vi.waitFor(() => {
    if (onChange.mock.calls.length === before) change((round += 1))
    expect(onChange.mock.calls.length).toBeGreaterThan(before)
  }, DEADLINE)
  return onChange.mock.calls.length
}

it('tells that the file was written', async () => {
  const file = join(folderWith({ 'mirrors.yml': 'a' }), 'mirrors.yml')
  const { onChange } = watch(file)
  const first = await noticed(onChange, (round) => writeFileSync(file, 'b'.repeat(round)))
  const second = await noticed(onChange, (round) => writeFileSync(file, 'c'.repeat(round)))
  expect(second).toBeGreaterThan(first)
})

it('goes on after an editor that writes beside the file and renames', async () => {
  const folder = folderWith({ 'mirrors.yml': 'a' })
  const file = join(folder, 'mirrors.yml')
  const { onChange } = watch(file)
  for (const content of ['b', 'c', 'd']) {
    const changes = noticed(onChange, () => {
      writeFileSync(join(folder, 'new'), content)
      renameSync(join(folder, 'new'), file)
    })
    await expect(changes).resolves.toBeGreaterThan(0)
  }
})

it('follows links that are swapped, as those of a Kubernetes ConfigMap', async () => {
  const folder = folderWith({})
  for (const version of ['v1', 'v2']) {
    mkdirSync(join(folder, version))
    writeFileSync(join(folder, version, 'mirrors.yml'), 'same')
  }
  symlinkSync('v1', join(folder, '..data'))
  symlinkSync('..data/mirrors.yml', join(folder, 'mirrors.yml'))
  const { onChange } = watch(join(folder, 'mirrors.yml'))
  for (const start of [1, 0]) {
    const changes = noticed(onChange, (round) => {
      symlinkSync((round + start) % 2 === 0 ? 'v2' : 'v1', join(folder, '..tmp'))
      renameSync(join(folder, '..tmp'), join(folder, '..data'))
    })
    await expect(changes).resolves.toBeGreaterThan(0)
  }
})

it('tells nothing while the file is gone, and tells that it is back', async () => {
  const folder = folderWith({ 'mirrors.yml': 'a', witness: 'a' })
  const file = join(folder, 'mirrors.yml')
  const { onChange } = watch(file)
  await noticed(onChange, (round) => writeFileSync(file, 'b'.repeat(round)))
  const calls = onChange.mock.calls.length

  rmSync(file)
  const witness = watch(join(folder, 'witness'))
  await noticed(witness.onChange, (round) =>
    writeFileSync(join(folder, 'witness'), 'b'.repeat(round)),
  )
  await noticed(witness.onChange, (round) =>
    writeFileSync(join(folder, 'witness'), 'c'.repeat(round)),
  )
  expect(onChange.mock.calls.length).toBe(calls)

  await noticed(onChange, () => writeFileSync(file, 'back'))
})

it('tells nothing after it was closed, and leaves other watchers alone', async () => {
  const file = join(folderWith({ 'mirrors.yml': 'a' }), 'mirrors.yml')
  const closed = watch(file)
  const open = watch(file)
  await noticed(open.onChange, (round) => writeFileSync(file, 'b'.repeat(round)))
  closed.close()
  const calls = closed.onChange.mock.calls.length
  await noticed(open.onChange, (round) => writeFileSync(file, 'c'.repeat(round)))
  expect(closed.onChange.mock.calls.length).toBe(calls)
})

it('watches other files when others count, and each once', async () => {
  const folder = folderWith({ a: '', b: '' })
  const [a, b] = [join(folder, 'a'), join(folder, 'b')]
  const onChange = vi.fn()
  const files = watchFiles(onChange, { intervalMs: 10 })
  onTestFinished(() => files.close())
  files.follow([a])
  await noticed(onChange, (round) => writeFileSync(a, 'a'.repeat(round)))
  files.follow([b, b])
  await noticed(onChange, (round) => writeFileSync(b, 'b'.repeat(round)))
  const before = onChange.mock.calls.length
  // The first is written before the second: when that one is noticed, the other would have been.
  await noticed(onChange, (round) => {
    writeFileSync(a, 'c'.repeat(round + 9))
    writeFileSync(b, 'd'.repeat(round + 9))
  })
  expect(onChange.mock.calls.length).toBe(before + 1)
})
