import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { expect } from 'vitest'
import { as, test } from '../../app.ts'
import { documentsWith, operationsIn, resolved, validatorOf, type Document, type Media } from './document.ts'

const { openapi, openapiNext } = await documentsWith()
const streamOf = (document: Document, id: string): Media => resolved(operationsIn(document).get(id)!.responses['200']!.content!['text/event-stream']!, document)

/** The events of a stream as OpenAPI 3.2 sees them: fields without a type are text. */
function itemsIn (text: string): EventSourceMessage[] {
  const items: EventSourceMessage[] = []
  createParser({ onEvent: (event) => { items.push(JSON.parse(JSON.stringify(event)) as EventSourceMessage) } }).feed(text)
  return items
}

test.for([
  ['chat_stream', '/api/v1/chat/stream'], ['agent_chat_stream', '/api/v1/agents/analyst/chat/stream']
] as const)('the schema of the events of %s takes every event of real streams', async ([id, url], { app, core }) => {
  const valid = validatorOf(streamOf(openapiNext, id).itemSchema!)
  const stream = async (content: string) => itemsIn((await app.inject({ method: 'POST', url, headers: as('user'), payload: { content } })).body)
  const items = [...await stream('What is 6 times 7?'), ...await stream('[fake: tokens=8 cut_after=3]'), ...await stream('[fake: status=500]')]
  core.fail({ cutAfter: 2 })
  items.push(...await stream('[fake: tokens=5]'))

  expect(new Set(items.map(({ event }) => event))).toEqual(new Set(['message_start', 'content', 'tool_call_start', 'tool_call_end', 'message_end', 'error']))
  expect(items.some(({ data }) => data.includes('"replace":true'))).toBe(true)
  for (const item of items) expect.soft(valid(item), `${JSON.stringify(item)} ${JSON.stringify(valid.errors)}`).toBe(true)
})

test.for([
  ['an event of another name', { event: 'thinking', data: '{}' }],
  ['an event without a name', { data: '{"content":"a"}' }],
  ['an event without data', { event: 'content' }],
  ['data of another event', { event: 'message_end', data: '{"content":"a"}' }],
  ['data with a member too many', { event: 'content', data: '{"content":"a","agent":"b"}' }],
  ['data that are not text', { event: 'content', data: { content: 'a' } }],
  ['an error in another form', { event: 'error', data: '{"error":"failed"}' }]
] as const)('the schema of the events of a chat refuses %s', ([, item]) => {
  const valid = validatorOf(streamOf(openapiNext, 'chat_stream').itemSchema!)

  expect(valid({ event: 'content', data: '{"content":"a"}' })).toBe(true)
  expect(valid(item)).toBe(false)
})

test('the schema of the events of an MCP answer takes a real one', async ({ app }) => {
  const valid = validatorOf(streamOf(openapiNext, 'mcp_message_send').itemSchema!)
  const headers = { ...as('user'), host: 'localhost', accept: 'application/json, text/event-stream' }
  const items = itemsIn((await app.inject({ method: 'POST', url: '/mcp', headers, payload: { jsonrpc: '2.0', id: 1, method: 'tools/list' } })).body)

  expect(items).toHaveLength(1)
  expect(valid(items[0])).toBe(true)
  expect(valid({ event: 'progress', data: '{"jsonrpc":"2.0"}' })).toBe(false)
})

test.for(['chat_stream', 'agent_chat_stream', 'mcp_message_send', 'mcp_message_stream'])('both documents show the same stream of %s, as text and as events', (id) => {
  const text = streamOf(openapi, id)
  const items = streamOf(openapiNext, id)

  expect([text.schema?.type, text.itemSchema, items.schema, items.itemSchema?.type]).toEqual(['string', undefined, undefined, 'object'])
  expect(items.examples!.stream!.serializedValue).toBe(text.examples!.stream!.value)
  expect(itemsIn(String(text.examples!.stream!.value))).toEqual(items.examples!.stream!.dataValue)
})

test('the 3.1 document lists the events of a stream with what their data hold', () => {
  const { description } = streamOf(openapi, 'chat_stream').schema!

  for (const row of ['| `message_start` | first | `id`, `created_at`, `agent_id`?, `routing_confidence`? |', '| `content` | a piece of the answer | `content`, `replace`? |', '| `error` |']) {
    expect.soft(description).toContain(row)
  }
})
