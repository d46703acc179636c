/** docs/operations.md lists the metrics that there are, no more and no fewer. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { createMetrics } from '../../src/metrics.ts'

const PAGE = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')

it('docs/operations.md lists every metric', async () => {
  const { text } = await createMetrics().render()
  const exposed = [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name)
  const listed = [...PAGE.matchAll(/^\| `(entrepot_\w+)`/gm)].map(([, name]) => name)
  expect(new Set(listed)).toEqual(new Set(exposed))
})

it('docs/operations.md asks Prometheus for no metric that there is not', async () => {
  const { text } = await createMetrics().render()
  const asked = [...PAGE.matchAll(/```promql\n(.*?)```/gs)].flatMap(([, query = '']) =>
    [...query.matchAll(/entrepot_\w+/g)].map(([name]) => name.replace(/_bucket$/, '')),
  )
  expect(asked.length).toBeGreaterThan(5)
  for (const name of asked) expect(text).toContain(`# TYPE ${name} `)
})
