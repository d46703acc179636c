import { describe, expect, it } from 'vitest'
import { createPaint } from '../../src/cli/colour.ts'
import type { Command, Terminal } from '../../src/cli/command.ts'
import { createExplain } from '../../src/cli/explain.ts'
import { createVerify } from '../../src/cli/verify.ts'
import { configFile } from './config-file.ts'
import { fakeMaintenance } from './fake-maintenance.ts'
import { fakeOperator } from './fake-operator.ts'
import { EXPLANATION } from './operator-samples.ts'
import { runCommand } from './run-command.ts'

const TERMINAL: Terminal = { columns: () => 80, rows: () => 24, write: () => undefined }
const ALLOWED = '\u001b[32mallowed\u001b[39m'
const REFUSED = '\u001b[31mrefused\u001b[39m'
const RED = '\u001b[31mbad\u001b[39m'

/** As on a terminal. */
function colourful(command: Command): Command {
  return (args, io, signal) => command(args, { ...io, terminal: TERMINAL }, signal)
}

describe('colours', () => {
  it.each([
    ['on a terminal', TERMINAL, {}, RED],
    ['on a terminal of a usual kind', TERMINAL, { TERM: 'xterm-256color' }, RED],
    ['not in a file or a pipe', undefined, {}, 'bad'],
    ['not on one that has none', TERMINAL, { TERM: 'dumb' }, 'bad'],
    ['not where nobody wants them', TERMINAL, { NO_COLOR: '1' }, 'bad'],
    ['where NO_COLOR says nothing', TERMINAL, { NO_COLOR: '' }, RED],
    ['in a file where they are wanted', undefined, { FORCE_COLOR: '1' }, RED],
    ['where they are wanted more than not', undefined, { FORCE_COLOR: '', NO_COLOR: '1' }, RED],
    ['not where they are switched off', TERMINAL, { FORCE_COLOR: '0' }, 'bad'],
  ])('are %s', (_where, terminal, env, expected) => {
    expect(createPaint({ env, terminal })('red', 'bad')).toBe(expected)
  })

  it('say at a glance whether a pull is allowed', async () => {
    const { file } = configFile()
    for (const [explanation, shown] of [
      [EXPLANATION, EXPLANATION.allowed ? ALLOWED : REFUSED],
      [{ ...EXPLANATION, allowed: !EXPLANATION.allowed }, EXPLANATION.allowed ? REFUSED : ALLOWED],
    ] as const) {
      const { open } = fakeOperator({ explain: async () => explanation })
      const args = ['docker.io/library/redis:7', '--config', file]
      expect((await runCommand(colourful(createExplain(open)), args)).out).toContain(shown)
      expect((await runCommand(createExplain(open), args)).out).not.toContain('\u001b')
    }
  })

  it.each([
    [[], '\u001b[32m0\u001b[39m'],
    [['sha256:abc'], '\u001b[31m1\u001b[39m'],
  ])('say at a glance whether something is damaged: %j', async (damaged, shown) => {
    const { file } = configFile()
    const report = { checked: 1, bytes: 1, damaged, rowsWithoutFiles: 0, filesWithoutRows: 0 }
    const { open } = fakeMaintenance({ verify: async () => ({ ...report, rebuilt: undefined }) })
    const { out } = await runCommand(colourful(createVerify(open)), ['--config', file])
    expect(out).toContain(shown)
  })

  it('leave nothing where there is nothing', () => {
    expect(createPaint({ env: {}, terminal: TERMINAL })('bold', '')).toBe('')
  })
})
