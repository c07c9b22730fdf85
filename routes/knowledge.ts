import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { CoreKnowledge, CorePassage } from '../core/types.ts'
import { toTimestamp } from '../schemas/common.ts'
import { knowledgeCreate, knowledgeDelete, knowledgeList, knowledgeSearch, type KnowledgeSource } from '../schemas/knowledge.ts'

const list = '/api/v1/agents/:agent_id/knowledge'

const knowledge: FastifyPluginAsyncTypebox = async (app) => {
  app.get(list, { schema: knowledgeList, config: { access: 'admin', prefers: 'knowledge.list', cacheable: true } }, async ({ core, params: { agent_id: agent }, query }, reply) => {
    const sources = app.core.offers('knowledge.list')
      ? (await core.get<{ knowledge_sources?: CoreKnowledge[] }>(`/agents/${agent}/knowledge`, { what: `agent ${agent}` })).knowledge_sources ?? []
      : (await core.agents.get(agent)).knowledge_sources ?? []
    const { items, pagination } = reply.page(sources.map(fromCore), query)
    return { agent_id: agent, knowledge_sources: items, pagination }
  })

  app.post(list, { schema: knowledgeCreate, config: { access: 'admin', capability: 'knowledge.create', cost: 6 } }, async ({ core, params: { agent_id: agent }, body }, reply) => {
    const { id, source_type: kind, path } = body
    // What the Core then does not find is the file, and what is taken the source.
    await core.get(`/agents/${agent}`, { what: `agent ${agent}` })
    const made = await core.post<CoreKnowledge>(`/agents/${agent}/knowledge`, body, { what: kind === 'file' ? `${path}, or knowledge ${id}` : `knowledge ${id}` })
    return await reply.code(201).send({ status: 'added' as const, agent_id: agent, knowledge_source: fromCore({ ...made, id }) })
  })

  app.delete(`${list}/:knowledge_id`, { schema: knowledgeDelete, config: { access: 'admin', capability: 'knowledge.delete' } }, async ({ core, params: { agent_id: agent, knowledge_id: id } }) => {
    await core.get(`/agents/${agent}`, { what: `agent ${agent}` })
    await core.delete(`/agents/${agent}/knowledge/${id}`, { what: `knowledge ${id}` })
    return { status: 'removed' as const, agent_id: agent, knowledge_source: { id } }
  })

  app.get(`${list}/search`, { schema: knowledgeSearch, config: { access: 'admin', capability: 'knowledge.search', cost: 6 } }, async ({ core, params: { agent_id: agent }, query: { query, top_k, threshold } }) => {
    const search = new URLSearchParams({ query, top_k: String(top_k), threshold: String(threshold) })
    const { results = [] } = await core.get<{ results?: CorePassage[] }>(`/agents/${agent}/knowledge/search?${search.toString()}`, { what: `agent ${agent}` })
    return { agent_id: agent, query, results }
  })
}

function fromCore ({ id = '', description, document_count, created_at: created }: CoreKnowledge): KnowledgeSource {
  return { id, description, document_count, created_at: toTimestamp(created) }
}

export default knowledge
