import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['__test__/**/*.spec.ts'],
    // Each file in its own process: the tests start and end engines, threads and child processes.
    pool: 'forks',
    // As its users load it, and so that its coverage is counted.
    server: { deps: { external: [/\/dist\/adapter\//] } },
    // yjs clients print what they do not know or were refused.
    silent: 'passed-only',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    minWorkers: 1,
  },
});
