import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { CoreUser } from '../core/types.ts'
import { toTimestamp } from '../schemas/common.ts'
import { userContextCreate, userContextDelete, userContextGet, userContextUpdate, userList, type User } from '../schemas/users.ts'

const context = '/api/v1/users/:user_id/context'

const users: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/users', { schema: userList, config: { access: 'admin', capability: 'users.list' } }, async ({ core, caller, query }, reply) => {
    const { users: all = [] } = await core.get<{ users?: CoreUser[] }>('/users')
    const { search = '' } = query
    // A bound key sees its own user alone, as everywhere.
    const found = all.filter(({ user_id: id }) => id.startsWith(search) && (caller.sub === undefined || id === caller.sub)).map(fromCore)
    const { items: users, pagination } = reply.page(found, query)
    return { users, pagination }
  })

  app.post(context, { schema: userContextCreate, config: { access: 'admin', prefers: 'contexts.create' } }, async (request, reply) => {
    const { core, body: { knowledge } } = request
    const user = request.userId(request.params.user_id)
    const fields = await request.ifUnchanged(async (version) => await core.contexts.add(user, knowledge, version))
    return await reply.code(201).send({ status: 'added' as const, user_id: user, fields_added: fields })
  })

  app.get(context, { schema: userContextGet, config: { access: 'admin', prefers: 'contexts.read', cacheable: true } }, async (request, reply) => {
    const user = request.userId(request.params.user_id)
    const { knowledge, updatedAt, version } = await request.core.contexts.get(user)
    reply.version = version
    return { user_id: user, knowledge, last_updated: toTimestamp(updatedAt) }
  })

  app.patch(context, { schema: userContextUpdate, config: { access: 'admin', prefers: 'contexts.update' } }, async (request) => {
    const { core, body: { knowledge } } = request
    const user = request.userId(request.params.user_id)
    const fields = await request.ifUnchanged(async (version) => await core.contexts.merge(user, knowledge, version))
    return { status: 'updated' as const, user_id: user, fields_updated: fields }
  })

  app.delete(context, { schema: userContextDelete, config: { access: 'admin', prefers: 'contexts.delete' } }, async (request) => {
    const { core, query: { fields: named } } = request
    const user = request.userId(request.params.user_id)
    const fields = await request.ifUnchanged(async (version) => await core.contexts.remove(user, named?.split(','), version))
    return { status: 'deleted' as const, user_id: user, fields_deleted: fields }
  })
}

function fromCore ({ created_at: created, last_seen_at: seen, ...user }: CoreUser): User {
  return { ...user, created_at: toTimestamp(created), last_seen_at: toTimestamp(seen) }
}

export default users
