import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { CoreStatus } from '../core/types.ts'
import { systemStatusGet, systemUsageGet, type SystemStatus } from '../schemas/system.ts'

/** What of a request tells how it came in. */
interface Arrival {
  ip: string
  ips?: string[]
  protocol: 'http' | 'https'
  host: string
  headers: Record<string, unknown>
  raw: { httpVersion: string, socket: { remoteAddress?: string } }
}

const system: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/system/status', { schema: systemStatusGet, config: { access: 'admin' } }, async (request) => {
    const { core, log } = request
    const [seen, latency, redis] = await Promise.all([
      // A Core that is away is what this operation has to tell.
      core.get<CoreStatus>('/status').catch((err: unknown) => { log.warn({ err }, 'the MUXI Core gives no status') }),
      app.core.latency(),
      redisOf(app.cluster)
    ])
    const status: SystemStatus['status'] = latency === undefined ? 'unhealthy' : seen === undefined ? 'degraded' : 'healthy'
    const isWhole = status !== 'healthy' || app.health.report().status === 'ready'
    return {
      status: isWhole ? status : 'degraded' as const,
      version: app.release,
      uptime_seconds: Math.floor(process.uptime()),
      active_agents: seen?.agents?.active ?? seen?.agents?.count,
      active_connections: app.connections.count(),
      connections: app.connections.counts(),
      memory_usage_mb: Math.round(process.memoryUsage.rss() / 1_048_576),
      database_status: seen?.database_status,
      core_version: app.core.version,
      components: { core: { status, ...rounded(latency), ...app.core.ways }, ...redis },
      missing_capabilities: app.core.missing,
      // A tool call came in with the request to /mcp.
      arrival: arrivalOf(request.outer ?? request)
    }
  })

  app.get('/api/v1/system/usage', { schema: systemUsageGet, config: { access: 'admin' } }, async ({ query: { period } }) => {
    const { endpoints, agents, users, total } = await app.usage.read(period)
    return { period, endpoints, agent_usage: agents, user_count: users, total_requests: total }
  })
}

function arrivalOf ({ ip, ips = [], protocol, host, headers, raw }: Arrival): SystemStatus['arrival'] {
  return {
    address: ip,
    peer: raw.socket.remoteAddress ?? ip,
    forwarded: headers['x-forwarded-for'] === undefined ? 'none' : ips.length > 1 ? 'counted' : 'ignored',
    protocol,
    host,
    http_version: raw.httpVersion
  }
}

/** Nothing where this instance is alone. */
async function redisOf (cluster: { kind: string, get: (key: string) => Promise<unknown> }): Promise<Pick<SystemStatus['components'], 'redis'>> {
  if (cluster.kind !== 'redis') return {}
  const started = performance.now()
  const answers = await cluster.get('status').then(() => true, () => false)
  return { redis: answers ? { status: 'healthy', ...rounded(performance.now() - started) } : { status: 'unhealthy' } }
}

function rounded (latency: number | undefined): { latency_ms?: number } {
  return latency === undefined ? {} : { latency_ms: Math.round(latency * 100) / 100 }
}

export default system
