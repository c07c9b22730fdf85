import { Type, type Static } from '@sinclair/typebox'
import { Timestamp, limit, oneOf } from './common.ts'
import type { Contract } from './contract.ts'

/** What streams carry. */
export const kinds = ['log_stream', 'trace_stream', 'chat_stream', 'mcp', 'rtc_stream', 'socket'] as const
export type Kind = typeof kinds[number]

export const Connection = Type.Object({
  id: Type.String({ description: 'Of this connection, at whatever instance', examples: ['con_h3k9x0q2vm4f1a9c'] }),
  kind: oneOf(kinds, { description: 'What it carries' }),
  instance: Type.String({ description: 'Which instance holds it', examples: ['9f1c2d3e'] }),
  key: Type.String({ description: 'The beginning of the digest of its key: the same key has the same one', examples: ['Qm3xT0aPz1Lk'] }),
  address: Type.String({ description: 'Where it came from', examples: ['203.0.113.7'] }),
  since: Timestamp,
  filter: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'What it asked for', examples: [{ level: 'warn' }] })),
  cursor: Type.Optional(Type.String({ description: 'The last event that was written', examples: ['kq3xT0aPz1Lk.18.9c1d'] })),
  lag: Type.Optional(Type.Integer({ minimum: 0, description: 'Events that it is behind', examples: [0] })),
  events: Type.Integer({ minimum: 0, description: 'Events written to it', examples: [120] }),
  bytes: Type.Integer({ minimum: 0, description: 'Bytes written to it', examples: [48_120] })
}, { title: 'Connection', description: 'A stream that is open' })
export type Connection = Static<typeof Connection>

const listQuery = Type.Object({
  limit: limit(100, 1_000),
  kind: Type.Optional(Connection.properties.kind),
  key: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'The beginning of a key\'s digest, as a connection shows it' })),
  after: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'Only those after this id: `next_after` of the page before' }))
}, { additionalProperties: false })
export type ConnectionListQuery = Static<typeof listQuery>

export const ConnectionList = Type.Object({
  connections: Type.Array(Connection),
  total: Type.Integer({ minimum: 0, description: 'That fit, on all pages', examples: [1] }),
  next_after: Type.Union([Type.String(), Type.Null()], { description: 'null at the end', examples: [null] }),
  silent: Type.Array(Type.String({ examples: ['9f1c2d3e'] }), { description: 'Instances that did not answer' })
}, { title: 'ConnectionList' })
export type ConnectionList = Static<typeof ConnectionList>

export const connectionList = {
  operationId: 'connection_list',
  summary: 'List open streams',
  description: 'Of all instances, the oldest first: who holds them, since when, how far they are. connection_close takes their id. An instance that does not answer within half a second is named in `silent`.',
  tags: ['system'],
  querystring: listQuery,
  response: { 200: ConnectionList },
  failures: ['state_unavailable']
} satisfies Contract

export const connectionClose = {
  operationId: 'connection_close',
  summary: 'Close an open stream',
  description: 'At whatever instance it is. The client of a log or trace stream is told `closed`, and to come back no sooner than in half a minute; a chat ends with `error` `forbidden`.',
  tags: ['system'],
  params: Type.Object({ connection_id: Type.String({ pattern: '^con_[A-Za-z0-9_-]{1,60}$', maxLength: 64, description: 'As `connection_list` shows it', examples: ['con_h3k9x0q2vm4f1a9c'] }) }),
  response: { 200: Type.Object({ status: Type.Literal('closed') }, { title: 'ConnectionClosed' }) },
  failures: ['state_unavailable']
} satisfies Contract
