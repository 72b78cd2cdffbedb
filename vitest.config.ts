import { defineConfig } from 'vitest/config';

// End-to-end tests start real processes; two files at a time is what a small machine carries without timeouts.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
  },
});
