import { defineConfig } from 'vitest/config'

/** The files of deployment, put to what they are for. Apart from the other checks, for what they need takes a quarter of an hour to build where it is not cached. */
export default defineConfig({
  test: { include: ['test/e2e/deploy/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 180_000, fileParallelism: false }
})
