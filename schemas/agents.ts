import { Type, type Static } from '@sinclair/typebox'
import { AgentId, Id, IfMatch, Pagination, Timestamp, corePath, limit, offset, oneOf, sort } from './common.ts'
import type { Contract } from './contract.ts'

const words = (maxLength: number, description: string) => Type.String({ minLength: 1, maxLength, description })

export const Model = Type.Object({
  provider: Type.Optional(Type.String({ examples: ['openai'] })),
  model: Type.Optional(Type.String({ examples: ['gpt-4o'] })),
  temperature: Type.Optional(Type.Number()),
  top_p: Type.Optional(Type.Number())
}, { title: 'Model', description: 'The language model behind an agent' })

const Memory = Type.Object({
  buffer: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000, description: 'Messages kept at hand' })),
  long_term: Type.Optional(Type.Boolean({ description: 'Whether facts outlive the buffer' }))
}, { title: 'AgentMemory', description: 'What it remembers of its users', additionalProperties: false })

const purpose = Type.String({ description: 'What the agent is for; messages are routed by it', examples: ['Answers questions about the weather'] })

const AgentStats = Type.Object({
  conversations: Type.Optional(Type.Integer({ minimum: 0 })),
  total_messages: Type.Optional(Type.Integer({ minimum: 0 })),
  active_users: Type.Optional(Type.Integer({ minimum: 0 }))
})

export const AgentSummary = Type.Object({
  id: Id,
  name: Type.Optional(Type.String({ examples: ['Weather'] })),
  description: purpose,
  model: Type.Optional(Model),
  created_at: Type.Optional(Timestamp),
  stats: Type.Optional(AgentStats)
}, { title: 'AgentSummary', description: 'An agent in a list' })
export type AgentSummary = Static<typeof AgentSummary>

export const Agent = Type.Object({
  id: Id,
  name: Type.Optional(Type.String({ examples: ['Weather'] })),
  description: purpose,
  model: Type.Optional(Model),
  system_message: Type.Optional(Type.String({ description: 'What the agent is told before every conversation' })),
  memory: Type.Optional(Memory),
  created_at: Type.Optional(Timestamp),
  updated_at: Type.Optional(Timestamp),
  stats: Type.Optional(AgentStats),
  mcp_servers: Type.Optional(Type.Array(Type.Object({
    name: Type.String(),
    type: Type.Optional(oneOf(['http', 'command'])),
    connected: Type.Optional(Type.Boolean())
  }), { description: 'Tool servers that the agent can call' })),
  knowledge_sources: Type.Optional(Type.Array(Type.Object({
    id: Type.String(),
    description: Type.Optional(Type.String()),
    document_count: Type.Optional(Type.Integer({ minimum: 0 }))
  }), { description: 'Documents that the agent can look up' }))
}, { title: 'Agent', description: 'An agent as clients see it' })
export type Agent = Static<typeof Agent>

const modelFields = {
  provider: words(64, 'Who serves the model'),
  model: words(128, 'The model, as its provider calls it'),
  temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  api_key: Type.Optional(Type.String({ minLength: 1, maxLength: 512, writeOnly: true, description: 'Kept by the Core, never shown again' }))
}
const optionalFields = {
  name: Type.Optional(words(128, 'What people call the agent; the id when absent')),
  system_message: Type.Optional(Type.String({ maxLength: 100_000, description: 'What the agent is told before every conversation' })),
  memory: Type.Optional(Memory)
}
const createFields = {
  id: AgentId,
  description: words(2_000, 'What the agent is for; messages are routed by it'),
  model: Type.Object(modelFields, { additionalProperties: false, description: 'The language model behind it' }),
  ...optionalFields
}

export const AgentCreate = Type.Object(createFields, {
  title: 'AgentCreate',
  additionalProperties: false,
  examples: [{ id: 'finance', description: 'Answers questions about invoices', model: { provider: 'openai', model: 'gpt-4o' } }]
})
export type AgentCreate = Static<typeof AgentCreate>

export const AgentUpdate = Type.Object({
  description: Type.Optional(createFields.description),
  model: Type.Optional(Type.Partial(Type.Object(modelFields), { additionalProperties: false, minProperties: 1, description: 'Merged by key' })),
  ...optionalFields
}, { title: 'AgentUpdate', additionalProperties: false, minProperties: 1, examples: [{ description: 'Answers questions about invoices and reminders' }] })

