import { Type, type Static } from '@sinclair/typebox'
import { Timestamp, before, limit, oneOf, older, withDefault } from './common.ts'
import type { Contract } from './contract.ts'
import { endEvent, eventStream, gapEvent } from './event-stream.ts'
import { SpanId, TraceId, streamQuery } from './logs.ts'

export const TraceEvent = Type.Object({
  timestamp: { ...Timestamp, description: 'When it began' },
  traceId: TraceId,
  spanId: SpanId,
  name: Type.String({ description: '`<component>.<operation>`, or as the sender has it', examples: ['core.call'] }),
  duration: Type.Number({ minimum: 0, description: 'In ms', examples: [45] }),
  status: oneOf(['ok', 'error']),
  parentSpanId: Type.Optional(SpanId),
  service: Type.Optional(Type.String({ description: '`muxi-api`, `muxi-core`, or the `service.name` of who sent it', examples: ['muxi-api'] })),
  component: Type.Optional(Type.String({ description: 'Who did it', examples: ['core'] })),
  operation: Type.Optional(Type.String({ description: 'What it did', examples: ['call'] })),
  message: Type.Optional(Type.String({ examples: ['GET /agents'] })),
  userId: Type.Optional(Type.String({ examples: ['u42'] })),
  agentId: Type.Optional(Type.String({ examples: ['weather_expert'] })),
  data: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Facts about it', examples: [{ statusCode: 200 }] }))
}, { title: 'TraceEvent', description: 'One span of a trace', additionalProperties: true })
export type TraceEvent = Static<typeof TraceEvent>

export const KeptTraceEvent = Type.Object({ id: Type.String({ description: 'As in the stream', examples: ['kq3xT0aPz1Lk.18.9c1d'] }), ...TraceEvent.properties }, { title: 'KeptTraceEvent', description: 'One span of a trace, with its id', additionalProperties: true })
export type KeptTraceEvent = Static<typeof KeptTraceEvent>

export const traceStream = {
  operationId: 'trace_stream',
  summary: 'Follow the traces',
  description: 'Spans as they end: of every request on every protocol, of calls of the MUXI Core, and of whoever sends traces here. Otherwise as `log_stream`.',
  tags: ['traces'],
  querystring: streamQuery,
  response: {
    200: eventStream('TraceStreamEvent', 'Spans, as they end', { trace: TraceEvent, gap: gapEvent, end: endEvent }, [
      { event: 'trace', id: 'kq3xT0aPz1Lk.18.9c1d', data: { timestamp: '2026-03-02T09:30:45.120Z', traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', name: 'core.call', duration: 45, status: 'ok', service: 'muxi-api', component: 'core', operation: 'call' } },
      { event: 'end', data: { reason: 'shutdown' } }
    ])
  },
  failures: ['rate_limited', 'state_unavailable']
} satisfies Contract

const word = (description: string, example: string) => Type.String({ minLength: 1, maxLength: 256, description, examples: [example] })
const traceIdIn = Type.String({ pattern: '^[0-9a-fA-F]{8,32}$', minLength: 8, maxLength: 32, description: 'The id, or its first 8 digits or more', examples: TraceId.examples as string[] })
const spanIdIn = Type.String({ pattern: '^[0-9a-fA-F]{16}$', minLength: 16, maxLength: 16, examples: SpanId.examples as string[] })
const moment = { ...Timestamp, maxLength: 40 }
const order = withDefault(oneOf(['-timestamp', 'timestamp', '-duration'], { description: 'A leading - sorts downwards' }), '-timestamp')

const listQuery = Type.Object({
  traceId: Type.Optional(traceIdIn),
  spanId: Type.Optional(spanIdIn),
  service: Type.Optional(word('Who said it', 'muxi-api')),
  component: Type.Optional(word('Who did it', 'core')),
  operation: Type.Optional(word('What it did', 'call')),
  userId: Type.Optional(word('The end user', 'u42')),
  agentId: Type.Optional(word('The agent', 'weather_expert')),
  status: Type.Optional(oneOf(['ok', 'error'])),
  from: Type.Optional({ ...moment, description: 'Only what began at this time or later' }),
  to: Type.Optional({ ...moment, description: 'Only what began before this time' }),
  limit: limit(20),
  before: before(),
  sort: order
}, { additionalProperties: false })
export type TraceListQuery = Static<typeof listQuery>

export const traceList = {
  operationId: 'trace_list',
  summary: 'List spans',
  description: 'Steps of calls, newest first, of those that are kept (`api.events_history`, 10,000 and a day by default). trace_get has one call as a whole, trace_search finds words. `before` goes on behind that span in whatever order is asked for.',
  tags: ['traces'],
  querystring: listQuery,
  response: { 200: Type.Object({ events: Type.Array(KeptTraceEvent), ...older }, { title: 'TraceList' }) },
  failures: ['state_unavailable']
} satisfies Contract

const anyOf = (item: ReturnType<typeof word>, description: string) => Type.Optional(Type.Array(item, { maxItems: 50, description }))

const searchBody = Type.Object({
  query: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'Text that `message`, `name` or `data` contain, whatever its case', examples: ['climate'] })),
  from: Type.Optional(moment),
  to: Type.Optional(moment),
  filters: Type.Optional(Type.Object({
    traceId: anyOf(traceIdIn, 'One of these traces'),
    component: anyOf(word('Who did it', 'core'), 'One of these components'),
    operation: anyOf(word('What it did', 'call'), 'One of these operations'),
    service: anyOf(word('Who said it', 'muxi-api'), 'One of these services'),
    userId: anyOf(word('The end user', 'u42'), 'One of these users'),
    agentId: anyOf(word('The agent', 'weather_expert'), 'One of these agents'),
    status: Type.Optional(Type.Array(oneOf(['ok', 'error']), { maxItems: 2 }))
  }, { additionalProperties: false, description: 'All of them must hold; of each list one' })),
  duration: Type.Optional(Type.Object({
    min: Type.Optional(Type.Number({ minimum: 0, maximum: 1e12, description: 'In ms' })),
    max: Type.Optional(Type.Number({ minimum: 0, maximum: 1e12, description: 'In ms' }))
  }, { additionalProperties: false, description: 'How long it took' })),
  sort: order,
  limit: withDefault(Type.Integer({ minimum: 1, maximum: 100, description: 'Results at most' }), 50),
  cursor: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 512 }), Type.Null()], { description: '`next_cursor` of the page before' }))
}, {
  additionalProperties: false,
  anyOf: [{ required: ['query'] }, { required: ['filters'] }, { required: ['from'] }],
  description: 'One of `query`, `filters`, `from` at least',
  examples: [{ query: 'climate', limit: 50 }]
})
export type TraceSearchBody = Static<typeof searchBody>

