import { expect } from 'vitest'
import { test } from '../../app.ts'
import { messageOf, messagesIn } from './speak.ts'

const slow = messageOf('tools/call', { name: 'chat_send', arguments: { content: 'Count [fake: tokens=3 hang_ms=1500]' } }, { level: 'user' })
const { method, payload } = slow

test('a slow call is answered over a stream that is kept open', async ({ url }) => {
  const res = await fetch(`${url}/mcp`, { method, headers: slow.headers, body: payload })
  const text = await res.text()

  expect(res.headers.get('content-type')).toBe('text/event-stream')
  expect(text).toMatch(/^: keepalive\n\n/)
  expect(messagesIn(text)).toMatchObject([{ jsonrpc: '2.0', id: 1, result: { structuredContent: { agent_response: { role: 'assistant' } } } }])
})

test('a quick one is answered with JSON', async ({ url }) => {
  const quick = messageOf('tools/call', { name: 'chat_send', arguments: { content: 'Hello' } }, { level: 'user' })
  const res = await fetch(`${url}/mcp`, { method, headers: quick.headers, body: quick.payload })

  expect(res.headers.get('content-type')).toMatch(/^application\/json/)
  expect(await res.json()).toMatchObject({ id: 1, result: { structuredContent: {} } })
})

test('who leaves in the midst of it cancels the chat at the Core', async ({ url, core }) => {
  const leaving = new AbortController()
  const endless = messageOf('tools/call', { name: 'chat_send', arguments: { content: 'Count [fake: hang_ms=60000]' } }, { level: 'user' })
  const res = await fetch(`${url}/mcp`, { method, headers: endless.headers, body: endless.payload, signal: leaving.signal })
  expect([...core.requests.values()].map(({ status }) => status)).toEqual(['processing'])
  leaving.abort()

  await expect.poll(() => [...core.requests.values()].map(({ status }) => status)).toEqual(['cancelled'])
  await expect(res.text()).rejects.toThrow()
})

test('who takes no stream waits for the JSON', async ({ url }) => {
  const res = await fetch(`${url}/api/v1/mcp/request`, { method, headers: { ...slow.headers, accept: 'application/json' }, body: payload })

  expect(res.headers.get('content-type')).toMatch(/^application\/json/)
  expect(await res.json()).toMatchObject({ id: 1, result: { structuredContent: {} } })
})
