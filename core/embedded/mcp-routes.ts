import { agentOf } from './agents.ts'
import { seconds } from './envelope.ts'
import type { McpConnection } from './mcp-connection.ts'
import { definitionOf, McpServerBody } from './mcp-definition.ts'
import { route, type Route } from './router.ts'
import type { State } from './state.ts'

/** The MCP servers of an agent: listing, connecting, looking at and disconnecting them. */
export function mcpRoutes ({ agents, mcp }: State): Route[] {
  const own = { level: 'admin', extension: true } as const

  return [
    route({
      ...own,
      method: 'GET',
      path: '/v1/agents/{id}/mcp/servers',
      summary: 'List the MCP servers of an agent',
      handle: ({ params }) => {
        const agent = agentOf(agents, params.id)
        const servers = mcp.of(agent).map((connection) => ({ ...view(connection), stats: connection.stats() }))
        return { object: 'list', type: 'mcp_server.list', data: { agent_id: agent.id, mcp_servers: servers, count: servers.length } }
      }
    }),
    route({
      ...own,
      method: 'POST',
      path: '/v1/agents/{id}/mcp/servers',
      summary: 'Connect an agent to an MCP server, over HTTP or by starting it',
      body: McpServerBody,
      handle: async ({ params, body }) => {
        const { definition: { name, type }, isConnected } = await mcp.add(agentOf(agents, params.id), definitionOf(body))
        return { status: 201, object: 'mcp_server', type: 'mcp_server.connected', data: { name, type, connected: isConnected } }
      }
    }),
    route({
      ...own,
      method: 'GET',
      path: '/v1/agents/{id}/mcp/servers/{name}',
      summary: 'Look at an MCP server of an agent and ask it for its tools',
      handle: async ({ params }) => {
        const connection = mcp.one(agentOf(agents, params.id), params.name)
        // one that does not answer is shown as what it is
        await connection.refresh().catch(() => {})
        const { sessionId, connectTime, lastActivity, tools } = connection
        const now = seconds()
        const stats = {
          ...connection.stats(now),
          ...(sessionId !== undefined && { session_id: sessionId }),
          current_time: now,
          ...(connectTime > 0 && { connect_time: connectTime, last_activity: lastActivity })
        }
        const listed = tools.map(({ name, description = '', inputSchema }) => ({ name, description, parameters: inputSchema }))
        return { object: 'mcp_server', type: 'mcp_server.retrieved', data: { ...view(connection), stats, available_tools: listed } }
      }
    }),
    route({
      ...own,
      method: 'DELETE',
      path: '/v1/agents/{id}/mcp/servers/{name}',
      summary: 'Disconnect an agent from an MCP server',
      handle: async ({ params }) => {
        await mcp.remove(agentOf(agents, params.id), params.name)
        return { object: 'mcp_server', type: 'mcp_server.disconnected', data: { name: params.name, deleted: true } }
      }
    })
  ]
}

function view ({ definition: { credentials, ...shown }, isConnected }: McpConnection): object {
  return { ...shown, connected: isConnected }
}
