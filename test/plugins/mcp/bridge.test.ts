import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as, test } from '../../app.ts'
import { messagesIn } from './speak.ts'

interface Told { id: unknown, result?: Record<string, unknown> & { tools?: { name: string, parameters: object, inputSchema: object }[] }, error?: { code: string, message: string, details?: object }, chunk?: { text: string, isDelta: boolean } }

async function send (app: FastifyInstance, payload: object | string, { level = 'admin', accept, query = '' }: { level?: 'user' | 'admin', accept?: string, query?: string } = {}) {
  const { statusCode, headers, body } = await app.inject({
    method: 'POST', url: `/api/v1/mcp/request${query}`, headers: { ...as(level), host: 'localhost', 'content-type': 'application/json', ...(accept !== undefined && { accept }) }, payload: typeof payload === 'string' ? payload : JSON.stringify(payload)
  })
  return { status: statusCode, headers, body, told: messagesIn(body) as unknown as Told[] }
}
const run = (name: string, params: object = {}, id: unknown = 'req_1') => ({ id, method: 'run_tool', params: { tool_name: name, tool_params: params } })

describe('the short form', () => {
  test('runs a tool and answers what the operation answers', async ({ app }) => {
    const { status, told } = await send(app, run('agent_get', { agent_id: 'greeter' }))

    expect(status).toBe(200)
    expect(told).toEqual([{ id: 'req_1', result: expect.objectContaining({ id: 'greeter', name: 'Greeter' }) }])
  })

  test('lists the tools that the caller may call, with parameters in both names', async ({ app }) => {
    const { told: [mine] } = await send(app, { id: 7, method: 'list_tools' }, { level: 'user' })
    const { told: [part] } = await send(app, { id: 7, method: 'list_tools', params: {} }, { query: '?tools=agent_*' })

    expect(mine!.id).toBe(7)
    expect(mine!.result!.tools!.map(({ name }) => name)).toContain('chat_send')
    expect(mine!.result!.tools!.map(({ name }) => name)).not.toContain('agent_list')
    expect(part!.result!.tools!.every(({ name, parameters, inputSchema }) => name.startsWith('agent_') && JSON.stringify(parameters) === JSON.stringify(inputSchema))).toBe(true)
  })

  test.for([
    ['agent_get', { agent_id: 'nobody' }, 'admin', 'not_found'], ['agent_get', {}, 'admin', 'bad_request'], ['agent_list', {}, 'user', 'forbidden'], ['agent_explode', {}, 'admin', 'not_found']
  ] as const)('tells of the failure of %s with %j by %s: %s', async ([name, params, level, code], { app }) => {
    const { status, told } = await send(app, run(name, params), { level })

    expect(status).toBe(200)
    expect(told).toEqual([{ id: 'req_1', error: expect.objectContaining({ code, message: expect.any(String), request_id: expect.any(String) }) }])
  })

  test.for([[{ method: 'run_tool' }], [{ id: {}, method: 'run_tool' }], [{ id: 1, method: 'run_tool', params: [] }]])('%j is refused with 400', async ([payload], { app }) => {
    const { status, told } = await send(app, payload!)

    expect(status).toBe(400)
    expect(told).toEqual([{ id: null, error: expect.objectContaining({ code: 'bad_request' }) }])
  })

  test('streams the answer of an agent in pieces, then the result', async ({ app }) => {
    const { headers, told } = await send(app, run('chat_send', { content: 'What is 6 times 7?' }), { level: 'user', accept: 'text/event-stream' })
    const pieces = told.slice(0, -1)

    expect(headers['content-type']).toBe('text/event-stream')
    expect(pieces.length).toBeGreaterThan(1)
    expect(pieces.every(({ id, chunk }) => id === 'req_1' && chunk!.isDelta)).toBe(true)
    expect(pieces.map(({ chunk }) => chunk!.text).join('')).toBe('6 * 7 = 42.')
    expect(told.at(-1)).toMatchObject({ id: 'req_1', result: { agent_id: 'analyst', agent_response: { content: '6 * 7 = 42.' } } })
  })

  test('tells of a failure at the end of a stream, too', async ({ app }) => {
    const { told } = await send(app, run('agent_chat_send', { agent_id: 'nobody', content: 'Hello' }), { level: 'user', accept: 'text/event-stream' })

    expect(told).toEqual([{ id: 'req_1', error: expect.objectContaining({ code: 'not_found' }) }])
  })

  test('ends the chat at the Core when its caller leaves', async ({ url, core }) => {
    const leaving = new AbortController()
    const res = await fetch(`${url}/api/v1/mcp/request`, {
      method: 'POST', headers: { ...as('user'), 'content-type': 'application/json', accept: 'text/event-stream' }, body: JSON.stringify(run('chat_send', { content: 'Count [fake: hang_ms=60000]' })), signal: leaving.signal
    })
    await expect.poll(() => [...core.requests.values()].map(({ status }) => status)).toEqual(['processing'])
    leaving.abort()

    await expect.poll(() => [...core.requests.values()].map(({ status }) => status)).toEqual(['cancelled'])
    await expect(res.text()).rejects.toThrow()
  })
})

describe('JSON-RPC', () => {
  test('is answered in the body, for who accepts no stream', async ({ app }) => {
    const list = await send(app, { jsonrpc: '2.0', id: 2, method: 'tools/list' }, { level: 'user', accept: 'application/json' })
    const called = await send(app, { jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: 'agent_get', arguments: { agent_id: 'greeter' } } })

    expect(list.headers['content-type']).toMatch(/^application\/json/)
    expect(list.told).toMatchObject([{ jsonrpc: '2.0', id: 2, result: { tools: expect.any(Array) } }])
    expect(called.told).toMatchObject([{ id: 3, result: { structuredContent: { id: 'greeter' } } }])
  })

  test('is refused with its codes', async ({ app }) => {
    expect(await send(app, { jsonrpc: '2.0', id: 2, method: 'tools/explode' })).toMatchObject({ told: [{ error: { code: -32_601 } }] })
    expect(await send(app, '{')).toMatchObject({ status: 400, told: [{ id: null, error: { code: -32_700 } }] })
    expect((await send(app, { id: 1, method: 'explode' })).status).toBe(400)
  })
})

test('a session that is unknown is 404', async ({ app }) => {
  expect(await send(app, { jsonrpc: '2.0', id: 2, method: 'tools/list' }, { query: '?session_id=mcs_unknown' })).toMatchObject({ status: 404, told: [{ error: { code: -32_001 } }] })
})

test('a page of a foreign origin is refused', async ({ app }) => {
  const { statusCode } = await app.inject({ method: 'POST', url: '/api/v1/mcp/request', headers: { ...as('user'), host: 'localhost', origin: 'https://evil.example' }, payload: run('health_get') })

  expect(statusCode).toBe(403)
})
