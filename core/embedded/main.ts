import process from 'node:process'
import { type EmbeddedCore, type EmbeddedCoreOptions, startEmbeddedCore } from './index.ts'

/** What this process tells its parent, once. */
export type EmbeddedCoreReport = { ready: string } | { error: string, code?: string }

const mostCloseMs = 5000
let running: EmbeddedCore | undefined

process.once('message', (options) => {
  // the parent is our own command line, which sends what this type says
  start(options as EmbeddedCoreOptions)
})
process.once('disconnect', stop)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop)

async function start (options: EmbeddedCoreOptions): Promise<void> {
  try {
    running = await startEmbeddedCore(options)
    report({ ready: running.url })
  } catch (err) {
    const { message, code } = err as NodeJS.ErrnoException // whatever is thrown here is an Error
    process.exitCode = 1
    report({ error: message, ...(code !== undefined && { code }) }, () => process.disconnect?.())
  }
}

/** Ends the process once the state is written and the started programs are gone, or after 5 s. */
function stop (): void {
  setTimeout(() => process.exit(), mostCloseMs).unref()
  const closed = running?.close() ?? Promise.resolve()
  closed.catch(() => { process.exitCode = 1 }).finally(() => process.exit())
}

function report (message: EmbeddedCoreReport, done?: () => void): void {
  process.send?.(message, undefined, undefined, done)
}
