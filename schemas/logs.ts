import { Type, type Static } from '@sinclair/typebox'
import { Timestamp, TicketQuery, oneOf, withDefault } from './common.ts'
import type { Contract } from './contract.ts'
import { endEvent, eventStream, gapEvent } from './event-stream.ts'

/** From the least to the most severe. */
export const levels = ['debug', 'info', 'warn', 'error'] as const
export type Level = (typeof levels)[number]

export const TraceId = Type.String({ pattern: '^[0-9a-f]{32}$', maxLength: 32, description: 'W3C Trace Context: 32 hex digits', examples: ['4bf92f3577b34da6a3ce929d0e0e4736'] })
export const SpanId = Type.String({ pattern: '^[0-9a-f]{16}$', maxLength: 16, description: 'W3C Trace Context: 16 hex digits', examples: ['00f067aa0ba902b7'] })

export const LogEvent = Type.Object({
  timestamp: Timestamp,
  level: oneOf(levels),
  message: Type.String({ examples: ['request'] }),
  service: Type.String({ description: '`muxi-api`, `muxi-core`, or the `service.name` of who sent it', examples: ['muxi-api'] }),
  traceId: Type.Optional(TraceId),
  spanId: Type.Optional(SpanId),
  requestId: Type.Optional(Type.String({ examples: ['req_8Zk2mT0qPx4Lw7Ra'] })),
  operationId: Type.Optional(Type.String({ examples: ['agent_list'] })),
  statusCode: Type.Optional(Type.Integer({ examples: [200] })),
  durationMs: Type.Optional(Type.Number({ examples: [3.2] })),
  error: Type.Optional(Type.Unknown({ description: 'The code of a failure, or what the sender says of it' }))
}, { title: 'LogEvent', description: 'One line of a log', additionalProperties: true })
export type LogEvent = Static<typeof LogEvent>

const words = (description: string, example: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 256, description, examples: [example] }))

/** What both streams take: a filter, and where to begin. */
export const streamQuery = Type.Object({
  level: Type.Optional(oneOf(levels, { description: 'The least severity. Of traces `error` means those that failed, all others mean all' })),
  service: words('Only what this service said', 'muxi-api'),
  traceId: Type.Optional(Type.String({ pattern: '^[0-9a-fA-F]{8,32}$', minLength: 8, maxLength: 32, description: 'Only this trace', examples: TraceId.examples as string[] })),
  spanId: Type.Optional(Type.String({ pattern: '^[0-9a-fA-F]{16}$', minLength: 16, maxLength: 16, description: 'Only this span', examples: SpanId.examples as string[] })),
  component: words('Only this component', 'core'),
  operation: words('Only this operation', 'tool_call'),
  from: Type.Optional({ ...Timestamp, maxLength: 40, description: 'Only what happened after this time; what is kept of it comes first' }),
  limit: withDefault(Type.Integer({ minimum: 1, maximum: 1_000, description: 'Events written at once at most' }), 100),
  lastEventId: Type.Optional(Type.String({ maxLength: 512, description: 'As the header `Last-Event-ID`, for who cannot set one' })),
  ...TicketQuery.properties
}, { additionalProperties: false })
export type StreamQuery = Static<typeof streamQuery>

const about = 'Begins with what comes from now on; with `Last-Event-ID` after that event, with `from` after that time. Ids are opaque, and hold at every instance. ' +
  'What cannot be delivered is told by a `gap`, never left out in silence. A client may read 100 events a second, and fall 1000 behind.'

export const logStream = {
  operationId: 'log_stream',
  summary: 'Follow the log',
  description: `The lines of this server, of the MUXI Core where its file is followed, and of whoever sends logs here. ${about}`,
  tags: ['logs'],
  querystring: streamQuery,
  response: {
    200: eventStream('LogStreamEvent', 'The log, as it grows', { log: LogEvent, gap: gapEvent, end: endEvent }, [
      { event: 'log', id: 'kq3xT0aPz1Lk.17.b3f0', data: { timestamp: '2026-03-02T09:30:45.120Z', level: 'info', message: 'request', service: 'muxi-api', traceId: '4bf92f3577b34da6a3ce929d0e0e4736', operationId: 'agent_list', statusCode: 200, durationMs: 3.2 } },
      { event: 'end', data: { reason: 'shutdown' } }
    ])
  },
  failures: ['rate_limited', 'state_unavailable']
} satisfies Contract
