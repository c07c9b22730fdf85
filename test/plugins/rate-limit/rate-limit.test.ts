import { expect } from 'vitest'
import { as, keys, test as base } from '../../app.ts'

// Not an override: files share the module of the fixtures.
const test = base.extend({ settings: { MUXI_API_RATE_LIMIT: '10' } })

test('what is left is told in every header style, from one count', async ({ app }) => {
  const first = await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: { content: 'hello' } })
  const second = await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: { content: 'hello' } })

  expect(first.headers).toMatchObject({ 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '9', 'ratelimit-policy': '"key";q=10;w=60' })
  expect(second.headers).toMatchObject({ 'x-ratelimit-remaining': '8', ratelimit: expect.stringMatching(/^"key";r=8;t=\d+$/) })
  expect(Number(second.headers['x-ratelimit-reset'])).toBeGreaterThan(Date.now() / 1_000)
  expect(second.headers).not.toHaveProperty('x-ratelimit-warning')
})

test('the call above the limit is refused with Retry-After, another caller\'s is not', async ({ app }) => {
  const answers = []
  for (let i = 0; i < 11; i++) answers.push(await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: {} }))
  const other = await app.inject({ url: '/api/v1/agents', headers: as('admin') })

  expect(answers.map(({ statusCode }) => statusCode)).toEqual([...Array(10).fill(400), 429])
  expect(answers[8]!.headers['x-ratelimit-warning']).toBe('true')
  expect(answers[10]!.json()).toMatchObject({ error: { code: 'rate_limited', details: { limit: 10, retry_after: expect.any(Number) } } })
  expect(Number(answers[10]!.headers['retry-after'])).toBeGreaterThan(0)
  expect(other.statusCode).toBe(200)
})

test('one key in two headers and cases of the scheme is one caller', async ({ app }) => {
  await app.inject({ url: '/api/v1/agents', headers: { authorization: `bearer  ${keys.admin}` } })
  const res = await app.inject({ url: '/api/v1/agents', headers: { 'x-api-key': keys.admin } })

  expect(res.headers['x-ratelimit-remaining']).toBe('98')
})

test('an import costs as much as six calls, and admins have ten times the limit', async ({ app }) => {
  const res = await app.inject({ method: 'POST', url: '/api/v1/agents/import', headers: as('admin'), payload: {} })

  expect(res.headers).toMatchObject({ 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '94' })
})

test('a key bound to a user has the limit of its user, too', async ({ app, core }) => {
  core.keys.set('sk_bound', { scope: 'user', sub: 'alice' })
  const res = await app.inject({ method: 'POST', url: '/api/v1/chat', headers: { authorization: 'Bearer sk_bound' }, payload: {} })

  expect(res.headers).toMatchObject({ 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '9' })
})

test('a tool call is counted once, in a bucket of its own', async ({ app }) => {
  const call = async () => await app.inject({
    method: 'POST', url: '/mcp', headers: { ...as('admin'), host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'agent_list', arguments: {} } }
  })
  await call()
  const second = await call()
  const rest = await app.inject({ url: '/api/v1/agents', headers: as('admin') })

  expect(second.headers).toMatchObject({ 'x-ratelimit-limit': '1000', 'x-ratelimit-remaining': '998', 'ratelimit-policy': '"mcp";q=1000;w=60' })
  expect(rest.headers['x-ratelimit-remaining']).toBe('99')
})

test('80 % of a limit are one line in the log, which names neither the key nor the operation', async ({ app, lines }) => {
  for (let i = 0; i < 13; i++) await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: {} })
  await app.inject({ url: '/api/v1/agents', headers: as('admin') })
  const warnings = lines.all.filter(({ level }) => level === 'warn')

  expect(warnings).toEqual([{
    level: 'warn',
    timestamp: expect.any(String),
    service: 'muxi-api',
    version: app.release,
    requestId: expect.any(String),
    traceId: expect.any(String),
    scope: 'key',
    limit: 10,
    caller: 'user',
    digest: expect.stringMatching(/^[\w-]{43}$/),
    message: 'a caller has used 80 % of a limit'
  }])
  expect(JSON.stringify(lines.all)).not.toContain(keys.user)
})

test('each caller has a line of its own, whether it reaches 80 % or leaps over it', async ({ app, lines }) => {
  for (let i = 0; i < 8; i++) await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: {} })
  for (let i = 0; i < 18; i++) await app.inject({ method: 'POST', url: '/api/v1/agents/import', headers: as('admin'), payload: {} })

  expect(lines.all.filter(({ level }) => level === 'warn')).toEqual([
    expect.objectContaining({ caller: 'user', limit: 10 }),
    expect.objectContaining({ caller: 'admin', limit: 100 })
  ])
})

test('health is not limited', async ({ app }) => {
  const res = await app.inject('/health')

  expect(res.headers).not.toHaveProperty('x-ratelimit-limit')
})
