import { defineConfig } from 'vitest/config'

const HOUR = 3_600_000
const isLong = process.env['ENTREPOT_PROOFS'] === 'long'

/** What takes minutes, and the machine for itself: `npm run prove`. */
// oxlint-disable-next-line import/no-default-export -- vitest reads the default export
export default defineConfig({
  test: {
    include: ['test/proofs/**/*.test.ts'],
    testTimeout: isLong ? 8 * HOUR : HOUR / 6,
    hookTimeout: 60_000,
    maxWorkers: 3,
  },
})
