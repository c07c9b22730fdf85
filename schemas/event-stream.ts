import { Type, type TSchema } from '@sinclair/typebox'
import { oneOf } from './common.ts'
import type { Media } from './contract.ts'

/** What could not be delivered, on every stream that fans out. The event's own id stands behind the gap. */
export const gapEvent = Type.Object({
  reason: oneOf(['epoch', 'trimmed', 'slow', 'rate', 'invalid_id'], {
    description: 'epoch: the history was lost or set back, what it held since then is unknown; trimmed: what was asked for is kept no more; slow: the client did not read; rate: it may read no faster; ' +
      'invalid_id: the `Last-Event-ID` is none of this stream, what follows is from now on'
  }),
  from: Type.Optional(Type.String({ description: 'The last event before the gap, where it is known', examples: ['kq3xT0aPz1Lk.17.b3f0'] })),
  to: Type.Optional(Type.String({ description: 'The last event in the gap, where it is known', examples: ['kq3xT0aPz1Lk.54.77aa'] })),
  count: Type.Optional(Type.Integer({ minimum: 0, description: 'Events left out, where it is known', examples: [37] }))
}, { title: 'Gap', description: 'events were left out' })

/** Why we end a stream. `retry` before it says when to come back. */
export const endEvent = Type.Object({
  reason: oneOf(['shutdown', 'lifetime', 'closed', 'unauthorized', 'forbidden', 'core_unavailable'], {
    description: 'shutdown: this instance stops, another takes over; lifetime: it was open for long enough; closed: an admin ended it; unauthorized, forbidden: the key is good for it no more; core_unavailable: the key could not be checked'
  })
}, { title: 'End', description: 'this server ends the stream' })

/** An event of an example; its data are encoded here. */
interface Example { event: string, id?: string, data: unknown }

/**
 * Declares a `text/event-stream` answer by the data of its events: once, for both renderings of the document.
 * `schema` and the text are for those that know the stream as a string, `itemSchema` and the events for those that know its items.
 */
export function eventStream (title: string, description: string, events: Record<string, TSchema>, example: Example[]): Media {
  const encoded = example.map(({ data, ...event }) => ({ ...event, data: JSON.stringify(data) }))
  const text = encoded.map(({ id, event, data }) => `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`).join('')
  return {
    description,
    content: {
      'text/event-stream': {
        schema: Type.String({ description: tableOf(events) }),
        itemSchema: itemOf(title, events),
        examples: { stream: { summary: 'A whole stream', value: `retry: 3000\n\n${text}`, dataValue: encoded } }
      }
    }
  }
}

function tableOf (events: Record<string, TSchema>): string {
  const rows = Object.entries(events).map(([name, { description = '', properties = {}, required = [] }]) => {
    const members = Object.keys(properties as object).map((member) => `\`${member}\`${(required as string[]).includes(member) ? '' : '?'}`)
    return `| \`${name}\` | ${String(description)} | ${members.join(', ')} |`
  })
  return [
    'Server-sent events. The data of each is one JSON object. Comments keep a silent stream open; `retry` says how many ms to wait before coming back.',
    '',
    '| event | when | data |',
    '| --- | --- | --- |',
    ...rows
  ].join('\n')
}

/** One event as a parser hands it on (OpenAPI 3.2, Special Considerations for Server-Sent Events): the data are still text. */
function itemOf (title: string, events: Record<string, TSchema>): TSchema {
  const kinds = Object.entries(events).map(([name, contentSchema]) => ({
    required: ['event', 'data'],
    properties: { event: { const: name }, data: { contentMediaType: 'application/json', contentSchema } }
  }))
  return Type.Unsafe({
    title,
    type: 'object',
    description: 'One event; comments, and what only sets `retry`, are none',
    properties: {
      event: { type: 'string', description: 'The name; it decides what the data are' },
      data: { type: 'string', description: 'One JSON object, as text' },
      id: { type: 'string', description: 'Send the last one as `Last-Event-ID` to resume the stream, where it can be' },
      retry: { type: 'integer', minimum: 0, description: 'Ms to wait before coming back' }
    },
    ...(kinds.length === 1 ? { allOf: kinds } : { oneOf: kinds })
  })
}
