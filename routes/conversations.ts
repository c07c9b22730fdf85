import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { CoreCalls, CoreMessage, CoreSession } from '../core/types.ts'
import { ApiError } from '../errors.ts'
import { toTimestamp } from '../schemas/common.ts'
import { agentConversationClear, agentConversationList, conversationList, type ConversationEntry } from '../schemas/conversations.ts'

interface Wanted { user: string, limit: number, before?: string, agent?: string, session?: string }

/** As much as the Core gives at once, of sessions and of the messages of one. */
const most = 1_000
/** Sessions read at the same time. */
const abreast = 8

const conversations: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/conversations/:user_id', { schema: conversationList, config: { access: 'user', capability: 'sessions.read' } }, async (request, reply) => {
    const { core, params, query } = request
    const { agent_id: agent, session_id: session, limit, before } = query
    const user = request.userId(params.user_id)
    const { items: messages, ...page } = reply.timeline(await entriesOf(core, { user, agent, session, limit, before }), query)
    return { user_id: user, messages, ...page }
  })

  app.get('/api/v1/agents/:agent_id/conversations', { schema: agentConversationList, config: { access: 'admin', capability: 'sessions.read' } }, async (request, reply) => {
    const { core, params: { agent_id: agent }, query } = request
    const user = request.userId(query.user_id)
    await core.get(`/agents/${agent}`, { what: `agent ${agent}` })
    const { items: messages, ...page } = reply.timeline(await entriesOf(core, { user, agent, limit: query.limit, before: query.before }), query)
    return { messages, ...page }
  })

  app.delete('/api/v1/agents/:agent_id/conversations', { schema: agentConversationClear, config: { access: 'admin', capability: 'buffers.clear' } }, async (request) => {
    const { core, params: { agent_id: agent }, query } = request
    const user = request.userId(query.user_id)
    await core.get(`/agents/${agent}`, { what: `agent ${agent}` })
    const { messages_cleared: count = 0 } = await core.delete<{ messages_cleared?: number }>('/memory/buffer', { user })
    return { status: 'cleared' as const, agent_id: agent, user_id: user, message_count: count }
  })
}

/**
 * The exchanges of a user after `before`, newest first, one more than `limit` where there are more. The Core lists by
 * session, the one used last first, and gives no later part of one: sessions are read until no other can hold anything newer.
 */
async function entriesOf (core: CoreCalls, { user, limit, before, agent, session }: Wanted): Promise<ConversationEntry[]> {
  const { sessions = [] } = await core.get<{ sessions?: CoreSession[] }>(`/sessions?limit=${most}`, { user })
  const left = sessions.filter(({ session_id: id }) => session === undefined || id === session)
    .map(({ session_id: id, last_activity: at }) => ({ id, at: toTimestamp(at) ?? '9999' }))
    .sort((a, b) => a.at < b.at ? 1 : -1)
  const all: ConversationEntry[] = []
  let found: ConversationEntry[] = []
  while (left.length > 0) {
    const read = await Promise.all(left.splice(0, abreast).map(async ({ id }) => {
      const { messages = [] } = await core.get<{ messages?: CoreMessage[] }>(`/sessions/${encodeURIComponent(id)}/messages?limit=${most}`, { user }).catch(nothing)
      return joined(messages, user, id).reverse()
    }))
    all.push(...read.flat())
    all.sort((a, b) => a.created_at === b.created_at ? 0 : a.created_at < b.created_at ? 1 : -1)
    // What the Core has forgotten was older than all that it still has.
    const start = before === undefined ? 0 : all.findIndex(({ id }) => id === before) + 1 || all.length
    found = all.slice(start).filter(({ agent_id: of }) => agent === undefined || of === undefined || of === agent)
    const last = found[limit]
    if (last !== undefined && last.created_at >= (left[0]?.at ?? '')) break
  }
  return found.slice(0, limit + 1)
}

/** A session that is listed and not found: forgotten since, or named with a slash by another client, which no path of the Core can hold. */
function nothing (error: unknown): { messages?: CoreMessage[] } {
  if (error instanceof ApiError && error.code === 'not_found') return {}
  throw error
}

/** Messages of a session, oldest first, as exchanges: question and answer have one request id, whatever came between them. */
function joined (messages: CoreMessage[], user: string, session: string): ConversationEntry[] {
  const entries = new Map<string, ConversationEntry>()
  let last: ConversationEntry | undefined
  for (const [at, { text = '', metadata = {} }] of messages.entries()) {
    const { role, request_id: request, timestamp, answered_by: agent } = metadata
    if (role === 'user') {
      const id = request ?? `${session}.${timestamp ?? at}`
      last = { id, user_id: user, session_id: session, user_message: { role, content: text }, created_at: toTimestamp(timestamp) ?? new Date(0).toISOString() }
      entries.set(id, last)
    } else if (role === 'assistant') {
      // An answer whose question is forgotten is left out.
      const entry = request === undefined ? last : entries.get(request)
      if (entry === undefined) continue
      const before = entry.agent_response?.content
      entry.agent_response = { role, content: before === undefined ? text : `${before}\n\n${text}` }
      entry.agent_id = agent ?? entry.agent_id
    }
  }
  return [...entries.values()]
}

export default conversations
