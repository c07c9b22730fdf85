import { type Static, Type } from '@sinclair/typebox'
import { agentOf } from './agents.ts'
import { invalidMember } from './body.ts'
import { CoreError, newId } from './envelope.ts'
import type { Fact } from './facts.ts'
import { route, type Route } from './router.ts'
import type { State } from './state.ts'
import { folded } from './users.ts'

const FactBody = Type.Object({
  content: Type.Optional(Type.String({ maxLength: 100_000 })),
  type: Type.Optional(Type.String({ maxLength: 100 })),
  detail: Type.Optional(Type.String({ maxLength: 100_000 })),
  metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  scope: Type.Optional(Type.String({ maxLength: 100 })),
  scope_id: Type.Optional(Type.String({ maxLength: 1000 }))
})
const iso = (time: number) => new Date(time * 1000).toISOString()

/** The lasting memories of one user, as the real Core serves them. */
export function factRoutes ({ facts, users }: State): Route[] {
  const own = { level: 'either', user: 'always' } as const
  const keep = (user: string, { content, type, detail, metadata = {}, scope = 'user', scope_id: scopeId }: Static<typeof FactBody>): Fact => {
    const text = content || detail
    if (!text) throw invalidMember('content', "Either 'content' or 'detail' must be provided")
    const agent = metadata.agent_id
    users.resolve(user)
    return facts.add({
      user_id: user,
      content: text,
      metadata: type === undefined ? metadata : { type, ...metadata },
      scope,
      scope_id: scopeId ?? null,
      ...(typeof agent === 'string' && { agent_id: agent })
    })
  }

  return [
    route({
      ...own,
      method: 'GET',
      path: '/v1/memories',
      summary: 'List what is remembered of a user, newest first',
      query: Type.Object({
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
        offset: Type.Optional(Type.Integer({ minimum: 0 })),
        scopes: Type.Optional(Type.String())
      }),
      handle: ({ user = '', query: { limit = 50, offset = 0, scopes } }) => {
        // as at the real Core, whoever is asked for is known from then on
        users.resolve(user)
        const wanted = scopes?.split(',').map((scope) => scope.trim())
        const memories = facts.of(user).filter(({ scope }) => wanted === undefined || wanted.includes(scope)).slice(offset, offset + limit)
          .map(({ id, content, created_at: at, metadata, scope, scope_id: scopeId }) => ({ id, content, created_at: iso(at), metadata, scope, scope_id: scopeId }))
        return { object: 'memory_list', type: 'memory.list', data: { memories, count: memories.length } }
      }
    }),
    route({
      ...own,
      method: 'POST',
      path: '/v1/memories',
      summary: 'Remember something of a user',
      body: FactBody,
      handle: ({ user = '', body }) => {
        const { id, content, created_at: at, metadata, scope, scope_id: scopeId } = keep(user, body)
        const data = { id, content: { type: body.type ?? 'general', detail: content }, created_at: iso(at), metadata, scope, scope_id: scopeId }
        return { object: 'memory', type: 'memory.created', data }
      }
    }),
    route({
      ...own,
      method: 'POST',
      path: '/v1/memories/batch',
      summary: 'Remember several things of a user',
      body: Type.Object({ items: Type.Array(Type.Record(Type.String(), Type.Unknown()), { minItems: 1, maxItems: 100 }) }),
      // an item that does not fit is reported in its place and holds none of the others back
      handle: ({ user = '', body }) => {
        const items = body.items.map(({ content, detail, metadata }, index) => {
          const text = typeof content === 'string' ? content : detail
          if (typeof text !== 'string' || text === '') return { status: 'invalid', error: "Either 'content' or 'detail' must be provided", index }
          keep(user, { content: text, ...(typeof metadata === 'object' && metadata !== null && { metadata: { ...metadata } }) })
          return { status: 'accepted', index }
        })
        const count = (wanted: string) => items.filter(({ status }) => status === wanted).length
        const data = { processing_id: newId('proc'), items, counts: { accepted: count('accepted'), duplicate: 0, invalid: count('invalid') } }
        return { object: 'memory', type: 'memory.created', data }
      }
    }),
    route({
      ...own,
      method: 'DELETE',
      path: '/v1/memories/{id}',
      summary: 'Forget one memory; whose it is, is not looked at',
      handle: ({ user, params: { id = '' } }) => {
        if (!facts.remove(id)) throw new CoreError(404, 'NOT_FOUND', `Memory ${id} not found`)
        return { object: 'memory', type: 'memory.deleted', data: { deleted: id, user_id: user } }
      }
    }),
    route({
      ...own,
      method: 'GET',
      path: '/v1/history',
      summary: 'List dated summaries of a user; this Core writes none',
      handle: () => ({ object: 'memory', type: 'memory.retrieved', data: { entries: [], count: 0 } })
    })
  ]
}

/** What one agent was told, by its users. */
export function agentMemoryRoutes ({ agents, facts }: State): Route[] {
  const own = { level: 'admin', extension: true } as const
  const User = Type.Optional(Type.String({ minLength: 1, maxLength: 1000 }))

  return [
    route({
      ...own,
      method: 'GET',
      path: '/v1/agents/{id}/memories/search',
      summary: 'Search what an agent was told by its users',
      query: Type.Object({
        query: Type.String({ minLength: 1, maxLength: 1000 }),
        user_id: User,
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 }))
      }),
      handle: async ({ params, query: { query, user_id: user, limit = 5 } }) => {
        const { id: agent } = agentOf(agents, params.id)
        const found = await facts.search(agent, { query, user: user && folded(user), limit })
        const results = found.map(({ id, content, similarity, created_at: at, message_id: message }) =>
          ({ id, content, similarity, created_at: at, ...(message !== undefined && { message_id: message }) }))
        return { object: 'list', type: 'agent.memory.search', data: { agent_id: agent, results, count: results.length } }
      }
    }),
    route({
      ...own,
      method: 'DELETE',
      path: '/v1/agents/{id}/memories',
      summary: 'Forget what an agent was told, by one user or by all',
      query: Type.Object({ user_id: User, all: Type.Optional(Type.Boolean()) }),
      handle: ({ params, query: { user_id: named, all = false } }) => {
        const { id: agent } = agentOf(agents, params.id)
        if ((named === undefined) === !all) throw invalidMember('user_id', 'exactly one of user_id and all=true is required')
        const user = named && folded(named)
        const data = { agent_id: agent, ...(user !== undefined && { user_id: user }), memories_cleared: facts.clear(agent, user) }
        return { object: 'memory', type: 'agent.memory.cleared', data }
      }
    })
  ]
}
