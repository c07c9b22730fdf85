import fp from 'fastify-plugin'

/** Says why a part is not ready, or undefined when it is. */
type Check = () => string | undefined

export interface Health {
  add: (name: string, check: Check) => void
  /** `up` or the reason, by name. */
  report: () => { ready: boolean, checks: Record<string, string> }
  draining: boolean
}

declare module 'fastify' {
  interface FastifyInstance { health: Health }
}

/** Named checks; the server is ready when all of them pass and it does not drain. */
export default fp(async (app) => {
  const checks = new Map<string, Check>()
  const health: Health = {
    draining: false,
    add: (name, check) => { checks.set(name, check) },
    report: () => {
      const results = [...checks].map(([name, check]) => [name, check() ?? 'up'] as const)
      return { ready: !health.draining && results.every(([, result]) => result === 'up'), checks: Object.fromEntries(results) }
    }
  }
  app.decorate('health', health)
}, { name: 'health' })
