import { describe, expect, it } from 'vitest'
import { createGc } from '../../src/cli/gc.ts'
import { StorageError } from '../../src/storage-error.ts'
import { configFile } from './config-file.ts'
import { eviction, fakeMaintenance } from './fake-maintenance.ts'
import { runCommand } from './run-command.ts'

const MIB = 1024 * 1024
const DAY = 24 * 3600 * 1000

const LAYER = eviction('layer', 600 * MIB, 3 * DAY)
const OLD = eviction('manifest', 1000, 100 * DAY, { isManifest: true, because: 'unused' })
const LAST = eviction('other layer', 2 * MIB, 60_000, { because: 'space' })

describe('entrepot gc', () => {
  it('says with --dry-run what would go and why, beside a running mirror', async () => {
    const { file } = configFile()
    const { open, calls } = fakeMaintenance({ plan: async () => [OLD, LAYER, LAST] })
    const { code, out, error } = await runCommand(createGc(open), ['--dry-run', '--config', file])
    expect([code, error]).toEqual([0, ''])
    expect(out.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | '))).toEqual([
      expect.stringMatching(/^DIGEST \| KIND \| SIZE \| LAST USED \| WHY$/),
      `${OLD.digest} | manifest | 1000 bytes | 100 days ago | not used for longer than maxUnused`,
      `${LAYER.digest} | blob | 600.0 MiB | 3 days ago | the store is over its budget`,
      `${LAST.digest} | blob | 2.0 MiB | 60 seconds ago | the disk is nearly full`,
      '',
      '3 files, 602.0 MiB: would go.',
    ])
    expect(calls).toEqual(['open beside others', 'plan', 'close'])
  })

  it('removes without it, and has the data folder alone', async () => {
    const { file } = configFile()
    const { open, calls } = fakeMaintenance({ collect: async () => [LAYER] })
    const { code, out } = await runCommand(createGc(open), ['--config', file])
    expect([code, out]).toEqual([0, expect.stringContaining('1 file, 600.0 MiB: gone.')])
    expect(calls).toEqual(['open alone', 'collect', 'close'])
  })

  it.each([
    [['--dry-run'], 'Nothing would go.'],
    [[], 'Nothing had to go.'],
  ])('says so when there is nothing: %j', async (options, sentence) => {
    const { file } = configFile()
    const { open } = fakeMaintenance({ plan: async () => [], collect: async () => [] })
    const { code, out } = await runCommand(createGc(open), [...options, '--config', file])
    expect([code, out]).toEqual([0, sentence])
  })

  it('prints JSON for programs', async () => {
    const { file } = configFile()
    const { open } = fakeMaintenance({ plan: async () => [OLD, LAYER] })
    const args = ['--dry-run', '--json', '--config', file]
    const { out } = await runCommand(createGc(open), args)
    expect(JSON.parse(out)).toEqual({ bytes: OLD.size + LAYER.size, evictions: [OLD, LAYER] })
  })

  it('fails with a sentence while a mirror runs', async () => {
    const { file } = configFile()
    const refuse = () => Promise.reject(new StorageError('broken', 'A mirror runs on this folder.'))
    const { code, out, error } = await runCommand(createGc(refuse), ['--config', file])
    expect([code, out, error]).toEqual([1, '', 'A mirror runs on this folder.'])
  })

  it('closes what it has opened when something fails', async () => {
    const { file } = configFile()
    const fail = () => Promise.reject(new StorageError('broken', 'The disk failed.'))
    const { open, calls } = fakeMaintenance({ collect: fail })
    const { code, error } = await runCommand(createGc(open), ['--config', file])
    expect([code, error]).toEqual([1, 'The disk failed.'])
    expect(calls).toEqual(['open alone', 'collect', 'close'])
  })

  it.each([['--force'], ['now']])('is called wrongly with %s', async (argument) => {
    const { open, calls } = fakeMaintenance({})
    expect((await runCommand(createGc(open), [argument])).code).toBe(2)
    expect(calls).toEqual([])
  })
})
