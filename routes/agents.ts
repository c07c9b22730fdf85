import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { CoreAgent } from '../core/types.ts'
import { toTimestamp } from '../schemas/common.ts'
import { type Agent, agentCreate, agentDelete, agentGet, agentImport, agentList, agentUpdate } from '../schemas/agents.ts'

const agents: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/agents', { schema: agentList, config: { access: 'admin', capability: 'agents.list', cacheable: true } }, async ({ core, query }, reply) => {
    const { provider, model } = query
    const found = (await core.agents.list()).map(fromCore).filter((agent) => (provider === undefined || agent.model?.provider === provider) && (model === undefined || agent.model?.model === model))
    const { items: agents, pagination } = reply.page(found, query)
    return { agents, pagination }
  })

  app.post('/api/v1/agents', { schema: agentCreate, config: { access: 'admin', capability: 'agents.create' } }, async ({ core, body }, reply) => {
    const { id, description, created_at } = fromCore(await core.post<CoreAgent>('/agents', body, { what: `agent ${body.id}` }))
    return await reply.code(201).send({ id, description, created_at, status: 'created' as const })
  })

  app.post('/api/v1/agents/import', { schema: agentImport, config: { access: 'admin', capability: 'agents.import', cost: 6 } }, async ({ core, body }, reply) => {
    const made = await core.post<CoreAgent & { mcp_servers_connected?: number }>('/agents/import', body, { what: body.config === undefined ? `agent in ${body.config_path}` : `agent ${body.config.id}` })
    const { id, description, created_at } = fromCore(made)
    return await reply.code(201).send({ id, description, created_at, status: 'created' as const, mcp_servers_connected: made.mcp_servers_connected ?? 0 })
  })

  app.get('/api/v1/agents/:agent_id', { schema: agentGet, config: { access: 'admin', capability: 'agents.read', cacheable: true } }, async ({ core, params: { agent_id: id } }, reply) => {
    const agent = await core.agents.get(id)
    reply.version = agent.version
    return fromCore(agent)
  })

  app.patch('/api/v1/agents/:agent_id', { schema: agentUpdate, config: { access: 'admin', capability: 'agents.update' } }, async (request) => {
    const { core, body, params: { agent_id: id } } = request
    const changed = await request.ifUnchanged(async (ifMatch) => await core.patch<CoreAgent>(`/agents/${id}`, body, { what: `agent ${id}`, ifMatch }))
    const { description, updated_at } = fromCore(changed)
    return { id, description, updated_at, status: 'updated' as const }
  })

  app.delete('/api/v1/agents/:agent_id', { schema: agentDelete, config: { access: 'admin', capability: 'agents.delete' } }, async (request) => {
    const { core, params: { agent_id: id } } = request
    await request.ifUnchanged(async (ifMatch) => await core.delete(`/agents/${id}`, { what: `agent ${id}`, ifMatch }))
    return { id, status: 'deleted' as const }
  })
}

/** The Core counts time in seconds; what it does not know is left out. */
function fromCore (agent: CoreAgent): Agent {
  // Field by field: a copy of the rest costs three times as much.
  return {
    id: agent.id,
    name: agent.name,
    description: agent.description ?? '',
    // One string in the answer to a change alone, which shows no model.
    model: typeof agent.model === 'string' ? undefined : agent.model,
    system_message: agent.system_message,
    memory: agent.memory,
    created_at: toTimestamp(agent.created_at),
    updated_at: toTimestamp(agent.updated_at),
    stats: agent.stats,
    mcp_servers: agent.mcp_servers as Agent['mcp_servers'],
    knowledge_sources: agent.knowledge_sources as Agent['knowledge_sources']
  }
}

export default agents
