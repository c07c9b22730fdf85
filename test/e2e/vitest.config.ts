import { defineConfig } from 'vitest/config'

/** Checks with real processes: the real MUXI Core, other people's clients, proxies. Two files at a time: most of them wait most of the time. */
export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    exclude: ['test/e2e/deploy/**'],
    testTimeout: 60_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 20_000 } },
    maxWorkers: 2
  }
})
