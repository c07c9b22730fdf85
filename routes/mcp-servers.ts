import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { CoreCalls, CoreMcpServer } from '../core/types.ts'
import { ApiError } from '../errors.ts'
import { toTimestamp } from '../schemas/common.ts'
import { mcpServerConnect, mcpServerDisconnect, mcpServerGet, mcpServerList, type McpServer, type McpServerDetails } from '../schemas/mcp-servers.ts'

const list = '/api/v1/agents/:agent_id/mcp_servers'
const one = `${list}/:server_name`

const mcpServers: FastifyPluginAsyncTypebox = async (app) => {
  app.get(list, { schema: mcpServerList, config: { access: 'admin', prefers: 'mcp_servers.list', cacheable: true } }, async ({ core, params: { agent_id: agent }, query }, reply) => {
    const all = app.core.offers('mcp_servers.list')
      ? (await core.get<{ mcp_servers?: CoreMcpServer[] }>(`/agents/${agent}/mcp/servers`, { what: `agent ${agent}` })).mcp_servers ?? []
      : await core.agents.servers(agent)
    const found = all.map(fromCore).filter(({ type }) => query.type === undefined || type === query.type)
    const { items, pagination } = reply.page(found, query)
    return { agent_id: agent, mcp_servers: items, pagination }
  })

  app.post(list, { schema: mcpServerConnect, config: { access: 'admin', capability: 'mcp_servers.connect' } }, async ({ core, params: { agent_id: agent }, body }, reply) => {
    const { name, command } = body
    if (command !== undefined && !app.config.api.mcp_commands) throw new ApiError('forbidden', 'this server starts no commands: api.mcp_commands is off')
    const { type, connected = true } = await core.post<CoreMcpServer>(`/agents/${agent}/mcp/servers`, body, { what: await whatIsMissing(core, agent, name) })
    return await reply.code(201).send({ status: 'connected' as const, agent_id: agent, server: { name, type: kindOf(type, command), connected } })
  })

  app.get(one, { schema: mcpServerGet, config: { access: 'admin', prefers: 'mcp_servers.read' } }, async ({ core, params: { agent_id: agent, server_name: name } }) => {
    const server = app.core.offers('mcp_servers.read')
      ? await core.get<CoreMcpServer>(`/agents/${agent}/mcp/servers/${name}`, { what: await whatIsMissing(core, agent, name) })
      : (await core.agents.servers(agent)).find((server) => server.name === name)
    if (server === undefined) throw new ApiError('not_found', `no tool server ${name}`)
    return withDetails(server, agent)
  })

  app.delete(one, { schema: mcpServerDisconnect, config: { access: 'admin', capability: 'mcp_servers.disconnect' } }, async ({ core, params: { agent_id: agent, server_name: name } }) => {
    await core.delete(`/agents/${agent}/mcp/servers/${name}`, { what: await whatIsMissing(core, agent, name) })
    return { status: 'disconnected' as const, agent_id: agent, server: { name } }
  })
}

/** Makes sure that the agent is there: what the Core then does not find is the server. */
async function whatIsMissing (core: CoreCalls, agent: string, name: string): Promise<string> {
  await core.get(`/agents/${agent}`, { what: `agent ${agent}` })
  return `tool server ${name}`
}

function fromCore ({ name = '', type, url, endpoint, command, args = [], connected, stats }: CoreMcpServer): McpServer {
  return {
    name,
    type: kindOf(type, command),
    url: url ?? endpoint,
    command: command === undefined ? undefined : [command, ...args].join(' '),
    connected,
    stats
  }
}

function withDetails (server: CoreMcpServer, agent: string): McpServerDetails {
  const { stats, available_tools: tools } = server
  return {
    ...fromCore(server),
    agent_id: agent,
    stats: stats && { ...stats, current_time: toTimestamp(stats.current_time), connect_time: toTimestamp(stats.connect_time), last_activity: toTimestamp(stats.last_activity) },
    available_tools: tools as McpServerDetails['available_tools']
  }
}

function kindOf (type: string | undefined, command: string | undefined): 'http' | 'command' {
  return type === 'command' || (type !== 'http' && command !== undefined) ? 'command' : 'http'
}

export default mcpServers
