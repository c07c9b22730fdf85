import { Ajv } from 'ajv'
import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import type { Media } from '../../schemas/contract.ts'
import { as, test } from '../app.ts'

const envelope = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' }
}
interface Reply { jsonrpc: string, id: unknown, result?: Record<string, unknown> & { tools?: { name: string }[] }, error?: { code: number, data?: unknown } }
interface Call { level?: 'user' | 'admin', headers?: Record<string, string>, id?: unknown }

/** A request of revision 2026-07-28, with the headers that must agree with it. */
async function modern (app: FastifyInstance, method: string, params: Record<string, unknown> = {}, { level = 'admin', headers = {}, id = 1 }: Call = {}) {
  const res = await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: {
      ...as(level), host: 'localhost', accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...(typeof params.name === 'string' && { 'mcp-name': params.name }), ...headers
    },
    payload: { jsonrpc: '2.0', id, method, params: { _meta: envelope, ...params } }
  })
  return { status: res.statusCode, headers: res.headers, ...JSON.parse(res.body.replace(/^(?:event: message\n|id: .*\n|:.*\n|\n)*data: /, '')) as Reply }
}

/** A request of the 2025 revisions, stateless. */
async function legacy (app: FastifyInstance, method: string, params: Record<string, unknown> = {}, level: 'user' | 'admin' = 'admin') {
  const res = await app.inject({
    method: 'POST', url: '/mcp', headers: { ...as(level), host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method, params }
  })
  return { status: res.statusCode, ...JSON.parse(res.body.replace(/^event: message\ndata: /, '')) as Reply }
}

const userTools = ['agent_chat_send', 'chat_send', 'conversation_list', 'health_get', 'health_ready_get', 'rtc_answer_send', 'rtc_candidate_send', 'rtc_data_send', 'rtc_offer_send', 'rtc_participant_create', 'rtc_participant_delete', 'rtc_session_create', 'rtc_session_delete', 'rtc_session_get', 'rtc_state_send', 'stream_ticket_create', 'user_token_create']

test('tools/list shows what the caller may call, in a stable order, in both eras', async ({ app }) => {
  const user = await modern(app, 'tools/list', {}, { level: 'user' })
  const admin = await modern(app, 'tools/list')
  const old = await legacy(app, 'tools/list', {}, 'user')
  const again = await modern(app, 'tools/list')

  expect(user.result!.tools!.map(({ name }) => name).sort()).toEqual(userTools)
  expect(admin.result!.tools!.map(({ name }) => name)).toEqual(expect.arrayContaining([...userTools, 'agent_create', 'agent_list']))
  expect(old.result!.tools).toEqual(user.result!.tools)
  expect(again.result).toEqual(admin.result)
  expect(admin.result).toMatchObject({ resultType: 'complete', cacheScope: 'private', ttlMs: expect.any(Number) })
})

test('tools/call goes the way of a request and answers structure and text', async ({ app, lines, core }) => {
  const { result, headers } = await modern(app, 'tools/call', { name: 'agent_get', arguments: { agent_id: 'greeter' } })

  const structured = result!.structuredContent as Record<string, unknown>
  expect(structured).toMatchObject({ id: 'greeter', name: 'Greeter' })
  expect(JSON.parse((result!.content as { text: string }[])[0]!.text)).toEqual(structured)
  expect(lines.of(headers['x-request-id']).map(({ operationId, protocol, caller }) => [operationId, protocol, caller])).toEqual([['agent_get', 'mcp', 'admin'], ['mcp_message_send', 'http', 'admin']])
  expect(new Set(lines.of(headers['x-request-id']).map(({ traceId }) => traceId)).size).toBe(1)
  expect(core.calls.filter(({ path }) => path === '/v1/agents/greeter')).toHaveLength(1)
})

test('path, query and body arguments all arrive', async ({ app, core }) => {
  await modern(app, 'tools/call', { name: 'agent_create', arguments: { id: 'ada', description: 'Counts', model: { provider: 'p', model: 'm' } } })
  const updated = await modern(app, 'tools/call', { name: 'agent_update', arguments: { agent_id: 'ada', description: 'Counts well' } })
  const listed = await modern(app, 'tools/call', { name: 'agent_list', arguments: { limit: 1, offset: 1, sort: 'id' } })

  expect(core.agents.get('ada')).toMatchObject({ description: 'Counts well' })
  expect(updated.result).toMatchObject({ structuredContent: { id: 'ada', status: 'updated' } })
  expect(listed.result).toMatchObject({ structuredContent: { agents: [{ id: 'analyst' }], pagination: { total: 3, limit: 1, offset: 1, next_offset: 2 } } })
})

