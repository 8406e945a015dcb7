import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['e2e/**/*.spec.ts'],
    // Each file has its own server and its own browser.
    pool: 'forks',
    // As its users load it.
    server: { deps: { external: [/\/dist\/adapter\//] } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000, interval: 50 } },
    maxWorkers: 2,
    minWorkers: 1,
  },
});
