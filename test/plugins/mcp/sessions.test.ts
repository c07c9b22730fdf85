import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import type { FastifyInstance } from 'fastify'
import { describe, expect } from 'vitest'
import { as, sharedWith, test } from '../../app.ts'

interface Message { id?: unknown, method?: string, result?: Record<string, unknown>, error?: { code: number, message: string } }
interface Asked { method?: 'POST' | 'GET' | 'DELETE', level?: 'user' | 'admin', session?: string | undefined, headers?: Record<string, string>, payload?: unknown }

const initialize = (protocolVersion = '2025-11-25') => ({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion, capabilities: {}, clientInfo: { name: 'test', version: '1' } } })
const call = (id: unknown, name: string, args: object = {}, meta?: object) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args, ...(meta !== undefined && { _meta: meta }) } })

async function ask (app: FastifyInstance, { method = 'POST', level = 'admin', session, headers = {}, payload }: Asked) {
  const res = await app.inject({
    method,
    url: '/mcp',
    headers: { ...as(level), host: 'localhost', accept: 'application/json, text/event-stream', ...(session !== undefined && { 'mcp-session-id': session }), ...(payload !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(payload !== undefined && { payload: JSON.stringify(payload) })
  })
  return { status: res.statusCode, headers: res.headers, body: res.body, json: () => res.json<Message>() }
}

async function open (app: FastifyInstance, { version, level }: { version?: string, level?: 'user' | 'admin' } = {}): Promise<string> {
  const { headers } = await ask(app, { payload: initialize(version), ...(level !== undefined && { level }) })
  return String(headers['mcp-session-id'])
}

/** The events of a stream over a real connection: their ids and messages, until it ends or `enough` of them have come. */
async function events (url: string, { headers, body, method = 'POST' }: { headers: Record<string, string>, body?: unknown, method?: string }, enough = Infinity): Promise<{ id: string | undefined, message: Message | undefined }[]> {
  const leaving = new AbortController()
  const response = await fetch(url, {
    method,
    headers: { ...as('admin'), accept: 'application/json, text/event-stream', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    signal: leaving.signal,
    ...(body !== undefined && { body: JSON.stringify(body) })
  })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const found: { id: string | undefined, message: Message | undefined }[] = []
  let text = ''
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    text += piece
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      const data = field('data')
      if (field('id') !== undefined || (data !== undefined && data !== '')) found.push({ id: field('id'), message: data === undefined || data === '' ? undefined : JSON.parse(data) as Message })
      if (found.length >= enough) {
        leaving.abort()
        return found
      }
    }
  }
  return found
}

describe('a session', () => {
  test('begins with initialize, is named in a header, and serves calls', async ({ app }) => {
    const begun = await ask(app, { payload: initialize() })
    const session = String(begun.headers['mcp-session-id'])
    const called = await ask(app, { session, payload: call(1, 'agent_get', { agent_id: 'greeter' }) })

    expect(begun.json().result).toMatchObject({ protocolVersion: '2025-11-25', serverInfo: { name: 'muxi-api' } })
    expect(session).toMatch(/^mcs_[\w-]{24}$/)
    expect(called.json()).toMatchObject({ id: 1, result: { structuredContent: { id: 'greeter' } } })
  })

  test.for(['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'])('agrees on revision %s', async (version, { app }) => {
    const { json } = await ask(app, { payload: initialize(version) })

    expect(json().result).toMatchObject({ protocolVersion: version })
  })

  test('of another caller, unknown, ended or expired is 404, and none is made of it', async ({ app }) => {
    const session = await open(app)
    const foreign = await ask(app, { session, level: 'user', payload: call(1, 'health_get') })
    const unknown = await ask(app, { session: 'mcs_nobody', payload: call(1, 'health_get') })
    const ended = await ask(app, { session, method: 'DELETE' })
    const after = await ask(app, { session, payload: call(1, 'health_get') })

    expect(ended.status).toBe(200)
    for (const res of [foreign, unknown, after]) {
      expect(res.status).toBe(404)
      expect(res.headers).not.toHaveProperty('mcp-session-id')
      expect(res.json()).toMatchObject({ id: null, error: { code: -32_001 } })
    }
  })

  test('DELETE of an empty body that is said to be JSON ends a session, too', async ({ app }) => {
    const session = await open(app)
    const ended = await ask(app, { session, method: 'DELETE', headers: { 'content-type': 'application/json' } })
    const after = await ask(app, { session, payload: call(1, 'agent_list') })

    expect([ended.status, after.status]).toEqual([200, 404])
  })

  test.for<[string, Asked, number]>([
    ['GET without a session', { method: 'GET' }, 400],
    ['DELETE without a session', { method: 'DELETE' }, 400],
    ['a revision that is not spoken', { headers: { 'mcp-protocol-version': '2023-01-01' }, payload: call(1, 'health_get') }, 400],
    ['a batch, which the revision has not', { payload: [call(1, 'health_get')] }, 400],
    ['initialize again', { payload: initialize() }, 400],
    ['what is no message', { payload: { jsonrpc: '1.0' } }, 400],
    ['an answer that may not be a stream', { headers: { accept: 'application/json' }, payload: call(1, 'health_get') }, 406],
    ['GET that takes no stream', { method: 'GET', headers: { accept: 'application/json' } }, 406],
    ['GET of the 2026 revision', { method: 'GET', headers: { 'mcp-protocol-version': '2026-07-28' } }, 405],
    ['a stream that is none', { method: 'GET', headers: { 'last-event-id': 'nonsense' } }, 400]
  ])('%s is refused', async ([name, asked, status], { app }) => {
    const session = name.endsWith('without a session') ? undefined : await open(app)
    const res = await ask(app, { session, ...asked })

    expect(res.status).toBe(status)
    expect(res.json()).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: expect.any(Number) } })
  })

  test('of revision 2025-03-26 answers a batch with a batch', async ({ app }) => {
    const session = await open(app, { version: '2025-03-26' })
    const { json } = await ask(app, { session, payload: [call(1, 'health_get'), { jsonrpc: '2.0', method: 'notifications/initialized' }, call(2, 'nothing')] })
    const answers = json() as unknown as Message[]

    expect(answers.toSorted((a, b) => Number(a.id) - Number(b.id))).toMatchObject([{ id: 1, result: {} }, { id: 2, error: { code: -32_602 } }])
  })

  test('a notification is taken with 202 and no body', async ({ app }) => {
    const session = await open(app)
    const res = await ask(app, { session, payload: { jsonrpc: '2.0', method: 'notifications/initialized' } })

    expect(res).toMatchObject({ status: 202, body: '' })
  })
})

