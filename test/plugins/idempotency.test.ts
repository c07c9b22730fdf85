import { expect } from 'vitest'
import { as, test } from '../app.ts'

const ada = { id: 'ada', description: 'Counts', model: { provider: 'p', model: 'm' } }
const headers = (key: string, more: Record<string, string> = {}) => ({ ...as('admin'), 'idempotency-key': key, ...more })

test('the same key and body is one effect and one answer', async ({ app, core }) => {
  const first = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('k1'), payload: ada })
  const again = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('"k1"'), payload: ada })

  expect([first.statusCode, again.statusCode]).toEqual([201, 201])
  expect(again.body).toBe(first.body)
  expect(again.headers['idempotent-replayed']).toBe('true')
  expect(first.headers).not.toHaveProperty('idempotent-replayed')
  expect(again.headers['x-request-id']).not.toBe(first.headers['x-request-id'])
  expect(core.calls.filter(({ method, path }) => method === 'POST' && path === '/v1/agents')).toHaveLength(1)
})

test('the same key with another body, query or user is refused with 422', async ({ app }) => {
  await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('k1'), payload: ada })
  const body = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('k1'), payload: { ...ada, id: 'bob' } })
  const user = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('k1', { 'x-muxi-user-id': 'eve' }), payload: ada })

  expect([body.statusCode, user.statusCode]).toEqual([422, 422])
  expect(body.json()).toMatchObject({ error: { code: 'unprocessable' } })
})

test('of fifty at once one has the effect; those that come too early are told when to come back', async ({ app, core }) => {
  core.fail({ method: 'POST', path: '/v1/agents', delayMs: 100 })
  const answers = await Promise.all(Array.from({ length: 50 }, async () => await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('k1', { 'x-muxi-idempotency-key': 'k1' }), payload: ada })))

  expect(answers.filter(({ statusCode }) => statusCode === 201)).toHaveLength(1)
  expect(answers.filter(({ statusCode }) => statusCode === 409).every(({ headers }) => headers['retry-after'] === '1')).toBe(true)
  expect(core.calls.filter(({ method, path }) => method === 'POST' && path === '/v1/agents')).toHaveLength(1)
})

test('keys belong to their caller and their route', async ({ app, core }) => {
  core.keys.set('sk_other_admin', { scope: 'admin' })
  await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('k1'), payload: ada })
  const other = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: { ...headers('k1'), authorization: 'Bearer sk_other_admin' }, payload: ada })
  const route = await app.inject({ method: 'POST', url: '/api/v1/agents/import', headers: headers('k1'), payload: { config: { ...ada, id: 'eve' } } })

  expect(other.json()).toMatchObject({ error: { code: 'conflict', message: 'agent ada exists already' } })
  expect(route.statusCode).toBe(201)
})

test('what was refused may be tried again with the same key', async ({ app, core }) => {
  const invalid = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('k1'), payload: { ...ada, id: '-' } })
  const remove = core.fail({ method: 'POST', path: '/v1/agents', status: 503 })
  const busy = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('k1'), payload: ada })
  remove()
  const done = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers('k1'), payload: ada })

  expect([invalid.statusCode, busy.statusCode, done.statusCode]).toEqual([400, 503, 201])
})

test('a caller who leaves finds the answer when it comes back', async ({ app, core, url }) => {
  core.fail({ method: 'POST', path: '/v1/agents', delayMs: 150 })
  const leave = new AbortController()
  const options = { method: 'POST', headers: { ...headers('k1'), 'content-type': 'application/json' }, body: JSON.stringify(ada) }
  const first = fetch(`${url}/api/v1/agents`, { ...options, signal: leave.signal }).catch(() => 'left')
  await expect.poll(() => core.calls.some(({ method, path }) => method === 'POST' && path === '/v1/agents')).toBe(true)
  leave.abort()
  expect(await first).toBe('left')
  await expect.poll(() => core.agents.has('ada')).toBe(true)
  await expect.poll(async () => (await fetch(`${url}/api/v1/agents`, options)).status).toBe(201)

  expect(core.calls.filter(({ method, path }) => method === 'POST' && path === '/v1/agents')).toHaveLength(1)
  expect(app.operations.length).toBeGreaterThan(0)
})

test('a key that is none is refused by name', async ({ app }) => {
  for (const key of ['', 'a b', 'x'.repeat(256)]) {
    const res = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: headers(key), payload: ada })

    expect(res.json()).toMatchObject({ error: { code: 'bad_request', details: { field: 'headers.idempotency-key' } } })
  }
})

test('a tool call with the header is one effect, too', async ({ app, core }) => {
  const call = async () => await app.inject({
    method: 'POST', url: '/mcp', headers: { ...headers('k1'), host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'agent_create', arguments: ada } }
  })
  const [first, second] = [await call(), await call()]

  expect(second.body).toBe(first.body)
  expect(core.calls.filter(({ method, path }) => method === 'POST' && path === '/v1/agents')).toHaveLength(1)
})
