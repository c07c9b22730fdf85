import type { FastifyInstance } from 'fastify'
import { describe, expect } from 'vitest'
import { as, test } from '../app.ts'

const headers = as('admin')
const url = '/api/v1/users/u42/context'
const knowledge = { name: 'Ada', location: { city: 'Oslo', country: 'Norway' }, likes: ['tea'] }
const call = async (app: FastifyInstance, method: 'GET' | 'POST' | 'PATCH' | 'DELETE', at: string, payload?: object, more: Record<string, string> = {}) =>
  await app.inject({ method, url: at, headers: { ...headers, ...more }, ...(payload !== undefined && { payload }) })

for (const offers of ['all', 'real'] as const) {
  describe(`contexts in front of a Core that offers ${offers}`, () => {
    test.override({ offers })

    test('a context lives from create to delete', async ({ app }) => {
      const created = await call(app, 'POST', url, { knowledge })
      const taken = await call(app, 'POST', url, { knowledge: { name: 'Bob', age: 3 } })
      const added = await call(app, 'POST', url, { knowledge: { age: 36 } })
      const updated = await call(app, 'PATCH', url, { knowledge: { location: { city: 'Bergen' }, likes: ['coffee'], pet: {} } })
      const shown = await call(app, 'GET', url)
      const removed = await call(app, 'DELETE', `${url}?fields=location.city,likes,nothing`)
      const rest = await call(app, 'GET', url)
      const cleared = await call(app, 'DELETE', url)
      const empty = await call(app, 'GET', url)

      expect([created.statusCode, created.json()]).toEqual([201, { status: 'added', user_id: 'u42', fields_added: ['name', 'location', 'likes'] }])
      expect([taken.statusCode, taken.json()]).toMatchObject([409, { error: { code: 'conflict', message: 'there already: name', details: { fields: ['name'] } } }])
      expect(added.statusCode).toBe(201)
      expect(updated.json()).toEqual({ status: 'updated', user_id: 'u42', fields_updated: ['location.city', 'likes', 'pet'] })
      expect(shown.json()).toEqual({
        user_id: 'u42', knowledge: { name: 'Ada', location: { city: 'Bergen', country: 'Norway' }, likes: ['coffee'], age: 36, pet: {} }, last_updated: expect.stringMatching(/Z$/)
      })
      expect(removed.json()).toEqual({ status: 'deleted', user_id: 'u42', fields_deleted: ['location.city', 'likes'] })
      expect(rest.json()).toMatchObject({ knowledge: { name: 'Ada', location: { country: 'Norway' }, age: 36, pet: {} } })
      expect(cleared.json<{ fields_deleted: string[] }>().fields_deleted.sort()).toEqual(['age', 'location', 'name', 'pet'])
      expect([empty.statusCode, empty.json()]).toMatchObject([200, { knowledge: {} }])
    })

    test('a user whom nobody knows has no context to read or change', async ({ app }) => {
      const answers = await Promise.all([call(app, 'GET', url), call(app, 'PATCH', url, { knowledge }), call(app, 'DELETE', url)])

      for (const res of answers) expect(res.json()).toMatchObject({ error: { code: 'not_found', message: 'no user u42' } })
    })

    test('updates at the same time lose nothing', async ({ app }) => {
      await call(app, 'POST', url, { knowledge: { start: true } })
      const answers = await Promise.all(Array.from({ length: 8 }, async (_, i) => await call(app, 'PATCH', url, { knowledge: { [`n${i}`]: i } })))
      const shown = (await call(app, 'GET', url)).json<{ knowledge: object }>()

      expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(8).fill(200))
      expect(Object.keys(shown.knowledge)).toHaveLength(9)
    })

    test('a change under If-Match is made from what was read, or not at all', async ({ app }) => {
      await call(app, 'POST', url, { knowledge })
      const tag = String((await call(app, 'GET', url)).headers.etag)
      const mine = await call(app, 'PATCH', url, { knowledge: { age: 36 } }, { 'if-match': tag })
      const theirs = await call(app, 'PATCH', url, { knowledge: { age: 37 } }, { 'if-match': tag })
      const gone = await call(app, 'DELETE', url, undefined, { 'if-match': `"other", ${tag}` })
      const weak = await call(app, 'DELETE', url, undefined, { 'if-match': `W/${String((await call(app, 'GET', url)).headers.etag)}` })
      const any = await call(app, 'DELETE', `${url}?fields=name`, undefined, { 'if-match': '*' })
      const fresh = await call(app, 'DELETE', `${url}?fields=likes`, undefined, { 'if-match': String((await call(app, 'GET', url)).headers.etag) })

      expect([mine, theirs, gone, weak, any, fresh].map(({ statusCode }) => statusCode)).toEqual([200, 412, 412, 412, 200, 200])
      expect(theirs.json()).toMatchObject({ error: { code: 'precondition_failed' } })
      expect((await call(app, 'GET', url)).json()).toMatchObject({ knowledge: { age: 36 } })
    })

    test.for([
      ['a name of JavaScript', '{"knowledge":{"a":{"prototype":1}}}'], ['another', '{"knowledge":{"constructor":1}}'], ['a third', '{"knowledge":{"__proto__":{"x":1}}}'],
      ['too many levels', JSON.stringify({ knowledge: Array.from({ length: 10 }).reduce<object>((inner) => ({ a: inner }), {}) })], ['very many levels', `{"knowledge":{"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}}`],
      ['too many bytes', JSON.stringify({ knowledge: { a: 'ü'.repeat(33_000) } })], ['nothing', '{"knowledge":{}}'], ['a list', '{"knowledge":[]}'], ['no knowledge', '{}'], ['more', '{"knowledge":{"a":1},"x":1}']
    ] as const)('knowledge with %s is refused', async ([, payload], { app, core }) => {
      const res = await app.inject({ method: 'POST', url, headers: { ...headers, 'content-type': 'application/json' }, payload })

      expect([res.statusCode, res.json()]).toMatchObject([400, { error: { code: 'bad_request' } }])
      expect(core.calls.some(({ method, path }) => method === 'POST' && path !== '/v1/auth/introspect')).toBe(false)
    })

    test('what grows too large by an update is refused, and stays as it was', async ({ app }) => {
      await call(app, 'POST', url, { knowledge: { a: 'x'.repeat(40_000) } })
      const res = await call(app, 'PATCH', url, { knowledge: { b: 'x'.repeat(40_000) } })

      expect(res.statusCode).toBe(400)
      expect(Object.keys((await call(app, 'GET', url)).json<{ knowledge: object }>().knowledge)).toEqual(['a'])
    })

    test('ids that are addresses or need escaping name one user', async ({ app }) => {
      const id = encodeURIComponent('Ada+x/y?z#ü@Example.com')
      await call(app, 'POST', `/api/v1/users/${id}/context`, { knowledge: { x: 1 } })
      const shown = await call(app, 'GET', `/api/v1/users/${id.toLowerCase()}/context`)

      expect(shown.json()).toMatchObject({ user_id: 'ada+x/y?z#ü@example.com', knowledge: { x: 1 } })
    })
  })
}

