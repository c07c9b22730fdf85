import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ApiError, invalid } from '../errors.ts'
import { toTimestamp } from '../schemas/common.ts'
import { agentMemoryClear, agentMemorySearch } from '../schemas/memory.ts'

interface Found { results?: { content: string, similarity: number, created_at?: number | string, message_id?: string }[] }

const memory: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/agents/:agent_id/memory/search', { schema: agentMemorySearch, config: { access: 'admin', prefers: 'memories.search', cost: 6 } }, async (request) => {
    const { core, caller, headers, params: { agent_id: agent }, query: { query, limit, user_id: claim } } = request
    const isNamed = [claim, caller.sub, headers['x-muxi-user-id'], headers['x-user-id']].some((name) => name !== undefined)
    const user = isNamed ? request.userId(claim) : undefined
    if (app.core.offers('memories.search')) {
      const search = new URLSearchParams({ query, limit: String(limit), ...(user !== undefined && { user_id: user }) })
      const { results = [] } = await core.get<Found>(`/agents/${agent}/memories/search?${search.toString()}`, { what: `agent ${agent}` })
      return { results: results.map((hit) => ({ ...hit, created_at: toTimestamp(hit.created_at) })) }
    }
    if (user === undefined) throw new ApiError('not_implemented', 'this MUXI Core remembers by user: send user_id', { details: { capability: 'memories.search' } })
    await core.get(`/agents/${agent}`, { what: `agent ${agent}` })
    const results = await core.memories.search(user, query, limit)
    return { results: results.map((hit) => ({ ...hit, created_at: toTimestamp(hit.created_at) })) }
  })

  app.delete('/api/v1/agents/:agent_id/memory', { schema: agentMemoryClear, config: { access: 'admin', prefers: 'memories.clear' } }, async (request) => {
    const { core, caller, params: { agent_id: agent }, query: { user_id: claim, all = false } } = request
    if ((claim === undefined) !== all) throw invalid('querystring.user_id', 'must be sent, or all=true in its place')
    if (all && caller.sub !== undefined) throw new ApiError('forbidden', 'this key belongs to one user')
    const user = all ? undefined : request.userId(claim)
    const done = { status: 'cleared' as const, agent_id: agent, user_id: user }
    if (user === undefined || app.core.offers('memories.clear')) {
      app.core.require('memories.clear')
      const search = user === undefined ? 'all=true' : new URLSearchParams({ user_id: user }).toString()
      const { memories_cleared } = await core.delete<{ memories_cleared?: number }>(`/agents/${agent}/memories?${search}`, { what: `agent ${agent}` })
      return { ...done, memories_cleared }
    }
    await core.get(`/agents/${agent}`, { what: `agent ${agent}` })
    return { ...done, memories_cleared: await core.memories.clear(user) }
  })
}

export default memory
