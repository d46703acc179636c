import { describe, expect, it } from 'vitest'
import { createVerify } from '../../src/cli/verify.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { VerifyReport } from '../../src/maintenance.ts'
import { configFile } from './config-file.ts'
import { fakeMaintenance } from './fake-maintenance.ts'
import { runCommand } from './run-command.ts'

const GIB = 1024 ** 3

const RIGHT: VerifyReport = {
  checked: 12,
  bytes: 3 * GIB,
  damaged: [],
  rowsWithoutFiles: 0,
  filesWithoutRows: 0,
  rebuilt: undefined,
}
const DAMAGED = digestOf(Buffer.from('damaged'))

describe('entrepot verify', () => {
  it('ends with 0 when all is right', async () => {
    const { file } = configFile()
    const { open, calls } = fakeMaintenance({ verify: async () => RIGHT })
    const { code, out, error } = await runCommand(createVerify(open), ['--config', file])
    expect([code, error]).toEqual([0, ''])
    expect(out.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | '))).toEqual([
      'checked | 12 files, 3.0 GiB',
      'damaged | 0',
      'rows without files | 0',
      'files without rows | 0',
      '',
      'All that is stored is right.',
    ])
    expect(calls).toEqual(['open alone', 'verify', 'close'])
  })

  it('ends with 1 when something was damaged, and names it', async () => {
    const { file } = configFile()
    const { open } = fakeMaintenance({ verify: async () => ({ ...RIGHT, damaged: [DAMAGED] }) })
    const { code, out } = await runCommand(createVerify(open), ['--config', file])
    expect(code).toBe(1)
    expect(out).toMatch(/^damaged +1$/m)
    expect(out).toContain(DAMAGED)
    expect(out).toContain('quarantine')
    expect(out).not.toContain('is right')
  })

  it('ends with 0 when catalog and files could be made to agree', async () => {
    const { file } = configFile()
    const report = { ...RIGHT, rowsWithoutFiles: 2, filesWithoutRows: 3 }
    const { open } = fakeMaintenance({ verify: async () => report })
    const { code, out } = await runCommand(createVerify(open), ['--config', file])
    expect(code).toBe(0)
    expect(out).toContain('2, removed')
    expect(out).toContain('3, entered')
  })

  it('makes the catalog anew when asked to', async () => {
    const { file } = configFile()
    const rebuilt = { applied: 40, missing: 1, unusable: 0 }
    const { open, calls } = fakeMaintenance({ verify: async () => ({ ...RIGHT, rebuilt }) })
    const { out } = await runCommand(createVerify(open), ['--rebuild', '--config', file])
    expect(out).toMatch(
      /^rebuilt +40 lines of the journal told again, 1 manifest no longer here, 0 lines unusable$/m,
    )
    expect(calls).toEqual(['open alone to rebuild', 'verify', 'close'])
  })

  it('prints JSON for programs', async () => {
    const { file } = configFile()
    const report = { ...RIGHT, damaged: [DAMAGED] }
    const { open } = fakeMaintenance({ verify: async () => report })
    const { code, out } = await runCommand(createVerify(open), ['--json', '--config', file])
    expect([code, JSON.parse(out)]).toEqual([1, { ...report, rebuilt: undefined }])
  })

  it('says now and then how far it is, apart from the result', async () => {
    const { file } = configFile()
    const { open } = fakeMaintenance({
      async verify({ onProgress }) {
        for (let checked = 1; checked <= 100; checked += 1) {
          onProgress({ checked, bytes: checked * GIB })
        }
        return RIGHT
      },
    })
    const { out, error } = await runCommand(createVerify(open), ['--config', file])
    const lines = error.split('\n')
    expect(lines).toHaveLength(10)
    expect(lines[1]).toBe('20 files, 20.0 GiB checked so far')
    expect(out).not.toContain('so far')
  })

  it('ends when it is told to, and closes what it has opened', async () => {
    const { file } = configFile()
    const stop = new AbortController()
    const { open, calls } = fakeMaintenance({
      async verify({ signal }) {
        stop.abort(new Error('Stopped.'))
        signal.throwIfAborted()
        return RIGHT
      },
    })
    const { code } = await runCommand(createVerify(open), ['--config', file], {}, stop.signal)
    expect(code).toBe(1)
    expect(calls.at(-1)).toBe('close')
  })
})