export const AgentImport = Type.Object({
  config_path: Type.Optional(corePath(['yaml', 'yml', 'json'], 'agents/finance.yaml')),
  config: Type.Optional(Type.Object({
    ...createFields,
    mcp_servers: Type.Optional(Type.Array(Type.Object({
      name: Id,
      url: Type.String({ minLength: 1, maxLength: 2_048, pattern: '^https?://\\S+$', examples: ['http://localhost:5001'] }),
      credentials: Type.Optional(Type.Record(Type.String({ maxLength: 128 }), Type.String({ maxLength: 4_096 }), { writeOnly: true, maxProperties: 32 }))
    }, { additionalProperties: false }), { maxItems: 16 }))
  }, { additionalProperties: false, description: 'The agent itself. References to the environment are expanded by the Core, never here' }))
}, {
  title: 'AgentImport',
  additionalProperties: false,
  minProperties: 1,
  maxProperties: 1,
  description: 'Exactly one of `config_path` and `config`',
  examples: [{ config_path: 'agents/finance.yaml' }]
})

const AgentCreated = Type.Object({
  id: Id,
  description: purpose,
  created_at: Type.Optional(Timestamp),
  status: Type.Literal('created')
})
const params = Type.Object({ agent_id: AgentId })

export const agentList = {
  operationId: 'agent_list',
  summary: 'List the agents',
  description: 'Every agent that can answer, with what it is for: its id is the `agent_id` of other operations. Filter by provider or model of its language model.',
  tags: ['agents'],
  querystring: Type.Object({
    limit: limit(50),
    offset: offset(),
    provider: Type.Optional(words(64, 'Only agents whose model this provider serves')),
    model: Type.Optional(words(128, 'Only agents on this model')),
    sort: sort('id', 'created_at')
  }, { additionalProperties: false }),
  response: { 200: Type.Object({ agents: Type.Array(AgentSummary), pagination: Pagination }, { title: 'AgentList' }) }
} satisfies Contract

export const agentGet = {
  operationId: 'agent_get',
  summary: 'Read one agent',
  description: 'With its model, its tool servers and its knowledge, as far as the Core tells. Keys are never shown.',
  tags: ['agents'],
  params,
  response: { 200: Agent }
} satisfies Contract

export const agentCreate = {
  operationId: 'agent_create',
  summary: 'Create an agent',
  description: 'The id must be free. From then on messages that fit its description may be routed to it. Its id comes back; agent_update changes it.',
  tags: ['agents'],
  body: AgentCreate,
  response: { 201: Type.Object(AgentCreated.properties, { title: 'AgentCreated' }) }
} satisfies Contract

export const agentUpdate = {
  operationId: 'agent_update',
  summary: 'Change an agent',
  description: 'Only the fields sent are changed, what they held is overwritten; `model` is merged by key.',
  tags: ['agents'],
  params,
  headers: IfMatch,
  body: AgentUpdate,
  response: { 200: Type.Object({ id: Id, description: purpose, updated_at: Type.Optional(Timestamp), status: Type.Literal('updated') }, { title: 'AgentUpdated' }) }
} satisfies Contract

export const agentDelete = {
  operationId: 'agent_delete',
  summary: 'Delete an agent',
  description: 'Nothing is routed to it any more. This cannot be undone.',
  tags: ['agents'],
  params,
  headers: IfMatch,
  response: { 200: Type.Object({ id: Id, status: Type.Literal('deleted') }, { title: 'AgentDeleted' }) }
} satisfies Contract

export const agentImport = {
  operationId: 'agent_import',
  summary: 'Create an agent from a configuration',
  description: 'From a file on the Core or from the configuration itself, with the tool servers it connects to. Its id comes back.',
  tags: ['agents'],
  body: AgentImport,
  failures: ['not_found'],
  response: { 201: Type.Object({ ...AgentCreated.properties, mcp_servers_connected: Type.Integer({ minimum: 0, examples: [1] }) }, { title: 'AgentImported' }) }
} satisfies Contract
