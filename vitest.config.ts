import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/e2e/**', 'test/fuzz/**', 'node_modules/**', 'dist/**'],
    testTimeout: 60_000,
    // What is waited for comes soon; what a slow machine makes of that is no failure.
    expect: { poll: { timeout: 20_000 } },
    pool: 'threads',
    maxWorkers: '100%',
    // Files share nothing but loaded modules, which take a quarter of the time.
    isolate: false
  }
})
