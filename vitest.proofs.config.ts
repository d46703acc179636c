import { defineConfig } from 'vitest/config'

/** What takes minutes, and the machine for itself: `npm run prove`. */
// oxlint-disable-next-line import/no-default-export -- vitest reads the default export
export default defineConfig({
  test: {
    include: ['test/proofs/**/*.test.ts'],
    testTimeout: 10 * 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
})