export const TraceSearchResult = Type.Object({
  results: Type.Array(KeptTraceEvent),
  total: Type.Integer({ minimum: 0, description: 'That fit, on all pages', examples: [12] }),
  has_more: Type.Boolean({ examples: [false] }),
  next_cursor: Type.Union([Type.String(), Type.Null()], { description: 'Send it as `cursor`, with the same search, for the next page; null at the end', examples: [null] }),
  took_ms: Type.Number({ minimum: 0, examples: [4] })
}, { title: 'TraceSearchResult' })
export type TraceSearchResult = Static<typeof TraceSearchResult>

export const traceSearch = {
  operationId: 'trace_search',
  summary: 'Search spans',
  description: 'By text, time, facts and duration, among those that are kept. Those that fit come back; trace_get has the whole call of each.',
  tags: ['traces'],
  isRead: true,
  body: searchBody,
  response: { 200: TraceSearchResult },
  failures: ['state_unavailable']
} satisfies Contract

export const Trace = Type.Object({
  traceId: TraceId,
  started: Timestamp,
  duration: Type.Number({ minimum: 0, description: 'From the first beginning to the last end, in ms', examples: [2_022] }),
  status: oneOf(['ok', 'error'], { description: 'error when one of its spans failed' }),
  events: Type.Array(Type.Object({ ...KeptTraceEvent.properties, depth: Type.Integer({ minimum: 0, description: 'Spans above it that are kept', examples: [1] }) }, { title: 'SpanOfTrace', additionalProperties: true })),
  left_out: Type.Integer({ minimum: 0, description: 'Spans that are kept and not in this answer, which has the newest 10,000', examples: [0] })
}, { title: 'Trace', description: 'What happened under one trace id' })
export type Trace = Static<typeof Trace>

export const traceGet = {
  operationId: 'trace_get',
  summary: 'Read one trace',
  description: 'Every span of it that is kept, oldest first; `parentSpanId` and `depth` make the tree.',
  tags: ['traces'],
  params: Type.Object({ trace_id: traceIdIn }),
  response: { 200: Trace },
  failures: ['state_unavailable']
} satisfies Contract
