import { connect } from 'node:net'
import { once } from 'node:events'
import { expect } from 'vitest'
import { as, test } from '../app.ts'

const json = { ...as('admin'), 'content-type': 'application/json' }
const create = { id: 'x', description: 'y', model: { provider: 'p', model: 'm' } }

test('an unknown path and a wrong method are 404 and 405 with Allow, in the one format', async ({ app }) => {
  const path = await app.inject('/api/v2/agents')
  const method = await app.inject({ method: 'PUT', url: '/api/v1/agents/ada' })

  expect(path.statusCode).toBe(404)
  expect(path.json()).toEqual({ error: { code: 'not_found', message: 'there is no /api/v2/agents', request_id: path.headers['x-request-id'] } })
  expect(method.statusCode).toBe(405)
  expect(method.headers.allow).toBe('DELETE, GET, HEAD, PATCH')
  expect(method.json()).toMatchObject({ error: { code: 'method_not_allowed' } })
})

test('a method that nothing takes is 405, whatever its body', async ({ app }) => {
  const query = await app.inject({ method: 'QUERY' as 'GET', url: '/health', payload: 'x' })
  const broken = await app.inject({ method: 'PUT', url: '/api/v1/agents', headers: json, payload: '{' })

  expect([query.statusCode, broken.statusCode]).toEqual([405, 405])
})

test.for([
  ['PATCH', '/api/v1/agents/import', 'POST'], ['GET', '/api/v1/agents/import', 'POST'], ['DELETE', '/api/v1/agents/greeter/knowledge/search', 'GET, HEAD']
] as const)('%s %s is 405: a word of a path is no id, whatever is sent along', async ([method, url, allow], { app, core }) => {
  const res = await app.inject({ method, url, headers: as('admin') })
  const broken = await app.inject({ method, url, headers: { ...json, 'content-type': 'text/plain' }, payload: '{' })

  expect([res.statusCode, res.headers.allow, res.json()]).toMatchObject([405, allow, { error: { code: 'method_not_allowed' } }])
  expect(broken.statusCode).toBe(405)
  expect(core.calls.some(({ path }) => path.startsWith('/v1/agents/'))).toBe(false)
})

test.for([
  ['agent_import', '404'], ['user_context_create', '409'], ['mcp_message_stream', '405'], ['mcp_session_delete', '405'], ['health_get', '431']
])('the document of %s tells of %s', async ([id, status], { app }) => {
  const { paths } = app.openapi() as { paths: Record<string, Record<string, { operationId: string, responses: object }>> }
  const operation = Object.values(paths).flatMap((path) => Object.values(path)).find(({ operationId }) => operationId === id)

  expect(Object.keys(operation!.responses)).toContain(status)
})

test.for([
  ['/api/v1/agents/greeter/knowledge', { id: 'x', description: 'y', source_type: 'file', path: 'a.md', content: 'z' }, 'body.content', 'does not go with the other fields'],
  ['/api/v1/agents/greeter/knowledge', { id: 'x', description: 'y', source_type: 'content' }, 'body.content', 'is required'],
  ['/api/v1/agents/greeter/mcp_servers', { name: 'x', url: 'http://localhost:1', command: 'y' }, 'body.url', 'does not go with the other fields'],
  ['/api/v1/agents/greeter/mcp_servers', { name: 'x' }, 'body.url', 'is required']
] as const)('of %s the combination %j is refused once, naming the field', async ([url, payload, field, message], { app }) => {
  const res = await app.inject({ method: 'POST', url, headers: json, payload })

  expect(res.statusCode).toBe(400)
  expect(res.json()).toMatchObject({ error: { message: `${field} ${message}`, details: { field, errors: [{ field, message }] } } })
})

test.for([
  ['no JSON', '{"id":', 400, 'bad_request'],
  ['an empty body', '', 400, 'bad_request'],
  ['a primitive', '5', 400, 'bad_request'],
  ['null', 'null', 400, 'bad_request'],
  ['an array', '[]', 400, 'bad_request'],
  ['a prototype', '{"__proto__":{"a":1}}', 400, 'bad_request'],
  ['an escaped prototype', '{"\\u005f_proto__":{"a":1}}', 400, 'bad_request'],
  ['a nested constructor', '{"model":{"constructor":{"prototype":{}}}}', 400, 'bad_request'],
  ['more than 1 MiB', JSON.stringify({ ...create, system_message: 'x'.repeat(1_048_576) }), 413, 'payload_too_large']
] as const)('a body that is %s is refused in the one format', async ([, payload, status, code], { app }) => {
  const res = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: json, payload })

  expect(res.statusCode).toBe(status)
  expect(res.json()).toMatchObject({ error: { code, request_id: res.headers['x-request-id'] } })
  expect(({} as Record<string, unknown>).a).toBeUndefined()
})

test.for([
  'application/xml', 'text/plain', 'multipart/form-data', 'application/jsonx', 'text/json'
])('the content type %s is refused with 415', async (type, { app }) => {
  const res = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: { ...json, 'content-type': type }, payload: JSON.stringify(create) })

  expect(res.statusCode).toBe(415)
  expect(res.json()).toMatchObject({ error: { code: 'unsupported_media_type' } })
})

