import { request } from 'node:http'
import { describe, expect } from 'vitest'
import { startEmbeddedCore } from '../../../core/embedded/index.ts'
import { test } from './core.ts'

test('a success carries the envelope of the Core', async ({ asAdmin }) => {
  const res = await asAdmin('/v1/agents/greeter')

  expect(res.headers.get('content-type')).toBe('application/json')
  expect(await res.json()).toEqual({
    object: 'agent',
    timestamp: expect.any(Number),
    type: 'agent.retrieved',
    request: { id: expect.stringMatching(/^req_/), idempotency_key: null },
    success: true,
    error: null,
    data: expect.objectContaining({ id: 'greeter', name: 'Greeter', source: 'formation' })
  })
})

test('an unknown path is 404 and a wrong method 405, both before the key is looked at', async ({ core }) => {
  const unknown = await fetch(`${core.url}/v1/nothing`)
  const wrong = await fetch(`${core.url}/v1/chat`)
  const head = await fetch(`${core.url}/v1/health`, { method: 'HEAD' })

  expect([unknown.status, wrong.status, head.status]).toEqual([404, 405, 405])
  expect(await wrong.json()).toMatchObject({ object: 'error', success: false, type: 'error.internal', error: { code: 'METHOD_NOT_ALLOWED' } })
})

test('a wrong key is 401 even when the body is bad too', async ({ core }) => {
  const res = await fetch(`${core.url}/v1/chat`, { method: 'POST', body: '{', headers: { 'x-muxi-client-key': 'wrong' } })

  expect(res.status).toBe(401)
  expect(await res.json()).toMatchObject({ type: 'error.authentication', error: { code: 'UNAUTHORIZED' } })
})

test('a body that misses a member or is no JSON is 422 and names what is wrong', async ({ asAlice }) => {
  const missing = await asAlice('/v1/chat', { method: 'POST', body: {} })
  const broken = await asAlice('/v1/chat', { method: 'POST', body: '{' })

  expect(missing.status).toBe(422)
  expect(await missing.json()).toMatchObject({
    type: 'error.validation',
    error: { code: 'INVALID_PARAMS', data: { validation_errors: [{ field: 'message', msg: 'Field required', type: 'string', error: 'missing' }] } }
  })
  expect(await broken.json()).toMatchObject({ error: { data: { validation_errors: [{ error: 'invalid_json' }] } } })
})

test('an answer has no request id and no hint of the keep-alive time-out', async ({ core }) => {
  const { headers } = await fetch(`${core.url}/v1/health`)

  expect([...headers.keys()].sort()).toEqual(['connection', 'content-length', 'content-type', 'date', 'vary'])
})

test('a call is recorded without its key, and e-mail addresses in lower case', async ({ core, asAlice, asAdmin }) => {
  await asAlice('/v1/sessions?limit=3', { headers: { 'x-muxi-user-id': 'Alice@Example.org' } })
  await asAdmin('/v1/agents', { method: 'POST', body: { description: 'x', model: { provider: 'p', model: 'm', api_key: 'sk-1' } } })
  await fetch(`${core.url}/v1/agents`)

  expect(core.calls).toMatchObject([
    { method: 'GET', path: '/v1/sessions', query: '?limit=3', user: 'alice@example.org', level: 'client', status: 200, aborted: false },
    { method: 'POST', path: '/v1/agents', level: 'admin', status: 201, body: { model: { api_key: '***' } } },
    { method: 'GET', path: '/v1/agents', level: 'none', status: 401 }
  ])
  expect(JSON.stringify(core.calls)).not.toMatch(/sk_muxi|sk-1/)
})

test('the document lists every route with the version of the package', async ({ core }) => {
  const document = await (await fetch(`${core.url}/openapi.json`)).json() as { paths: Record<string, object>, info: { version: string } }

  expect(document.info.version).toMatch(/^\d+\.\d+\.\d+/)
  expect(Object.keys(document.paths)).toContain('/v1/auth/introspect')
  expect(Object.keys(document.paths['/v1/agents/{id}'] ?? {})).toEqual(['get', 'patch', 'delete'])
  expect(Object.keys(document.paths).join()).not.toContain('__')
})

test('it refuses to listen on anything but loopback', async () => {
  for (const host of ['0.0.0.0', '::', '192.168.1.1', 'example.org', '127.evil.example']) {
    await expect(startEmbeddedCore({ host })).rejects.toThrow('loopback only')
  }
})

test('a chunked body that ends in the middle ends the call and not the Core', async ({ core }) => {
  const sent = request(`${core.url}/v1/chat`, { method: 'POST', headers: { 'x-muxi-client-key': core.userKey } })
  sent.on('error', () => {})
  sent.write('{"message":')
  await expect.poll(() => core.calls.length).toBe(1)
  sent.destroy()

  await expect.poll(() => core.calls[0]?.aborted).toBe(true)
  expect((await fetch(`${core.url}/v1/health`)).status).toBe(200)
})

describe('with what the real Core offers', () => {
  test.override({ options: { offers: 'real' } })

  test('the extensions are neither served nor listed', async ({ core, asAdmin, asAlice }) => {
    const created = await asAdmin('/v1/agents', { method: 'POST', body: {} })
    const introspected = await asAdmin('/v1/auth/introspect', { method: 'POST', body: 'token=x' })
    const chat = await asAlice('/v1/chat', { method: 'POST', body: { message: '6 times 7' } })
    const document = await (await fetch(`${core.url}/openapi.json`)).json() as { paths: Record<string, object> }

    expect([created.status, introspected.status]).toEqual([405, 404])
    expect(await chat.text()).not.toMatch(/tool_call|routing_confidence/)
    expect(Object.keys(document.paths['/v1/agents'] ?? {})).toEqual(['get'])
    expect(document.paths['/v1/auth/introspect']).toBeUndefined()
  })

  test('an agent shows no more than the real Core shows', async ({ asAdmin }) => {
    const { data } = await (await asAdmin('/v1/agents/analyst')).json() as { data: object }

    expect(Object.keys(data)).toEqual(['id', 'name', 'description', 'system_message', 'source'])
  })
})

describe('with a prefix', () => {
  test.override({ options: { prefix: '/api/my-formation' } })

  test('every path begins with it, and no other is known', async ({ core }) => {
    expect(core.url).toMatch(/\/api\/my-formation$/)
    expect((await fetch(`${core.url}/v1/health`)).status).toBe(200)
    expect((await fetch(new URL('/v1/health', core.url))).status).toBe(404)
  })

  test('a fault may leave it out, and a call shows it', async ({ core }) => {
    core.fail({ path: '/v1/health', status: 418 })

    expect((await fetch(`${core.url}/v1/health`)).status).toBe(418)
    expect(core.calls).toMatchObject([{ path: '/api/my-formation/v1/health', status: 418 }])
  })
})
