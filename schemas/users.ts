import { Type, type Static } from '@sinclair/typebox'
import { IfMatch, Pagination, Timestamp, UserId, limit, offset, sort } from './common.ts'
import type { Contract } from './contract.ts'

export const User = Type.Object({
  user_id: Type.String(),
  created_at: Type.Optional(Timestamp),
  last_seen_at: Type.Optional(Timestamp),
  message_count: Type.Optional(Type.Integer({ minimum: 0 })),
  has_context: Type.Optional(Type.Boolean({ description: 'Whether something is known of the user' }))
}, { title: 'User', description: 'An end user that the Core has met' })
export type User = Static<typeof User>

/** What is known of a user: free JSON, whose depth, size and names the handler checks. */
const Knowledge = Type.Record(Type.String(), Type.Unknown(), {
  description: 'Free JSON under names of your own; at most 10 levels and 64 KiB',
  examples: [{ name: 'Ada', location: { city: 'Oslo' } }]
})
const Input = Type.Object({ knowledge: { ...Knowledge, minProperties: 1, maxProperties: 1_000 } }, { additionalProperties: false })
const params = Type.Object({ user_id: UserId })
const names = (description: string, ...examples: string[]) => Type.Array(Type.String(), { description, examples: [examples] })
const tags = ['users']

export const userList = {
  operationId: 'user_list',
  summary: 'List the end users',
  description: 'Everybody who has chatted, or of whom something is known: their ids are the `user_id` of other operations.',
  tags,
  querystring: Type.Object({
    limit: limit(50),
    offset: offset(),
    search: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: 'How the user id begins' })),
    sort: sort('user_id', 'last_seen_at')
  }, { additionalProperties: false }),
  response: { 200: Type.Object({ users: Type.Array(User), pagination: Pagination }, { title: 'UserList' }) }
} satisfies Contract

export const userContextCreate = {
  operationId: 'user_context_create',
  summary: 'Add to what is known of a user',
  description: 'Names that are there already are a conflict: change those with user_context_update. The user need not exist yet.',
  tags,
  params,
  headers: IfMatch,
  body: Input,
  response: { 201: Type.Object({ status: Type.Literal('added'), user_id: Type.String(), fields_added: names('Top-level names', 'name', 'location') }, { title: 'UserContextAdded' }) }
} satisfies Contract

export const userContextGet = {
  operationId: 'user_context_get',
  summary: 'Read what is known of a user',
  description: 'What agents are told of the user, under names of your own; an empty object where nothing is.',
  tags,
  params,
  response: { 200: Type.Object({ user_id: Type.String(), knowledge: Knowledge, last_updated: Type.Optional(Timestamp) }, { title: 'UserContext' }) }
} satisfies Contract

export const userContextUpdate = {
  operationId: 'user_context_update',
  summary: 'Change what is known of a user',
  description: 'Objects are merged member by member, at every level; everything else is replaced, lists as a whole.',
  tags,
  params,
  headers: IfMatch,
  body: Input,
  response: { 200: Type.Object({ status: Type.Literal('updated'), user_id: Type.String(), fields_updated: names('Dotted paths', 'name', 'location.city') }, { title: 'UserContextUpdated' }) }
} satisfies Contract

export const userContextDelete = {
  operationId: 'user_context_delete',
  summary: 'Forget what is known of a user, or some of it',
  description: 'Without `fields` all of it. Names that are not there are passed over; the answer lists those that were.',
  tags,
  params,
  headers: IfMatch,
  querystring: Type.Object({
    fields: Type.Optional(Type.String({ maxLength: 4_096, pattern: '^[^,]+(?:,[^,]+)*$', description: 'Names or dotted paths, with commas between', examples: ['preferences,location.city'] }))
  }, { additionalProperties: false }),
  response: { 200: Type.Object({ status: Type.Literal('deleted'), user_id: Type.String(), fields_deleted: names('As they were named', 'preferences', 'location.city') }, { title: 'UserContextDeleted' }) }
} satisfies Contract