test.for(['application/json\t', ' application/json', 'application/json;;', 'Application/JSON; charset=utf-8', 'application/json;charset=utf-8;x=1'])('the content type %j never lets a body pass unchecked', async (type, { app }) => {
  const res = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: { ...json, 'content-type': type }, payload: JSON.stringify({ ...create, role: 'admin' }) })

  expect([400, 415]).toContain(res.statusCode)
})

test.for([
  [{ id: '-x', description: 'y', model: create.model }, 'body.id'],
  [{ id: 'import', description: 'y', model: create.model }, 'body.id'],
  [{ id: 5, description: 'y', model: create.model }, 'body.id'],
  [{ id: 'x', model: create.model }, 'body.description'],
  [{ ...create, role: 'admin' }, 'body.role'],
  [{ ...create, model: { ...create.model, temperature: 3 } }, 'body.model.temperature'],
  [{ ...create, model: { ...create.model, temperature: '0.5' } }, 'body.model.temperature']
] as const)('%j is refused naming the field', async ([payload, field], { app }) => {
  const res = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: json, payload })

  expect(res.statusCode).toBe(400)
  expect(res.json()).toMatchObject({ error: { code: 'bad_request', details: { field, errors: [{ field }] } } })
})

test.for(['limit=1e9', 'limit=-1', 'limit=NaN', 'limit=0x10', 'limit=%205', 'limit=1&limit=2', 'limit[]=1', 'limit=', 'offset=1.5', 'sort=name', 'colour=red', 'provider=a&provider=b'])('the query %s is refused naming the field', async (query, { app }) => {
  const res = await app.inject({ url: `/api/v1/agents?${query}`, headers: as('admin') })

  expect(res.statusCode).toBe(400)
  expect(res.json()).toMatchObject({ error: { code: 'bad_request', details: { field: `querystring.${query.split('=')[0]}` } } })
})

test.for([
  ['0.5320231617355923', 200], ['1e-05', 200], ['5E-324', 200], ['1e2', 400], ['1e999', 400], ['1e', 400], ['-1e-5', 400], ['NaN', 400]
] as const)('the fraction %s in a query is answered with %i', async ([threshold, status], { app }) => {
  const res = await app.inject({ url: `/api/v1/agents/analyst/knowledge/search?query=x&threshold=${threshold}`, headers: as('admin') })

  expect(res.statusCode).toBe(status)
})

test('a failure inside is 500 with an id and without its cause, which the log has', async ({ app, lines, core }) => {
  core.agents.set('odd', { ...core.agents.get('greeter')!, id: 'odd', knowledge_sources: 'none' as never })
  const res = await app.inject({ url: '/api/v1/agents/odd', headers: as('admin') })

  expect(res.statusCode).toBe(500)
  expect(res.json()).toEqual({ error: { code: 'internal_error', message: 'this server failed; report the request id', request_id: res.headers['x-request-id'] } })
  expect(lines.of(res.headers['x-request-id'])).toContainEqual(expect.objectContaining({ level: 'error', err: expect.objectContaining({ message: expect.stringContaining('does not match schema') }) }))
})

test('who accepts application/problem+json gets the same facts as RFC 9457 spells them', async ({ app }) => {
  const problem = async (accept: string, url = '/api/v1/agents?limit=x') => await app.inject({ url, headers: { ...as('admin'), accept } })
  const res = await problem('application/problem+json, application/json;q=0.5')
  const missing = await problem('application/problem+json', '/nowhere')
  const refused = await problem('application/json, application/problem+json;q=0')

  expect(res.headers['content-type']).toMatch(/^application\/problem\+json/)
  expect(res.json()).toEqual({
    type: 'urn:muxi:error:bad_request',
    title: 'Bad Request',
    status: 400,
    detail: 'querystring.limit must be integer',
    instance: `urn:muxi:request:${res.headers['x-request-id'] as string}`,
    code: 'bad_request',
    request_id: res.headers['x-request-id'],
    errors: [{ field: 'querystring.limit', message: 'must be integer' }],
    details: { field: 'querystring.limit' }
  })
  expect(missing.json()).toMatchObject({ status: 404, code: 'not_found' })
  expect(refused.json()).toHaveProperty('error')
})

test.for([
  ['two lengths', 'POST /api/v1/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400],
  ['length and encoding', 'POST /api/v1/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['a space before the colon', 'GET /health HTTP/1.1\r\nHost : x\r\n\r\n', 400],
  ['no HTTP', 'hello\r\n\r\n', 400],
  ['20 KiB of headers', `GET /health HTTP/1.1\r\nHost: x\r\nX-Big: ${'a'.repeat(20_000)}\r\n\r\n`, 431]
] as const)('bytes with %s are refused in the one format and the connection closed', async ([, bytes, status], { url }) => {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => { text += chunk.toString() })
  socket.write(bytes)
  await once(socket, 'close')

  expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toMatchObject({ error: { code: status === 431 ? 'headers_too_large' : 'bad_request', request_id: expect.stringMatching(/^req_/) } })
})
