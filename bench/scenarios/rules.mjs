// @ts-check
/** What it costs to find out who asks, and what the rules say of a name; no request is made. */
import { fileURLToPath } from 'node:url'
import { runLoad } from '../processes.mjs'

const RULES = fileURLToPath(new URL('../rules.mjs', import.meta.url))
const COUNTS = [10, 1000, 10_000]

/** @type {import('./scenario.mjs').Scenario} */
export const rules = {
  name: 'rules',
  title: () => 'Rules and callers, without a request',
  subjects: ['entrepot'],
  columns: [
    { key: 'cpu', label: 'CPU µs each', digits: 2 },
    { key: 'rate', label: 'each CPU-second', digits: 0 },
  ],
  charts: [],
  async open({ build, sizes, temp }) {
    const job = { build, folder: temp, rules: COUNTS, milliseconds: sizes.seconds * 500 }
    return {
      async round(subjects) {
        const measurements = []
        for (const subject of subjects) {
          const text = await runLoad([process.execPath, RULES, JSON.stringify(job)])
          /** @type {import('../rules.mjs').RulesResult} */
          const result = JSON.parse(text)
          for (const [shape, cpu] of Object.entries(result)) {
            measurements.push({ shape, subject, values: { cpu, rate: 1e6 / cpu } })
          }
        }
        return measurements
      },
      close: async () => undefined,
    }
  },
}
