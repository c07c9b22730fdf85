import type { CoreAgent, CoreCalls, CoreKnowledge, CoreMcpServer } from './types.ts'

/** The agents of a Core, in one spelling, whoever declared them. */
export interface Agents {
  list: () => Promise<CoreAgent[]>
  get: (id: string) => Promise<CoreAgent>
  /** For a Core that has tool servers by formation: those of the agent, then those that all agents share. */
  servers: (id: string) => Promise<CoreMcpServer[]>
}

export function agentsOf (core: CoreCalls): Agents {
  const get = async (id: string) => spelled(await core.get<CoreAgent>(`/agents/${id}`, { what: `agent ${id}` }))

  return {
    list: async () => ((await core.get<{ agents?: CoreAgent[] }>('/agents')).agents ?? []).map(spelled),
    get,
    servers: async (id) => {
      const { mcp_servers: own = [] } = await get(id)
      const { servers = [] } = await core.get<{ servers?: CoreMcpServer[] }>('/mcp/servers')
      return [...own, ...servers.map(named).filter(({ name }) => !own.some((one) => one.name === name))]
    }
  }
}

/** An agent of a formation has its servers, texts and model as they were declared. */
function spelled (agent: CoreAgent): CoreAgent {
  const { mcp_servers: servers, knowledge, llm_models: models } = agent
  // In place: the answer is nobody else's, and most agents need nothing of it.
  if (servers !== undefined) agent.mcp_servers = servers.map(named)
  if (knowledge !== undefined) agent.knowledge_sources ??= declared(knowledge)
  const text = models?.find(({ text }) => typeof text === 'string')
  if (text !== undefined) agent.model ??= { ...modelOf(text.text!), temperature: text.settings?.temperature, top_p: text.settings?.top_p }
  if (typeof agent.model === 'string') agent.model = modelOf(agent.model)
  return agent
}

function named (server: CoreMcpServer): CoreMcpServer {
  const { id, name, active, connected } = server
  // One that is switched off is the only one of which a formation tells whether it is connected.
  return { ...server, name: name ?? id ?? '', connected: connected ?? (active === false ? false : undefined) }
}

function declared (knowledge: NonNullable<CoreAgent['knowledge']>): CoreKnowledge[] {
  const { enabled = true, sources = [] } = Array.isArray(knowledge) ? { sources: knowledge } : knowledge
  if (!enabled) return []
  return sources.map((source) => typeof source === 'string' ? { id: idOf(source) } : { ...source, id: source.id ?? source.name ?? idOf(source.path) })
}

/** The Core makes every path absolute: where its folders are is no part of a name. */
function idOf (path = ''): string {
  return path.startsWith('/') ? path.split('/').findLast((part) => part !== '') ?? path : path
}

/** `openai/gpt-4o` */
function modelOf (text: string): { provider?: string, model: string } {
  const slash = text.indexOf('/')
  return slash < 0 ? { model: text } : { provider: text.slice(0, slash), model: text.slice(slash + 1) }
}
