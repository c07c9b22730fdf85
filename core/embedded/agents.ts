import { type Static, Type } from '@sinclair/typebox'
import { CoreError, newId, seconds } from './envelope.ts'
import { definitionOf, McpServerBody, type McpServer } from './mcp-definition.ts'
import type { State } from './state.ts'

export interface KnowledgeSource { id: string, description: string, document_count: number, created_at: number }

/** An agent as this Core keeps it: the secrets in it never leave. */
export interface StoredAgent {
  id: string
  name: string
  description: string
  system_message: string
  source: 'formation' | 'api'
  model: { provider: string, model: string, temperature?: number, top_p?: number, api_key?: string }
  memory?: { buffer: number, long_term: boolean }
  created_at: number
  updated_at: number
  /** counts the changes of what a PATCH can change */
  version: number
  stats: { conversations: number, total_messages: number, active_users: number }
  mcp_servers: McpServer[]
  knowledge_sources: KnowledgeSource[]
}

const Model = Type.Object({
  provider: Type.String({ minLength: 1, maxLength: 100 }),
  model: Type.String({ minLength: 1, maxLength: 200 }),
  temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  api_key: Type.Optional(Type.String({ maxLength: 1000 }))
})

export const AgentBody = Type.Object({
  id: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$' })),
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  description: Type.String({ minLength: 1, maxLength: 10_000 }),
  system_message: Type.Optional(Type.String({ maxLength: 100_000 })),
  model: Model,
  memory: Type.Optional(Type.Partial(Type.Object({ buffer: Type.Integer({ minimum: 0 }), long_term: Type.Boolean() })))
})

export const AgentImport = Type.Object({
  ...AgentBody.properties,
  mcp_servers: Type.Optional(Type.Array(McpServerBody, { maxItems: 16 }))
})

export const AgentPatch = Type.Partial(Type.Object({
  ...Type.Omit(AgentBody, ['id', 'model', 'memory']).properties,
  model: Type.Partial(Model),
  memory: Type.Partial(Type.Object({ buffer: Type.Integer({ minimum: 0 }), long_term: Type.Boolean() }))
}))

const usualMemory = { buffer: 10, long_term: false }

/** An agent with everything that a new one has. */
export function createAgent ({ mcp_servers: servers = [], memory, ...body }: Static<typeof AgentImport>, source: StoredAgent['source']): StoredAgent {
  const id = body.id ?? newId('agent')
  const now = seconds()
  return {
    ...body,
    id,
    name: body.name ?? id,
    system_message: body.system_message ?? '',
    ...(memory !== undefined && { memory: { ...usualMemory, ...memory } }),
    source,
    created_at: now,
    updated_at: now,
    version: 1,
    stats: { conversations: 0, total_messages: 0, active_users: 0 },
    mcp_servers: servers.map(definitionOf),
    knowledge_sources: []
  }
}

/** Changes what the patch names; `model` and `memory` merge by key. */
export function changeAgent (agent: StoredAgent, { model, memory, ...rest }: Static<typeof AgentPatch>): void {
  Object.assign(agent, rest, { updated_at: seconds(), version: agent.version + 1 })
  Object.assign(agent.model, model)
  if (memory) agent.memory = { ...usualMemory, ...agent.memory, ...memory }
}

/** The agents that every embedded Core starts with. */
export function formationAgents (model: StoredAgent['model']): Map<string, StoredAgent> {
  const greeter = createAgent({ id: 'greeter', name: 'Greeter', description: 'Answers greetings and small talk', system_message: 'You are Greeter.', model }, 'formation')
  const analyst = createAgent({ id: 'analyst', name: 'Analyst', description: 'Answers questions about numbers and data', system_message: 'You are Analyst.', model: { ...model } }, 'formation')
  return new Map([greeter, analyst].map((agent) => [agent.id, agent]))
}

/** What leaves of an agent: no key of its model, no credentials of its MCP servers. */
export function agentView (agent: StoredAgent, { offers, mcp }: Pick<State, 'offers' | 'mcp'>): object {
  if (offers === 'real') {
    const { id, name, description, system_message: system, source } = agent
    return { id, name, description, system_message: system, source }
  }
  const { api_key: hidden, ...model } = agent.model
  const servers = mcp.of(agent).map(({ definition: { credentials, ...server }, isConnected }) => ({ ...server, connected: isConnected }))
  return { ...agent, model, mcp_servers: servers }
}

/** The agent with this id, or the Core's 404. */
export function agentOf (agents: Map<string, StoredAgent>, id = ''): StoredAgent {
  const agent = agents.get(id)
  if (!agent) throw new CoreError(404, 'AGENT_NOT_FOUND', `Agent '${id}' not found`)
  return agent
}
