/** docs/operations.md says what the program does: metrics, log, status, commands, and its tests. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { USAGE } from '../../src/cli/usage.ts'
import { createMetrics } from '../../src/metrics.ts'
import { BUSY } from '../http/statuses.ts'

const ROOT = new URL('../../', import.meta.url)
const PAGE = read('docs/operations.md')

describe('docs/operations.md', () => {
  it('lists every metric', async () => {
    const { text } = await createMetrics().render()
    const exposed = [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name)
    const listed = [...PAGE.matchAll(/^\| `(entrepot_\w+)`/gm)].map(([, name]) => name)
    expect(new Set(listed)).toEqual(new Set(exposed))
  })
})
