import { expect } from 'vitest'
import type { InjectOptions } from 'fastify'
import { gone, oldCodes, oldTools } from '../scripts/old-api.ts'
import { statusOf } from '../schemas/errors.ts'
import { as, keys, test } from './app.ts'

const cases = gone.flatMap(({ was, shown }) => shown.map(({ request, code }) => ({ was, request, code, of: `${request.method ?? 'GET'} ${request.url} ${JSON.stringify(request.payload ?? request.headers ?? '')}` })))
const members = ['object', 'timestamp', 'type', 'request', 'success', 'data', 'items']

test.for(cases)('$was: $of is refused with $code', async ({ request: { method = 'GET', url, headers = {}, payload }, code }, { app }) => {
  const res = await app.inject({
    method,
    url: withKeys(url),
    headers: { ...(code !== 'unauthorized' && as('admin')), ...(url.startsWith('/mcp') && { accept: 'application/json, text/event-stream' }), ...JSON.parse(withKeys(JSON.stringify(headers))) as Record<string, string> },
    ...(payload !== undefined && { payload: payload as InjectOptions['payload'] })
  })

  expect(res.statusCode).toBe(typeof code === 'number' ? 400 : statusOf[code])
  if (typeof code === 'number') expect(res.json()).toMatchObject({ jsonrpc: '2.0', error: { code } })
  else expect(res.json()).toEqual({ error: { code, message: expect.stringMatching(/^\S.+/), request_id: res.headers['x-request-id'], ...(code === 'bad_request' && { details: expect.any(Object) }) } })
})

test('a refusal in the old way names what is wrong', async ({ app }) => {
  const ask = async (payload: object) => (await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload })).json<{ error: { details: { field: string } } }>().error.details.field

  expect(await ask({ content: 'Hello', message: 'Hello' })).toBe('body.message')
  expect(await ask({ message: 'Hello' })).toMatch(/^body/)
  expect(await ask({ content: 'Hello', user_id: 42 })).toBe('body.user_id')
})

test('a key in the URL counts for nothing beside one in the header', async ({ app }) => {
  const res = await app.inject({ url: `/api/v1/agents?api_key=${keys.admin}`, headers: as('user') })

  expect(res.statusCode).toBe(403)
})

test.for(oldTools)('there is no tool %s', async (name, { app }) => {
  const res = await app.inject({
    method: 'POST', url: '/mcp', headers: { ...as('admin'), accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } }
  })

  expect(JSON.parse(res.body.replace(/^event: message\ndata: /, ''))).toMatchObject({ error: { code: -32_602 } })
})

test.for(['/api/v1/agents', '/api/v1/agents/greeter', '/api/v1/users', '/api/v1/conversations/u1', '/api/v1/system/status', '/health'])('%s answers without an envelope', async (url, { app }) => {
  const res = await app.inject({ url, headers: as('admin') })

  expect(res.statusCode).toBe(200)
  expect(Object.keys(res.json<object>()).filter((name) => members.includes(name))).toEqual([])
})

test('no answer has a code under its older name', ({ app }) => {
  const codes = JSON.stringify(app.openapi())

  for (const old of Object.keys(oldCodes)) expect.soft(codes.includes(`"${old}"`), old).toBe(false)
})

test('no operation and no path has an older name', ({ app }) => {
  const { paths } = app.openapi() as { paths: Record<string, Record<string, unknown>> }

  expect(app.operations.filter(({ id }) => oldTools.includes(id))).toEqual([])
  expect(Object.keys(paths).filter((path) => /context_memory|\/messages$|with_media|\/(?:app|trace)\/stream$/.test(path))).toEqual([])
  expect(Object.values(paths).flatMap((methods) => Object.keys(methods)).filter((method) => method === 'put')).toEqual([])
})

/** Old clients sent keys that are good: it is the place that is wrong. */
function withKeys (text: string): string {
  return text.replaceAll('{admin}', keys.admin).replaceAll('{user}', keys.user)
}
