import { defineConfig } from 'vitest/config'

/** Checks with real processes: the real MUXI Core, other people's clients, proxies. One file at a time: they share ports and two cores. */
export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    exclude: ['test/e2e/deploy/**'],
    testTimeout: 60_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 20_000 } },
    fileParallelism: false
  }
})
