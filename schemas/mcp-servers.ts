import { Type, type Static } from '@sinclair/typebox'
import { AgentId, Id, Pagination, Timestamp, limit, offset, oneOf, sort } from './common.ts'
import type { Contract } from './contract.ts'

const Count = Type.Integer({ minimum: 0 })
const stats = {
  connection_age_s: Type.Optional(Type.Number()),
  idle_time_s: Type.Optional(Type.Number()),
  active_requests: Type.Optional(Count),
  pid: Type.Optional(Count)
}
const serverFields = {
  name: Type.String({ examples: ['weather_api'] }),
  type: Type.Optional(oneOf(['http', 'command'])),
  url: Type.Optional(Type.String({ examples: ['http://localhost:5001/mcp'] })),
  command: Type.Optional(Type.String()),
  connected: Type.Optional(Type.Boolean({ description: 'Absent where the Core does not tell' }))
}

export const McpServer = Type.Object({ ...serverFields, stats: Type.Optional(Type.Object(stats)) }, { title: 'McpServer', description: 'A tool server that an agent can call' })
export type McpServer = Static<typeof McpServer>

export const McpServerDetails = Type.Object({
  agent_id: Type.String(),
  ...serverFields,
  stats: Type.Optional(Type.Object({
    ...stats,
    session_id: Type.Optional(Type.String()),
    current_time: Type.Optional(Timestamp),
    connect_time: Type.Optional(Timestamp),
    last_activity: Type.Optional(Timestamp)
  })),
  available_tools: Type.Optional(Type.Array(Type.Object({
    name: Type.String({ examples: ['get_forecast'] }),
    description: Type.Optional(Type.String()),
    parameters: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'A JSON Schema' }))
  })))
}, { title: 'McpServerDetails', description: 'A tool server with the tools that it offers' })
export type McpServerDetails = Static<typeof McpServerDetails>

const params = Type.Object({ agent_id: AgentId })
const serverParams = Type.Object({ agent_id: AgentId, server_name: Id })
const tags = ['mcp_servers']

export const McpServerConnect = Type.Object({
  name: Id,
  url: Type.Optional(Type.String({ minLength: 1, maxLength: 2_048, pattern: '^https?://(?![^/?#]*@)\\S+$', description: 'Where the server answers; its secrets belong in `credentials`', examples: ['http://localhost:5001/mcp'] })),
  command: Type.Optional(Type.String({ minLength: 1, maxLength: 2_048, pattern: '^[^\\u0000-\\u001f]+$', description: 'What starts the server, on the host of the Core', examples: ['npx geocoding-server'] })),
  credentials: Type.Optional(Type.Record(Type.String({ maxLength: 128 }), Type.String({ maxLength: 4_096 }), {
    writeOnly: true,
    maxProperties: 32,
    description: 'Kept by the Core, never shown again: `token` goes along as a bearer token, for a command each is a variable of its environment'
  }))
}, {
  title: 'McpServerConnect',
  additionalProperties: false,
  description: 'Exactly one of `url` and `command`',
  if: { required: ['command'] },
  then: { properties: { url: false } },
  else: { required: ['url'] },
  examples: [{ name: 'weather_api', url: 'http://localhost:5001/mcp' }]
})

export const mcpServerList = {
  operationId: 'mcp_server_list',
  summary: 'List the tool servers of an agent',
  description: 'How each is reached, and whether it is connected; mcp_server_get has its tools. A Core that keeps tool servers for all agents together lists them all.',
  tags,
  params,
  querystring: Type.Object({ limit: limit(50), offset: offset(), type: Type.Optional(oneOf(['http', 'command'])), sort: sort('name') }, { additionalProperties: false }),
  response: { 200: Type.Object({ agent_id: Type.String(), mcp_servers: Type.Array(McpServer), pagination: Pagination }, { title: 'McpServerList' }) }
} satisfies Contract

export const mcpServerConnect = {
  operationId: 'mcp_server_connect',
  summary: 'Connect an agent to a tool server',
  description: 'Over HTTP with `url`, or with a `command` that starts a program on the host of the Core; exactly one of the two. From then on the agent can call its tools.',
  tags,
  params,
  body: McpServerConnect,
  response: {
    201: Type.Object({
      status: Type.Literal('connected'),
      agent_id: Type.String(),
      server: Type.Object({ name: serverFields.name, type: oneOf(['http', 'command']), connected: Type.Boolean() })
    }, { title: 'McpServerConnected' })
  }
} satisfies Contract

export const mcpServerGet = {
  operationId: 'mcp_server_get',
  summary: 'Read one tool server of an agent and what its tools are',
  description: 'Each tool with what it does and the schema of its arguments. Credentials are never shown.',
  tags,
  params: serverParams,
  response: { 200: McpServerDetails }
} satisfies Contract

export const mcpServerDisconnect = {
  operationId: 'mcp_server_disconnect',
  summary: 'Disconnect an agent from a tool server',
  description: 'The agent can call its tools no more; a server that was started for the agent is stopped.',
  tags,
  params: serverParams,
  response: { 200: Type.Object({ status: Type.Literal('disconnected'), agent_id: Type.String(), server: Type.Object({ name: serverFields.name }) }, { title: 'McpServerDisconnected' }) }
} satisfies Contract
