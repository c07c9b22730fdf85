import type { Usage } from './processes.ts'

/** In a process that is measured: ends with the bench, and tells its own use of CPU and memory where the system does not. */
process.on('disconnect', () => process.exit())
process.on('message', (message) => {
  if (message !== 'usage') return
  const { user, system } = process.cpuUsage()
  const usage: Usage = { cpuMs: (user + system) / 1_000, memoryBytes: process.memoryUsage.rss() }
  process.send?.({ usage })
})
// The channel alone must not keep the process up.
process.channel?.unref()
