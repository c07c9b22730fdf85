import type { FastifyBaseLogger } from 'fastify'

export type Complain = (message: string, facts: object, times?: number) => void

/** Says at once what goes wrong, and at most every few seconds again, with how often it did meanwhile. Each message counts for itself. */
export function createComplaint (log: Pick<FastifyBaseLogger, 'warn'>, everyMs = 5_000): Complain {
  const said = new Map<string, { at: number, times: number }>()
  return (message, facts, times = 1) => {
    const before = said.get(message)
    const now = performance.now()
    if (before !== undefined && now - before.at < everyMs) {
      before.times += times
      return
    }
    log.warn({ ...facts, times: times + (before?.times ?? 0) }, message)
    said.set(message, { at: now, times: 0 })
  }
}
