import process from 'node:process'
import { type EmbeddedCoreOptions, startEmbeddedCore } from './index.ts'

/** What this process tells its parent, once. */
export type EmbeddedCoreReport = { ready: string } | { error: string, code?: string }

process.once('message', (options) => {
  // the parent is our own command line, which sends what this type says
  start(options as EmbeddedCoreOptions)
})
process.once('disconnect', () => process.exit())
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit())

async function start (options: EmbeddedCoreOptions): Promise<void> {
  try {
    const core = await startEmbeddedCore(options)
    report({ ready: core.url })
  } catch (err) {
    const { message, code } = err as NodeJS.ErrnoException // whatever is thrown here is an Error
    process.exitCode = 1
    report({ error: message, ...(code !== undefined && { code }) }, () => process.disconnect?.())
  }
}

function report (message: EmbeddedCoreReport, done?: () => void): void {
  process.send?.(message, undefined, undefined, done)
}