test('half a character in a user id is refused, also through a tool', async ({ app }) => {
  const payload = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"user_context_get","arguments":{"user_id":"\\ud800"}}}'
  const res = await app.inject({ method: 'POST', url: '/mcp', headers: { ...headers, host: 'localhost', 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, payload })

  expect(res.body).toContain('params.user_id must be Unicode text')
})

test('user_list shows who is there, by the beginning of the id', async ({ app }) => {
  for (const user of ['ada', 'adam', 'bob']) await app.inject({ method: 'POST', url: '/api/v1/chat', headers, payload: { content: 'hello', user_id: user } })
  await call(app, 'POST', '/api/v1/users/adam/context', { knowledge })
  const found = await call(app, 'GET', '/api/v1/users?search=ada&sort=-user_id')
  const page = await call(app, 'GET', '/api/v1/users?limit=1&sort=user_id&offset=1')

  expect(found.json()).toMatchObject({ users: [{ user_id: 'adam', has_context: true, message_count: 1, last_seen_at: expect.stringMatching(/Z$/) }, { user_id: 'ada', has_context: false }], pagination: { total: 2 } })
  expect(page.json()).toMatchObject({ users: [{ user_id: 'adam' }], pagination: { total: 3, limit: 1, offset: 1, next_offset: 2 } })
})

test('an admin key that is bound to a user reaches no other', async ({ app, core }) => {
  core.keys.set('sk_muxi_admin_boundtoalice00000000', { scope: 'admin', sub: 'alice' } as never)
  await call(app, 'POST', '/api/v1/users/bob/context', { knowledge })
  const own = { authorization: 'Bearer sk_muxi_admin_boundtoalice00000000' }
  const other = await app.inject({ url: '/api/v1/users/bob/context', headers: own })
  const list = await app.inject({ url: '/api/v1/users', headers: own })

  expect(other.statusCode).toBe(403)
  expect(list.json()).toMatchObject({ users: [] })
})

describe('a Core without contexts of its own', () => {
  test.override({ offers: 'real' })

  test('user_list is 501, and a context is one marked memory that searches and clearing leave alone', async ({ app, core }) => {
    const list = await call(app, 'GET', '/api/v1/users')
    await call(app, 'POST', url, { knowledge })
    await call(app, 'PATCH', url, { knowledge: { age: 36 } })
    const search = await call(app, 'GET', '/api/v1/agents/greeter/memory/search?query=oslo&user_id=u42')
    const cleared = await call(app, 'DELETE', '/api/v1/agents/greeter/memory?user_id=u42')
    const kept = core.calls.filter(({ method, path }) => method === 'POST' && path === '/v1/memories').length - core.calls.filter(({ method, path }) => method === 'DELETE' && path.startsWith('/v1/memories/')).length

    expect([list.statusCode, list.json()]).toMatchObject([501, { error: { details: { capability: 'users.list' } } }])
    expect(search.json()).toEqual({ results: [] })
    expect(cleared.json()).toMatchObject({ memories_cleared: 0 })
    expect(kept).toBe(1)
    expect((await call(app, 'GET', url)).json()).toMatchObject({ knowledge: { age: 36 } })
  })

  test('a memory that only looks like a context is passed over', async ({ app, core }) => {
    await call(app, 'POST', url, { knowledge })
    await fetch(`${core.url}/v1/memories`, { method: 'POST', headers: { 'x-muxi-client-key': core.userKey, 'x-muxi-user-id': 'u42', 'content-type': 'application/json' }, body: '{"content":"muxi:user-context:1 {broken"}' })

    expect((await call(app, 'GET', url)).json()).toMatchObject({ knowledge })
  })
})
