import { Type } from '@sinclair/typebox'
import { agentOf } from './agents.ts'
import { CoreError, seconds } from './envelope.ts'
import type { McpConnection } from './mcp-connection.ts'
import { definitionOf, McpServerBody } from './mcp-definition.ts'
import { isLate, reasonOf, refusalIn } from './mcp-failure.ts'
import { route, type Route } from './router.ts'
import type { State } from './state.ts'

const ToolCallBody = Type.Object({ arguments: Type.Optional(Type.Record(Type.String(), Type.Unknown())) })

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
      method: 'POST',
      path: '/v1/agents/{id}/mcp/servers/{name}/tools/{tool}',
      summary: 'Call a tool of an MCP server of an agent',
      body: ToolCallBody,
      handle: async ({ params, body, gone }) => {
        const connection = mcp.one(agentOf(agents, params.id), params.name)
        return { object: 'mcp_tool_result', type: 'mcp_tool.called', data: await resultOf(connection, params.tool ?? '', body.arguments ?? {}, gone) }
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

/** What a tool answered; what its server says against the call is an answer, too. */
async function resultOf (connection: McpConnection, tool: string, args: Record<string, unknown>, gone: AbortSignal): Promise<object> {
  try {
    const { content, structuredContent, isError = false } = await connection.call(tool, args, gone)
    return { content, ...(structuredContent !== undefined && { structured_content: structuredContent }), is_error: isError }
  } catch (err) {
    if (err instanceof CoreError) throw err
    const { definition: { name, credentials = {} } } = connection
    const refusal = refusalIn(err)
    if (refusal !== undefined) return { content: [{ type: 'text', text: refusal.slice(0, 2_000) }], is_error: true }
    if (isLate(err)) throw new CoreError(504, 'UPSTREAM_TIMEOUT', `MCP server '${name}' did not answer in time`)
    throw new CoreError(502, 'UPSTREAM_ERROR', `MCP server '${name}' could not be used: ${reasonOf(err, Object.values(credentials))}`)
  }
}

function view ({ definition: { credentials, ...shown }, isConnected }: McpConnection): object {
  return { ...shown, connected: isConnected }
}