const slow = sharedWith({ MUXI_API_MCP_SESSION_MS: '60000' })

describe('a call that takes longer', () => {
  slow('is answered over a stream, which a client that lost it finds again', async ({ app, url }) => {
    const session = await open(app)
    const own = { 'mcp-session-id': session }
    const lost = await events(`${url}/mcp`, { headers: own, body: call(7, 'chat_send', { content: '[fake: hang_ms=2500] What is 6 times 7?' }) }, 1)
    const found = await events(`${url}/mcp`, { method: 'GET', headers: { ...own, 'last-event-id': lost[0]!.id! } })
    const again = await events(`${url}/mcp`, { method: 'GET', headers: { ...own, 'last-event-id': lost[0]!.id! } })

    expect(lost).toEqual([{ id: expect.any(String), message: undefined }])
    expect(found.map(({ message }) => message)).toMatchObject([{ id: 7, result: { structuredContent: { agent_response: { content: '6 * 7 = 42.' } } } }])
    expect(again).toEqual(found)
  })

  slow('is cancelled by its client, also by another request, and broken off at the Core', async ({ app, url }) => {
    const session = await open(app)
    const own = { 'mcp-session-id': session }
    const stream = events(`${url}/mcp`, { headers: own, body: call('c', 'chat_send', { content: '[fake: hang_ms=20000] hello' }) })
    await expect.poll(() => app.connections.count('mcp'), { timeout: 5_000 }).toBe(1)
    const cancelled = await ask(app, { session, payload: { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'c', reason: 'enough' } } })

    expect(cancelled.status).toBe(202)
    expect((await stream).filter(({ message }) => message !== undefined)).toEqual([])
    await expect.poll(() => app.connections.count('mcp')).toBe(0)
  })

  slow('ends with its session', async ({ app, url }) => {
    const session = await open(app)
    const stream = events(`${url}/mcp`, { headers: { 'mcp-session-id': session }, body: call(1, 'chat_send', { content: '[fake: hang_ms=20000] hello' }) })
    await expect.poll(() => app.connections.count('mcp'), { timeout: 5_000 }).toBe(1)
    await ask(app, { session, method: 'DELETE' })

    await stream
    await expect.poll(() => app.connections.count('mcp')).toBe(0)
  })
})

