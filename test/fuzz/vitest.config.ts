import { defineConfig } from 'vitest/config'

/** Generated calls take minutes: a run of their own, whose time is seen. */
export default defineConfig({
  test: {
    include: ['test/fuzz/**/*.test.ts'],
    testTimeout: 480_000,
    hookTimeout: 180_000,
    disableConsoleIntercept: true
  }
})
