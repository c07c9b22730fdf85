import fp from 'fastify-plugin'

/** Says why a part is not ready, or undefined when it is. */
type Check = () => string | undefined

export interface Health {
  /** An optional part may be away: the server is degraded then, but ready. */
  add: (name: string, check: Check, options?: { optional: boolean }) => void
  /** The whole, and `up` or the reason by name. */
  report: () => { status: 'ready' | 'degraded' | 'not_ready' | 'draining', checks: Record<string, string> }
  draining: boolean
}

declare module 'fastify' {
  interface FastifyInstance { health: Health }
}

/** Named checks; the server is ready when all that are needed pass and it does not drain. */
export default fp(async (app) => {
  const checks = new Map<string, { check: Check, optional: boolean }>()
  const health: Health = {
    draining: false,
    add: (name, check, { optional } = { optional: false }) => { checks.set(name, { check, optional }) },
    report: () => {
      const results = [...checks].map(([name, { check, optional }]) => ({ name, optional, result: check() ?? 'up' }))
      const failed = results.filter(({ result }) => result !== 'up')
      const status = health.draining ? 'draining' : failed.length === 0 ? 'ready' : failed.every(({ optional }) => optional) ? 'degraded' : 'not_ready'
      return { status, checks: Object.fromEntries(results.map(({ name, result }) => [name, result])) }
    }
  }
  app.decorate('health', health)
}, { name: 'health' })
