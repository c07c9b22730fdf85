import { describe } from './openapi.ts'
import { route, type Route } from './router.ts'
import type { State } from './state.ts'

/** Health, the document, and the settings that a gateway reads to learn about this Core and its own keys. */
export function systemRoutes (state: State, listed: () => Route[]): Route[] {
  const { agents, requests, started, version } = state
  const uptime = () => (Date.now() - started) / 1000

  return [
    route({
      method: 'GET',
      path: '/v1/health',
      level: 'none',
      summary: 'Tell that the Core is alive',
      handle: () => ({ bare: { status: 'healthy', version, uptime_seconds: uptime() } })
    }),
    route({
      method: 'GET',
      path: '/openapi.json',
      level: 'none',
      summary: 'This document',
      handle: () => ({ bare: describe(listed(), version) })
    }),
    route({
      method: 'GET',
      path: '/v1/overlord/soul',
      level: 'admin',
      summary: 'Read the persona of the overlord',
      handle: () => ({ object: 'overlord', type: 'overlord.soul.retrieved', data: { soul: 'Plain and friendly.' } })
    }),
    route({
      method: 'GET',
      path: '/v1/async',
      level: 'admin',
      summary: 'Read the settings of asynchronous work',
      handle: () => ({ object: 'async', type: 'async.retrieved', data: { enabled: false } })
    }),
    route({
      method: 'GET',
      path: '/v1/sops',
      level: 'client',
      summary: 'List the procedures',
      handle: () => ({ object: 'list', type: 'sop.list', data: { sops: [], count: 0 } })
    }),
    route({
      method: 'GET',
      path: '/v1/mcp/servers',
      level: 'admin',
      summary: 'List the MCP servers of the formation',
      handle: () => ({ object: 'list', type: 'mcp_server.list', data: { servers: [], count: 0 } })
    }),
    route({
      method: 'GET',
      path: '/v1/status',
      level: 'admin',
      summary: 'Read what runs and how much memory it takes',
      handle: () => {
        const megabytes = Math.round(process.memoryUsage().rss / 1024 / 1024)
        const all = [...requests.byId.values()]
        return {
          object: 'status',
          type: 'status.retrieved',
          data: {
            formation: { id: 'embedded', name: 'Embedded', description: 'The embedded Core', version },
            agents: { count: agents.size, active: agents.size },
            mcp_servers: { count: 0, active: 0 },
            stats: {
              running: { seconds: uptime(), since: new Date(started).toISOString() },
              memory: { working_memory_mb: 0, memory_usage_mb: megabytes },
              requests: { total: all.length, active: all.filter(({ status }) => status === 'processing').length },
              buffer_size: 2000,
              cpu_percent: 0
            }
          }
        }
      }
    })
  ]
}
