import { describe, expect } from 'vitest'
import { as, test } from '../app.ts'

const headers = as('admin')
const ada = { id: 'ada', description: 'Counts', model: { provider: 'openai', model: 'gpt-4o', temperature: 0.5, api_key: 'sk-secret-of-a-model' } }

test('an agent lives from create to delete', async ({ app }) => {
  const created = await app.inject({ method: 'POST', url: '/api/v1/agents', headers, payload: ada })
  const taken = await app.inject({ method: 'POST', url: '/api/v1/agents', headers, payload: ada })
  const updated = await app.inject({ method: 'PATCH', url: '/api/v1/agents/ada', headers, payload: { model: { temperature: 1 }, name: 'Ada' } })
  const shown = await app.inject({ url: '/api/v1/agents/ada', headers })
  const deleted = await app.inject({ method: 'DELETE', url: '/api/v1/agents/ada', headers })
  const gone = await app.inject({ url: '/api/v1/agents/ada', headers })

  expect([created.statusCode, created.json()]).toEqual([201, { id: 'ada', description: 'Counts', created_at: expect.any(String), status: 'created' }])
  expect([taken.statusCode, taken.json()]).toMatchObject([409, { error: { code: 'conflict', message: 'agent ada exists already' } }])
  expect(updated.json()).toEqual({ id: 'ada', description: 'Counts', updated_at: expect.any(String), status: 'updated' })
  expect(shown.json()).toMatchObject({ id: 'ada', name: 'Ada', model: { provider: 'openai', model: 'gpt-4o', temperature: 1 } })
  expect(deleted.json()).toEqual({ id: 'ada', status: 'deleted' })
  expect(gone.json()).toMatchObject({ error: { code: 'not_found', message: 'no agent ada' } })
})

test('the key of a model is never shown and never logged', async ({ app, lines }) => {
  await app.inject({ method: 'POST', url: '/api/v1/agents', headers, payload: ada })
  const shown = await app.inject({ url: '/api/v1/agents/ada', headers })
  const listed = await app.inject({ url: '/api/v1/agents', headers })

  expect(shown.body + listed.body + JSON.stringify(lines.all)).not.toContain('sk-secret-of-a-model')
})

test('agent_list pages, filters and sorts', async ({ app }) => {
  for (const id of ['c', 'a', 'b']) await app.inject({ method: 'POST', url: '/api/v1/agents', headers, payload: { ...ada, id } })
  const list = async (query: string) => (await app.inject({ url: `/api/v1/agents?${query}`, headers })).json<{ agents: { id: string }[], pagination: unknown }>()
  const first = await list('provider=openai&sort=id&limit=2')
  const last = await list('provider=openai&sort=-id&limit=2&offset=2')

  expect(first.agents.map(({ id }) => id)).toEqual(['a', 'b'])
  expect(first.pagination).toEqual({ total: 3, limit: 2, offset: 0, next_offset: 2 })
  expect(last.agents.map(({ id }) => id)).toEqual(['a'])
  expect(last.pagination).toEqual({ total: 3, limit: 2, offset: 2, next_offset: null })
})

test('agent_import takes a configuration, or the path of one that it never opens', async ({ app, core }) => {
  const config = { ...ada, mcp_servers: [{ name: 'calc', url: 'http://localhost:5001', credentials: { token: 'secret-of-a-server' } }] }
  const imported = await app.inject({ method: 'POST', url: '/api/v1/agents/import', headers, payload: { config } })
  const both = await app.inject({ method: 'POST', url: '/api/v1/agents/import', headers, payload: { config, config_path: 'a.yaml' } })

  expect([imported.statusCode, imported.json()]).toMatchObject([201, { id: 'ada', status: 'created', mcp_servers_connected: 0 }])
  expect(both.statusCode).toBe(400)
  expect(core.agents.has('ada')).toBe(true)
})

test.for(['/etc/passwd.yaml', '../agents.yaml', 'a/../../b.json', 'a.txt', 'a\\b.yaml', 'a\u0000.yaml'])('agent_import refuses the path %j', async (config_path, { app, core }) => {
  const res = await app.inject({ method: 'POST', url: '/api/v1/agents/import', headers, payload: { config_path } })

  expect(res.json()).toMatchObject({ error: { code: 'bad_request', details: { field: 'body.config_path' } } })
  expect(core.calls.some(({ path }) => path === '/v1/agents/import')).toBe(false)
})

test('agent_update and agent_delete under If-Match are made from what was read, or not at all', async ({ app }) => {
  await app.inject({ method: 'POST', url: '/api/v1/agents', headers, payload: ada })
  const read = async () => String((await app.inject({ url: '/api/v1/agents/ada', headers })).headers.etag)
  const change = async (tag: string, name: string) => await app.inject({ method: 'PATCH', url: '/api/v1/agents/ada', headers: { ...headers, 'if-match': tag }, payload: { name } })
  const tag = await read()
  const first = await change(tag, 'First')
  const second = await change(tag, 'Second')
  const stale = await app.inject({ method: 'DELETE', url: '/api/v1/agents/ada', headers: { ...headers, 'if-match': tag } })
  const unknown = await app.inject({ method: 'DELETE', url: '/api/v1/agents/nobody', headers: { ...headers, 'if-match': tag } })
  const deleted = await app.inject({ method: 'DELETE', url: '/api/v1/agents/ada', headers: { ...headers, 'if-match': await read() } })

  expect([first, second, stale, unknown, deleted].map(({ statusCode }) => statusCode)).toEqual([200, 412, 412, 404, 200])
})

describe('in front of a Core without the extensions', () => {
  test.override({ offers: 'real' })

  test('what this Core cannot do is 501 and names the capability', async ({ app }) => {
    const refused = await Promise.all([
      app.inject({ method: 'POST', url: '/api/v1/agents', headers, payload: ada }),
      app.inject({ method: 'PATCH', url: '/api/v1/agents/greeter', headers, payload: { name: 'x' } }),
      app.inject({ method: 'DELETE', url: '/api/v1/agents/greeter', headers }),
      app.inject({ method: 'POST', url: '/api/v1/agents/import', headers, payload: { config_path: 'a.yaml' } })
    ])
    const listed = await app.inject({ url: '/api/v1/agents', headers })

    expect(refused.map((res) => [res.statusCode, res.json<{ error: { details: unknown } }>().error.details])).toEqual(
      ['create', 'update', 'delete', 'import'].map((verb) => [501, { capability: `agents.${verb}` }]))
    expect(listed.statusCode).toBe(200)
  })
})

test('agent_import names the file that the Core does not have', async ({ app }) => {
  const res = await app.inject({ method: 'POST', url: '/api/v1/agents/import', headers: as('admin'), payload: { config_path: 'agents/finance.yaml' } })

  expect(res.statusCode).toBe(404)
  expect(res.json()).toMatchObject({ error: { code: 'not_found', message: 'no agent in agents/finance.yaml' } })
})
