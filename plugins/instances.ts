import { hostname } from 'node:os'
import { performance } from 'node:perf_hooks'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { Instance } from '../schemas/instances.ts'

declare module 'fastify' {
  interface FastifyInstance {
    instances: {
      /** Those that are there, the oldest first. */
      list: () => Promise<Instance[]>
      /** Tells the others how this one is, now: its next heartbeat may be too late. */
      tell: () => Promise<void>
    }
  }
}

/** What is measured over less says little. */
const leastMs = 1_000

/** Tells the other instances of this one, and of them whoever asks. */
export default fp(async (app) => {
  const { cluster, connections, health, metrics } = app
  const startedAt = new Date(performance.timeOrigin).toISOString()
  const busy = utilization()
  /** Kept: one that stops listens no more, and is still where it was. */
  let address: string | undefined

  const own = (): Instance => {
    const { status, checks } = health.report()
    return {
      id: cluster.id,
      version: app.release,
      ...(address !== undefined && { address }),
      started_at: startedAt,
      told_at: new Date().toISOString(),
      state: address === undefined && status !== 'draining' ? 'starting' : status,
      core: checks.core ?? 'up',
      load: { requests: metrics.active(), streams: connections.counts(), event_loop: busy(), memory_mb: Math.round(process.memoryUsage.rss() / 1_048_576) }
    }
  }
  const tell = async () => { await cluster.introduce(() => JSON.stringify(own())) }

  app.decorate('instances', {
    tell,
    list: async () => {
      const said = await cluster.introductions()
      return [...said.values()].map((text) => JSON.parse(text) as Instance).sort((a, b) => a.started_at < b.started_at ? -1 : 1)
    }
  })
  // Nothing waits for it: where the others cannot be told now, the next heartbeat does it.
  const tellSoon = () => { tell().catch(() => {}) }
  tellSoon()
  app.addHook('onListen', (done) => {
    address = addressOf(app)
    tellSoon()
    done()
  })
}, { name: 'instances', dependencies: ['cluster', 'connections', 'core', 'health', 'telemetry'] })

/** A name that others may reach it by: "all addresses" is none. */
function addressOf ({ server, config: { api } }: FastifyInstance): string | undefined {
  const address = server.address()
  if (address === null) return undefined
  const { port } = typeof address === 'object' ? address : api
  const host = ['0.0.0.0', '::'].includes(api.host) ? hostname() : api.host.includes(':') ? `[${api.host}]` : api.host
  return `${api.tls_cert === undefined ? 'http' : 'https'}://${host}:${port}`
}

/** How much of the time since the last look the event loop was busy, from 0 to 1; a look right after another sees the same. */
function utilization (): () => number {
  let [before, at, busy] = [performance.eventLoopUtilization(), performance.now(), 0]
  return () => {
    if (performance.now() - at < leastMs) return busy
    const now = performance.eventLoopUtilization()
    busy = Math.round(performance.eventLoopUtilization(now, before).utilization * 1_000) / 1_000
    ;[before, at] = [now, performance.now()]
    return busy
  }
}
