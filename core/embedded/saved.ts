import { type Static, type TProperties, Type } from '@sinclair/typebox'
import type { StoredAgent } from './agents.ts'
import { McpServerBody } from './mcp-definition.ts'
import type { State } from './state.ts'

const Time = Type.Number()
const Free = Type.Record(Type.String(), Type.Unknown())
const entry = <T extends TProperties>(members: T) => Type.Object(members)

const Agent = entry({
  id: Type.String({ minLength: 1 }),
  name: Type.String(),
  description: Type.String(),
  system_message: Type.String(),
  source: Type.Union([Type.Literal('formation'), Type.Literal('api')]),
  model: entry({
    provider: Type.String(),
    model: Type.String(),
    temperature: Type.Optional(Type.Number()),
    top_p: Type.Optional(Type.Number()),
    api_key: Type.Optional(Type.String())
  }),
  memory: Type.Optional(entry({ buffer: Type.Integer(), long_term: Type.Boolean() })),
  created_at: Time,
  updated_at: Time,
  version: Type.Integer(),
  stats: entry({ conversations: Type.Integer(), total_messages: Type.Integer(), active_users: Type.Integer() }),
  mcp_servers: Type.Array(Type.Composite([McpServerBody, entry({ type: Type.Union([Type.Literal('http'), Type.Literal('command')]) })])),
  knowledge_sources: Type.Array(entry({ id: Type.String(), description: Type.String(), document_count: Type.Integer(), created_at: Time }))
})

const User = entry({
  identifier: Type.String(),
  muxi_user_id: Type.String(),
  internal_user_id: Type.Integer(),
  type: Type.Optional(Type.String()),
  created_at: Time,
  last_seen_at: Time,
  message_count: Type.Integer()
})

const Message = entry({
  role: Type.Union([Type.Literal('user'), Type.Literal('assistant')]),
  text: Type.String(),
  timestamp: Time,
  user_id: Type.String(),
  session_id: Type.String(),
  request_id: Type.String(),
  agent_id: Type.String()
})

const Fact = entry({
  id: Type.String(),
  user_id: Type.String(),
  content: Type.String(),
  metadata: Free,
  scope: Type.String(),
  scope_id: Type.Union([Type.String(), Type.Null()]),
  created_at: Time,
  agent_id: Type.Optional(Type.String()),
  message_id: Type.Optional(Type.String())
})

const Minute = entry({ minute: Type.Integer(), requests: Type.Integer(), agents: Type.Record(Type.String(), Type.Integer()), in: Type.Integer(), out: Type.Integer() })

/** What outlives a restart. */
export const Saved = entry({
  version: Type.Literal(1),
  agents: Type.Array(Agent),
  users: Type.Array(User),
  messages: Type.Array(Message),
  memories: Type.Array(Fact),
  contexts: Type.Record(Type.String(), entry({ knowledge: Free, last_updated: Time, version: Type.Integer() })),
  knowledge: Type.Record(Type.String(), Type.Record(Type.String(), Type.Array(Type.String()))),
  usage: Type.Array(Minute)
})
export type Saved = Static<typeof Saved>

/** The state as it is written to a file. */
export function savedOf ({ agents, users, memory, facts, contexts, knowledge, usage }: State): Saved {
  return {
    version: 1,
    agents: [...agents.values()],
    users: [...users.byIdentifier.values()],
    messages: [...memory.all],
    memories: [...facts.all],
    contexts: Object.fromEntries(contexts.byUser),
    knowledge: knowledge.documents(),
    usage: [...usage.all]
  }
}

/** The agents of a file. Those of the formation that nobody changed take the model that is set now. */
export function agentsOf ({ agents }: Saved, formation: Map<string, StoredAgent>): Map<string, StoredAgent> {
  return new Map(agents.map((agent) => {
    const model = agent.source === 'formation' && agent.version === 1 ? formation.get(agent.id)?.model : undefined
    return [agent.id, { ...agent, model: model ?? agent.model }]
  }))
}
