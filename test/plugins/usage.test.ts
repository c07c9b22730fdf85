import { expect } from 'vitest'
import { as, test } from '../app.ts'

interface Usage { endpoints: Record<string, number>, agent_usage: Record<string, number>, user_count: number, total_requests: number }

test('usage counts calls by endpoint, answers by agent, and the users who were answered', async ({ app }) => {
  for (const user_id of ['a', 'b', 'a']) await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: { content: 'What is 2 plus 2?', user_id } })
  await app.inject({ url: '/api/v1/agents/greeter', headers: as('admin') })
  await app.inject('/health')
  const res = await app.inject({ url: '/api/v1/system/usage?period=last_1h', headers: as('admin') })

  expect(res.json<Usage>()).toEqual({
    period: 'last_1h',
    endpoints: { 'POST /chat': 3, 'GET /agents/{agent_id}': 1, 'GET /system/usage': 1 },
    agent_usage: { analyst: 3 },
    user_count: 2,
    total_requests: 5
  })
})

test('a tool call counts as the operation that it calls', async ({ app }) => {
  await app.inject({ method: 'POST', url: '/mcp', headers: { ...as('admin'), host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'agent_list', arguments: {} } } })
  const res = await app.inject({ url: '/api/v1/system/usage', headers: as('admin') })

  expect(res.json<Usage>().endpoints).toMatchObject({ 'GET /agents': 1, 'POST /mcp': 1 })
})

test('an unknown period is refused', async ({ app }) => {
  const res = await app.inject({ url: '/api/v1/system/usage?period=ever', headers: as('admin') })

  expect(res.statusCode).toBe(400)
})