test('chat is a tool', async ({ app }) => {
  const { result } = await legacy(app, 'tools/call', { name: 'chat_send', arguments: { content: 'What is 6 times 7?' } }, 'user')

  expect(result).toMatchObject({ structuredContent: { agent_id: 'analyst', agent_response: { content: '6 * 7 = 42.', tool_calls: [{ name: 'calculator' }] } } })
})

test.for([
  ['agent_get', { agent_id: 'nobody' }, 'admin', 'not_found'],
  ['agent_get', { agent_id: '..' }, 'admin', 'bad_request'],
  ['agent_get', { agent_id: '../admin' }, 'admin', 'bad_request'],
  ['agent_get', { agent_id: 'a\r\nX: y' }, 'admin', 'bad_request'],
  ['agent_get', {}, 'admin', 'bad_request'],
  ['agent_get', { agent_id: 5 }, 'admin', 'bad_request'],
  ['agent_get', { agent_id: 'greeter', more: 1 }, 'admin', 'bad_request'],
  ['agent_list', { limit: '5x' }, 'admin', 'bad_request'],
  ['agent_create', { id: 'x', description: 'y', model: { provider: 'p', model: 'm' }, role: 'admin' }, 'admin', 'bad_request'],
  ['agent_list', {}, 'user', 'forbidden']
] as const)('%s with %j by %s is a failed result: %s', async ([name, args, level, code], { app }) => {
  for (const { result } of [await modern(app, 'tools/call', { name, arguments: args }, { level }), await legacy(app, 'tools/call', { name, arguments: args }, level)]) {
    expect(result).toMatchObject({ isError: true })
    expect(result).not.toHaveProperty('structuredContent')
    expect(JSON.parse((result!.content as { text: string }[])[0]!.text)).toMatchObject({ error: { code, request_id: expect.any(String) } })
  }
})

test('an argument named __proto__ pollutes nothing', async ({ app }) => {
  const res = await app.inject({
    method: 'POST', url: '/mcp', headers: { ...as('admin'), host: 'localhost', 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, payload: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"agent_list","arguments":{"__proto__":{"polluted":1}}}}'
  })

  expect(res.statusCode).toBe(400)
  expect(res.json()).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32_700 } })
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})

test('an unknown tool is -32602, an unknown method -32601 with 404', async ({ app }) => {
  const tool = await modern(app, 'tools/call', { name: 'agent_explode', arguments: {} })
  const method = await modern(app, 'tools/explode')

  expect(tool.error).toMatchObject({ code: -32_602 })
  expect(method).toMatchObject({ status: 404, error: { code: -32_601 } })
})

test('headers that disagree with the body, and versions that do not exist, are refused with their codes', async ({ app }) => {
  const mismatch = await modern(app, 'tools/list', {}, { headers: { 'mcp-method': 'tools/call' } })
  const name = await modern(app, 'tools/call', { name: 'agent_list' }, { headers: { 'mcp-name': 'agent_get' } })
  const version = await modern(app, 'tools/list', { _meta: { ...envelope, 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } }, { headers: { 'mcp-protocol-version': '2099-01-01' } })

  expect(mismatch).toMatchObject({ status: 400, error: { code: -32_020 } })
  expect(name).toMatchObject({ status: 400, error: { code: -32_020 } })
  expect(version).toMatchObject({ status: 400, error: { code: -32_022, data: { supported: ['2026-07-28'] } } })
})

test('our dispatch answers what the SDK answers, member for member', async ({ app }) => {
  const calls = [['server/discover', {}], ['tools/list', {}], ['tools/call', { name: 'agent_get', arguments: { agent_id: 'greeter' } }], ['tools/call', { name: 'agent_get', arguments: { agent_id: 'x' } }], ['tools/call', { name: 'health_get' }]] as const
  for (const [method, params] of calls) {
    const ours = await modern(app, method, params, { id: 'a' })
    // The SDK serves it when a header is spelled in another, allowed way.
    const theirs = await modern(app, method, { ...params, ...(method === 'tools/list' && { cursor: '' }) }, { id: 'a', headers: { 'mcp-method': ` ${method}` } })
    const { headers: a, ...mine } = ours
    const { headers: b, ...its } = theirs

    expect(withoutIds(mine), method).toEqual(withoutIds(its))
  }
})

