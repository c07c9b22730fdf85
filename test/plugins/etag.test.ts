import { hash } from 'node:crypto'
import { expect } from 'vitest'
import { as, test } from '../app.ts'

const headers = as('admin')

test.for(['/api/v1/agents', '/api/v1/agents/greeter', '/openapi.json', '/api/v1/agents/greeter/knowledge', '/api/v1/agents/greeter/mcp_servers'])('%s is not sent again while it stays the same', async (url, { app }) => {
  const first = await app.inject({ url, headers })
  const tag = String(first.headers.etag)
  const ask = async (known: string, method: 'GET' | 'HEAD' = 'GET') => await app.inject({ method, url, headers: { ...headers, 'if-none-match': known } })

  expect(tag).toMatch(/^"[\w.-]+"$/)
  expect(first.headers['cache-control']).toBe('private, no-cache')
  for (const known of [tag, `W/${tag}`, `"x", W/"y",${tag}`, '*']) {
    const res = await ask(known)
    expect([res.statusCode, res.body, res.headers.etag, res.headers['content-type']], known).toEqual([304, '', tag, undefined])
  }
  for (const known of ['"x"', tag.slice(1, -1), '', 'W/*']) expect((await ask(known)).statusCode, known).toBe(200)
})

test('HEAD says what GET would, without the body', async ({ app }) => {
  const url = '/api/v1/agents/greeter'
  const get = await app.inject({ url, headers })
  const head = await app.inject({ method: 'HEAD', url, headers })
  const unchanged = await app.inject({ method: 'HEAD', url, headers: { ...headers, 'if-none-match': String(get.headers.etag) } })

  expect([head.statusCode, head.body]).toEqual([200, ''])
  for (const name of ['etag', 'cache-control', 'content-length', 'content-type']) expect(head.headers[name], name).toBe(get.headers[name])
  expect([unchanged.statusCode, unchanged.body, unchanged.headers.etag]).toEqual([304, '', get.headers.etag])
})

test('the tag changes with whatever is shown, also with what the Core does not count as a version', async ({ app }) => {
  const tag = async () => String((await app.inject({ url: '/api/v1/agents/greeter', headers })).headers.etag)
  const before = await tag()
  await app.inject({ method: 'POST', url: '/api/v1/agents/greeter/chat', headers, payload: { content: 'hello' } })
  const counted = await tag()
  const updated = await app.inject({ method: 'PATCH', url: '/api/v1/agents/greeter', headers: { ...headers, 'if-match': before }, payload: { name: 'G' } })

  expect(counted).not.toBe(before)
  // Somebody chatted, nobody changed the agent.
  expect(updated.statusCode).toBe(200)
})

test('failures and everything else are not stored', async ({ app }) => {
  const missing = await app.inject({ url: '/api/v1/agents/nobody', headers: { ...headers, 'if-none-match': '*' } })
  const status = await app.inject({ url: '/api/v1/system/status', headers })

  for (const res of [missing, status]) expect([res.headers['cache-control'], res.headers.etag]).toEqual(['no-store', undefined])
  expect(missing.statusCode).toBe(404)
})

test('where the Core keeps no versions the whole answer is compared, one change at a time', async ({ app, core }) => {
  const agent = { id: 'greeter', description: 'Old' }
  const change = { id: 'greeter', description: 'New' }
  const body = (data: object) => JSON.stringify({ success: true, data })
  const heal = core.fail({ method: 'GET', path: '/v1/agents/greeter', status: 200, body: body(agent) })
  core.fail({ method: 'PATCH', path: '/v1/agents/greeter', status: 200, body: body(change) })
  const url = '/api/v1/agents/greeter'
  const tag = String((await app.inject({ url, headers })).headers.etag)
  const patch = async () => await app.inject({ method: 'PATCH', url, headers: { ...headers, 'if-match': tag }, payload: { description: 'New' } })
  const first = await patch()
  heal()
  core.fail({ method: 'GET', path: '/v1/agents/greeter', status: 200, body: body(change) })
  const second = await patch()

  expect(tag).not.toContain('.')
  expect([first.statusCode, second.statusCode]).toEqual([200, 412])
})

test('a change whose turn was over before it came to the Core does not come there', async ({ app, core }) => {
  const agent = JSON.stringify({ success: true, data: { id: 'greeter', description: 'Old' } })
  const heal = core.fail({ method: 'GET', path: '/v1/agents/greeter', status: 200, body: agent })
  const url = '/api/v1/agents/greeter'
  const tag = String((await app.inject({ url, headers })).headers.etag)
  heal()
  core.fail({ method: 'GET', path: '/v1/agents/greeter', status: 200, body: agent, delayMs: 300 })
  const late = app.inject({ method: 'PATCH', url, headers: { ...headers, 'if-match': tag }, payload: { description: 'New' } })
  const name = `change:${hash('sha256', url, 'base64url')}`
  await expect.poll(async () => await app.cluster.delete(`lock:${name}`)).toBe(true)
  const other = await app.cluster.lock(name, 5_000)
  const res = await late
  await other!.release()

  expect([res.statusCode, res.json()]).toMatchObject([409, { error: { code: 'conflict' } }])
  expect(core.calls.filter(({ method }) => method === 'PATCH')).toEqual([])
})

test('a precondition is checked in the log as one request of its own kind', async ({ app, lines }) => {
  const tag = String((await app.inject({ url: '/api/v1/agents/greeter', headers })).headers.etag)
  const res = await app.inject({ method: 'PATCH', url: '/api/v1/agents/greeter', headers: { ...headers, 'if-match': tag }, payload: { name: 'G' } })

  expect(lines.of(res.headers['x-request-id']).map(({ operationId, protocol }) => [operationId, protocol])).toEqual([['agent_get', 'http'], ['agent_update', 'http']])
})
