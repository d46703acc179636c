import { defineConfig } from 'vitest/config'

// oxlint-disable-next-line import/no-default-export -- vitest reads the default export
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They have a configuration of their own.
    exclude: ['test/proofs/**'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Much of their time is waiting: one worker for each core, and none left for vitest itself.
    maxWorkers: '100%',
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      // What runs in child processes alone, where it is tried by test/scenarios/workers.test.ts.
      exclude: [
        'src/main.ts',
        'src/worker.ts',
        'src/workers/main-link.ts',
        'src/workers/worker-servers.ts',
      ],
      reporter: ['text', 'json-summary'],
      // What is reached, less a little for tests that draw their inputs by chance.
      thresholds: {
        statements: 97,
        branches: 94,
        functions: 98,
        lines: 97,
        'src/{oci,access,routing}/**': { branches: 98 },
        'src/cache/fill.ts': { branches: 98 },
      },
    },
  },
})