test('GET and DELETE of the revision without sessions are 405 with a JSON-RPC body', async ({ app }) => {
  for (const method of ['GET', 'DELETE'] as const) {
    const res = await app.inject({ method, url: '/mcp', headers: { ...as('user'), host: 'localhost', accept: 'text/event-stream', 'mcp-protocol-version': '2026-07-28' } })

    expect(res.statusCode).toBe(405)
    expect(res.json()).toMatchObject({ jsonrpc: '2.0', error: { code: -32_000 }, id: null })
  }
})

test('a notification is taken with 202 and no body', async ({ app }) => {
  const res = await app.inject({
    method: 'POST', url: '/mcp', headers: { ...as('user'), host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', method: 'notifications/initialized' }
  })

  expect([res.statusCode, res.body]).toEqual([202, ''])
})

test.for([
  [{ host: 'evil.example' }, 403], [{ host: 'localhost', origin: 'https://evil.example' }, 403], [{ host: 'localhost', origin: 'null' }, 403],
  [{ host: 'localhost:8000', origin: 'http://localhost:5173' }, 200], [{ host: '127.0.0.1' }, 200], [{ host: '[::1]:8000' }, 200]
] as const)('%j is answered with %i', async ([headers, status], { app }) => {
  const res = await app.inject({ method: 'POST', url: '/mcp', headers: { ...as('user'), accept: 'application/json, text/event-stream', ...headers }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/list' } })

  expect(res.statusCode).toBe(status)
})

test('no key, and a wrong one, are 401 with WWW-Authenticate', async ({ app }) => {
  for (const headers of [{}, { authorization: 'Bearer wrong' }, { 'x-api-key': 'wrong' }]) {
    const res = await app.inject({ method: 'POST', url: '/mcp', headers, payload: { jsonrpc: '2.0', id: 1, method: 'tools/list' } })

    expect(res.statusCode).toBe(401)
    expect(res.headers['www-authenticate']).toMatch(/^Bearer/)
  }
})

test('no call can pretend to be an inner one', async ({ app }) => {
  const res = await app.inject({ url: '/api/v1/agents', headers: { ...as('admin'), 'x-muxi-inner': 'undefined1' } })

  expect(res.headers['x-ratelimit-remaining']).toBe('5999')
})

describe('in front of a Core without the extensions', () => {
  test.override({ offers: 'real' })

  test('tools that this Core cannot serve are not listed, and say so when called', async ({ app }) => {
    const { result } = await modern(app, 'tools/list')
    const called = await modern(app, 'tools/call', { name: 'agent_create', arguments: { id: 'x', description: 'y', model: { provider: 'p', model: 'm' } } })

    expect(result!.tools!.map(({ name }) => name)).not.toContain('agent_create')
    expect(result!.tools!.map(({ name }) => name)).toContain('agent_list')
    expect(JSON.parse((called.result!.content as { text: string }[])[0]!.text)).toMatchObject({ error: { code: 'not_implemented', details: { capability: 'agents.create' } } })
  })
})

/** Request ids differ from call to call, and the order of members says nothing. */
function withoutIds (reply: unknown): unknown {
  return JSON.parse(JSON.stringify(reply).replaceAll(/req_[\w-]{16}/g, 'req'))
}

test.for([
  ['POST', undefined, 'null'], ['POST', 'application/json', '{"jsonrpc":"2.0","id":1,"method":"ping"}'], ['POST', undefined, '{'], ['GET', undefined, undefined], ['DELETE', undefined, undefined]
] as const)('%s with Accept %s and body %s is refused in a form that the document has', async ([method, accept, payload], { app }) => {
  const res = await app.inject({ method, url: '/mcp', headers: { ...as('user'), host: 'localhost', accept: accept ?? 'application/json, text/event-stream', ...(payload !== undefined && { 'content-type': 'application/json' }) }, ...(payload !== undefined && { payload }) })
  const { response } = app.operations.find((operation) => operation.url === '/mcp' && operation.method === method)!.contract
  const { content } = response[res.statusCode] as Media

  expect(res.statusCode).toBeGreaterThanOrEqual(400)
  expect(new Ajv({ strict: false }).validate(content['application/json']!.schema, res.json())).toBe(true)
})
