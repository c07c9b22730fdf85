import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'

export type Period = 'last_1h' | 'last_24h' | 'last_7d'

/** What was used in a period, over all instances. */
export interface Usage { endpoints: Record<string, number>, agents: Record<string, number>, users: number, total: number }

declare module 'fastify' {
  interface FastifyInstance {
    usage: {
      /** An agent has answered a user. */
      answered: (agentId: string | undefined, userId: string) => void
      read: (period: Period) => Promise<Usage>
    }
  }
}

const minute = 60_000
const hour = 3_600_000
/** Minutes for the last hour, hours for what is longer ago: few keys to read, whatever the period. */
const steps = { m: { ms: minute, keptMs: 2 * hour }, h: { ms: hour, keptMs: 8 * 24 * hour } }
const periods: Record<Period, { step: keyof typeof steps, count: number }> = {
  last_1h: { step: 'm', count: 60 }, last_24h: { step: 'h', count: 24 }, last_7d: { step: 'h', count: 168 }
}
const flushMs = 1_000

/** Counts calls per endpoint and access, answers per agent, and the users who got them, for all instances; counted here first and handed over every second. */
export default fp(async (app) => {
  let counts: Record<string, number> = {}
  let users = new Set<string>()
  const count = (name: string) => { counts[name] = (counts[name] ?? 0) + 1 }

  const flush = async () => {
    if (Object.keys(counts).length === 0) return
    const [taken, seen, now] = [counts, users, Date.now()]
    counts = {}
    users = new Set()
    try {
      for (const [step, { ms, keptMs }] of Object.entries(steps)) {
        const at = `${step}:${Math.floor(now / ms)}`
        await app.cluster.increment(`usage:${at}`, taken, keptMs)
        for (const user of seen) await app.cluster.note(`users:${at}`, user, keptMs)
      }
    } catch {
      // Not lost while Redis is away: added to what comes next.
      for (const [name, value] of Object.entries(taken)) counts[name] = (counts[name] ?? 0) + value
      for (const user of seen) users.add(user)
    }
  }
  const timer = setInterval(() => { flush().catch(() => {}) }, flushMs)
  timer.unref()

  const names = new Map<string, string>()
  const nameOf = ({ caller: { access }, method, routeOptions: { url = '' } }: FastifyRequest): string => {
    const id = `${access} ${method} ${url}`
    let name = names.get(id)
    if (name === undefined) names.set(id, name = `${access} ${method} ${url.replace('/api/v1', '').replaceAll(/:([a-z_]+)/g, '{$1}')}`)
    return name
  }
  app.addHook('onRequest', (request, reply, done) => {
    if (request.caller.access !== 'public') count(nameOf(request))
    done()
  })

  app.decorate('usage', {
    answered: (agentId, userId) => {
      if (agentId !== undefined) count(`agent ${agentId}`)
      users.add(userId)
    },
    read: async (period) => {
      await flush()
      const { step, count: most } = periods[period]
      const last = Math.floor(Date.now() / steps[step].ms)
      const at = Array.from({ length: most }, (_, back) => `${step}:${last - back}`)
      const [sums, different] = await Promise.all([app.cluster.sums(at.map((one) => `usage:${one}`)), app.cluster.noted(at.map((one) => `users:${one}`))])
      const usage: Usage = { endpoints: {}, agents: {}, users: different, total: 0 }
      for (const [name, value] of Object.entries(sums)) {
        const [, kind, rest] = /^(agent|user|admin) (.*)$/.exec(name) ?? []
        if (kind === 'agent') usage.agents[rest!] = value
        else if (rest !== undefined) {
          usage.endpoints[rest] = (usage.endpoints[rest] ?? 0) + value
          usage.total += value
        }
      }
      return usage
    }
  })
  app.addHook('preClose', async () => {
    clearInterval(timer)
    await flush()
  })
}, { name: 'usage', dependencies: ['auth', 'cluster'] })
