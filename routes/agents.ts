import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { CoreAgent } from '../core/types.ts'
import { type Agent, agentCreate, agentDelete, agentGet, agentImport, agentList, agentUpdate } from '../schemas/agents.ts'

const agents: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/agents', { schema: agentList, config: { access: 'admin', capability: 'agents.list' } }, async ({ core, query }) => {
    const { agents: all = [] } = await core.get<{ agents?: CoreAgent[] }>('/agents')
    return page(all.map(fromCore), query)
  })

  app.post('/api/v1/agents', { schema: agentCreate, config: { access: 'admin', capability: 'agents.create' } }, async ({ core, body }, reply) => {
    const { id, description, created_at } = fromCore(await core.post<CoreAgent>('/agents', body, { what: `agent ${body.id}` }))
    return await reply.code(201).send({ id, description, created_at, status: 'created' as const })
  })

  app.post('/api/v1/agents/import', { schema: agentImport, config: { access: 'admin', capability: 'agents.import', cost: 6 } }, async ({ core, body }, reply) => {
    const made = await core.post<CoreAgent & { mcp_servers_connected?: number }>('/agents/import', body, { what: body.config === undefined ? 'that agent' : `agent ${body.config.id}` })
    const { id, description, created_at } = fromCore(made)
    return await reply.code(201).send({ id, description, created_at, status: 'created' as const, mcp_servers_connected: made.mcp_servers_connected ?? 0 })
  })

  app.get('/api/v1/agents/:agent_id', { schema: agentGet, config: { access: 'admin', capability: 'agents.read' } }, async ({ core, params: { agent_id: id } }) =>
    fromCore(await core.get<CoreAgent>(`/agents/${id}`, { what: `agent ${id}` })))

  app.patch('/api/v1/agents/:agent_id', { schema: agentUpdate, config: { access: 'admin', capability: 'agents.update' } }, async ({ core, body, params: { agent_id: id } }) => {
    const { description, updated_at } = fromCore(await core.patch<CoreAgent>(`/agents/${id}`, body, { what: `agent ${id}` }))
    return { id, description, updated_at, status: 'updated' as const }
  })

  app.delete('/api/v1/agents/:agent_id', { schema: agentDelete, config: { access: 'admin', capability: 'agents.delete' } }, async ({ core, params: { agent_id: id } }) => {
    await core.delete(`/agents/${id}`, { what: `agent ${id}` })
    return { id, status: 'deleted' as const }
  })
}

/** The Core counts time in seconds and may know a model by one string; what it does not know is left out. */
function fromCore ({ description = '', model, created_at: created, updated_at: updated, mcp_servers: servers, knowledge_sources: sources, ...agent }: CoreAgent): Agent {
  return {
    ...agent,
    description,
    model: typeof model === 'string' ? modelOf(model) : model,
    created_at: time(created),
    updated_at: time(updated),
    mcp_servers: servers as Agent['mcp_servers'],
    knowledge_sources: sources as Agent['knowledge_sources']
  }
}

/** `openai/gpt-4o` */
function modelOf (text: string): Agent['model'] {
  const slash = text.indexOf('/')
  return slash < 0 ? { model: text } : { provider: text.slice(0, slash), model: text.slice(slash + 1) }
}

function time (value: number | string | undefined): string | undefined {
  return value === undefined ? undefined : new Date(typeof value === 'number' ? value * 1_000 : value).toISOString()
}

interface Query { limit: number, offset: number, provider?: string, model?: string, sort?: 'id' | '-id' | 'created_at' | '-created_at' }

function page (all: Agent[], { limit, offset, provider, model, sort }: Query) {
  const found = all.filter((agent) => (provider === undefined || agent.model?.provider === provider) && (model === undefined || agent.model?.model === model))
  if (sort !== undefined) {
    const field = sort.replace('-', '') as 'id' | 'created_at'
    const direction = sort.startsWith('-') ? -1 : 1
    found.sort((a, b) => ((a[field] ?? '') < (b[field] ?? '') ? -1 : 1) * direction)
  }
  const next = offset + limit
  return { agents: found.slice(offset, next), pagination: { total: found.length, limit, offset, next_offset: next < found.length ? next : null } }
}

export default agents