describe('the standing stream', () => {
  slow('is one per session: a second ends the first', async ({ app, url }) => {
    const session = await open(app)
    const get = { method: 'GET', headers: { 'mcp-session-id': session } }
    const first = events(`${url}/mcp`, get)
    await expect.poll(() => app.connections.count('mcp')).toBe(1)
    const second = events(`${url}/mcp`, get)

    expect(await first).toEqual([])
    expect(app.connections.count('mcp')).toBe(1)
    await ask(app, { session, method: 'DELETE' })
    expect((await second).map(({ message }) => message?.method)).toEqual(['tools', 'prompts', 'resources'].map((list) => `notifications/${list}/list_changed`))
  })

  slow('tells what changes, and resources that were subscribed to, and a client that comes back that it may have missed some', async ({ app, url }) => {
    const session = await open(app)
    const get = { method: 'GET', headers: { 'mcp-session-id': session } }
    await ask(app, { session, payload: { jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params: { uri: 'muxi://agents/greeter' } } })
    const leaving = events(`${url}/mcp`, get)
    await expect.poll(() => app.connections.count('mcp')).toBe(1)
    const back = events(`${url}/mcp`, get, 8)
    await leaving
    await ask(app, { session, payload: call(2, 'agent_update', { agent_id: 'greeter', description: 'Tells news' }) })
    const methods = (await back).map(({ message }) => message?.method)
    await ask(app, { session, method: 'DELETE' })

    const all = ['notifications/tools/list_changed', 'notifications/prompts/list_changed', 'notifications/resources/list_changed', 'notifications/resources/updated']
    expect(methods.slice(0, 4)).toEqual(all)
    expect(methods.slice(4).sort()).toEqual(all.sort())
  })
})

describe('the transport of revision 2024-11-05', () => {
  slow('serves a client of its time, over one stream', async ({ app, url }) => {
    const headers = as('admin')
    const client = new Client({ name: 'old', version: '1' })
    await client.connect(new SSEClientTransport(new URL(`${url}/api/v1/mcp/stream`), { requestInit: { headers }, eventSourceInit: { fetch: async (to, init) => await fetch(to, { ...init, headers: { ...init.headers, ...headers } }) } }))
    const { tools } = await client.listTools()
    const called = await client.callTool({ name: 'agent_get', arguments: { agent_id: 'greeter' } })
    const failed = await client.callTool({ name: 'agent_get', arguments: { agent_id: 'nobody' } })
    const open = app.connections.count('mcp')
    await client.close()

    expect(tools.map(({ name }) => name)).toContain('agent_list')
    expect(called.structuredContent).toMatchObject({ id: 'greeter' })
    expect(failed.isError).toBe(true)
    expect(open).toBe(1)
    await expect.poll(() => app.connections.count('mcp')).toBe(0)
  })

  slow('takes a message for a session of the same caller only', async ({ app }) => {
    const res = await app.inject({ method: 'POST', url: '/api/v1/mcp/request?session_id=mcs_nobody', headers: { ...as('admin'), host: 'localhost', 'content-type': 'application/json' }, payload: call(1, 'health_get') })

    expect(res.statusCode).toBe(404)
    expect(res.json()).toMatchObject({ error: { code: -32_001 } })
  })
})
