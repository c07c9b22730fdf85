import { Type } from '@sinclair/typebox'
import { invalidMember } from './body.ts'
import type { Context } from './contexts.ts'
import { CoreError } from './envelope.ts'
import { route, type Route } from './router.ts'
import type { State } from './state.ts'
import { folded, type KnownUser } from './users.ts'

const Knowledge = Type.Object({ knowledge: Type.Record(Type.String(), Type.Unknown()) })

/** The list of users, and what is known of each as one document. */
export function contextRoutes ({ users, contexts }: State): Route[] {
  const own = { level: 'admin', extension: true } as const
  const known = ({ id = '' }: Record<string, string>): KnownUser => {
    const user = users.byIdentifier.get(folded(id))
    if (!user) throw new CoreError(404, 'RESOURCE_NOT_FOUND', 'User not found')
    return user
  }
  const answer = (user: string, type: string, { knowledge, ...changed }: Context & Record<string, unknown>) =>
    ({ object: 'user_context', type: `user.context.${type}`, data: { user_id: user, ...changed } })

  return [
    route({
      ...own,
      method: 'GET',
      path: '/v1/users',
      summary: 'List the users that have chatted, were resolved or have a context',
      handle: () => {
        const list = [...users.byIdentifier.values()].map(({ identifier, created_at: created, last_seen_at: seen, message_count: count }) =>
          ({ user_id: identifier, created_at: created, last_seen_at: seen, message_count: count, has_context: contexts.has(identifier) }))
        return { object: 'list', type: 'user.list', data: { users: list, count: list.length } }
      }
    }),
    route({
      ...own,
      method: 'GET',
      path: '/v1/users/{id}/context',
      summary: 'Read what is known of a user',
      handle: ({ params }) => {
        const { identifier, created_at: created } = known(params)
        const { knowledge, ...rest } = contexts.byUser.get(identifier) ?? { knowledge: {}, last_updated: created, version: 0 }
        return { object: 'user_context', type: 'user.context.retrieved', data: { user_id: identifier, knowledge, ...rest } }
      }
    }),
    route({
      ...own,
      method: 'POST',
      path: '/v1/users/{id}/context',
      summary: 'Add members to what is known of a user, who is created when unknown',
      body: Knowledge,
      handle: ({ params: { id = '' }, body: { knowledge }, headers }) => {
        const user = folded(id)
        const added = contexts.add({ user, ifMatch: headers['if-match'] }, knowledge)
        users.resolve(user)
        return { ...answer(user, 'created', { ...added }), status: 201 }
      }
    }),
    route({
      ...own,
      method: 'PATCH',
      path: '/v1/users/{id}/context',
      summary: 'Change what is known of a user; objects merge deeply',
      body: Knowledge,
      handle: ({ params, body: { knowledge }, headers }) => {
        const { identifier: user } = known(params)
        return answer(user, 'updated', { ...contexts.merge({ user, ifMatch: headers['if-match'] }, knowledge) })
      }
    }),
    route({
      ...own,
      method: 'DELETE',
      path: '/v1/users/{id}/context',
      summary: 'Forget what is known of a user, or the named members of it',
      query: Type.Object({ fields: Type.Optional(Type.String({ maxLength: 8000 })) }),
      handle: ({ params, query: { fields }, headers }) => {
        const { identifier: user } = known(params)
        const named = fields?.split(',').map((field) => field.trim())
        if (named?.includes('')) throw invalidMember('fields', 'the names are separated by single commas')
        return answer(user, 'deleted', { ...contexts.remove({ user, ifMatch: headers['if-match'] }, named) })
      }
    })
  ]
}
