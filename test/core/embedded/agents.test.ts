import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { expect } from 'vitest'
import { test } from './core.ts'

const model = { provider: 'openai', model: 'gpt-4o', api_key: 'sk-secret' }
const reference = '$' + '{NAME}'
const data = async (res: Response) => (await res.json() as { data: Record<string, unknown> }).data

test('two agents are there at the start', async ({ asAdmin }) => {
  const { agents, count } = await data(await asAdmin('/v1/agents'))

  expect(count).toBe(2)
  expect(agents).toMatchObject([
    { id: 'greeter', description: 'Answers greetings and small talk', source: 'formation', created_at: expect.any(Number) },
    { id: 'analyst', description: 'Answers questions about numbers and data' }
  ])
})

test('a created agent can be read, and the key of its model never leaves', async ({ core, asAdmin }) => {
  const created = await asAdmin('/v1/agents', { method: 'POST', body: { id: 'ada', description: 'Counts', model, extra: 1 } })
  const read = await data(await asAdmin('/v1/agents/ada'))

  expect(created.status).toBe(201)
  expect(await created.json()).toMatchObject({ type: 'agent.created', data: read })
  expect(read).toEqual({
    id: 'ada',
    name: 'ada',
    description: 'Counts',
    system_message: '',
    source: 'api',
    model: { provider: 'openai', model: 'gpt-4o' },
    created_at: expect.any(Number),
    updated_at: expect.any(Number),
    version: 1,
    stats: { conversations: 0, total_messages: 0, active_users: 0 },
    mcp_servers: [],
    knowledge_sources: []
  })
  expect(core.agents.get('ada')?.model.api_key).toBe('sk-secret')
})

test('an id that is taken is a conflict', async ({ asAdmin }) => {
  const res = await asAdmin('/v1/agents', { method: 'POST', body: { id: 'greeter', description: 'x', model } })

  expect(res.status).toBe(409)
  expect(await res.json()).toMatchObject({ type: 'error.conflict', error: { code: 'RESOURCE_CONFLICT' } })
})

test('a change touches what it names; the model merges by key', async ({ core, asAdmin }) => {
  await asAdmin('/v1/agents', { method: 'POST', body: { id: 'ada', description: 'Counts', model } })
  const changed = await asAdmin('/v1/agents/ada', { method: 'PATCH', body: { model: { temperature: 0.2 }, id: 'eve' } })

  expect(await changed.json()).toMatchObject({
    type: 'agent.updated', data: { id: 'ada', description: 'Counts', model: { provider: 'openai', model: 'gpt-4o', temperature: 0.2 } }
  })
  expect(core.agents.get('ada')?.model.api_key).toBe('sk-secret')
})

test('a change or a deletion from a stale version is refused', async ({ asAdmin }) => {
  const change = async (ifMatch: string, method = 'PATCH') =>
    await asAdmin('/v1/agents/analyst', { method, headers: { 'if-match': ifMatch }, ...(method === 'PATCH' && { body: { name: 'Ann' } }) })
  const first = await change('"1"')
  const stale = await change('"1"')

  expect(await data(first)).toMatchObject({ name: 'Ann', version: 2 })
  expect(stale.status).toBe(412)
  expect(await stale.json()).toMatchObject({ error: { code: 'PRECONDITION_FAILED', message: 'this is version "2" by now' } })
  expect((await change('W/"2"')).status).toBe(412)
  expect((await change('"7", "2"')).status).toBe(200)
  expect((await change('"2"', 'DELETE')).status).toBe(412)
  expect((await change('"3"', 'DELETE')).status).toBe(200)
})

test('a deleted agent is gone', async ({ asAdmin }) => {
  const deleted = await asAdmin('/v1/agents/analyst', { method: 'DELETE' })
  const again = await asAdmin('/v1/agents/analyst', { method: 'DELETE' })

  expect(await deleted.json()).toMatchObject({ type: 'agent.deleted', data: { id: 'analyst' } })
  expect(again.status).toBe(404)
  expect(await again.json()).toMatchObject({ type: 'error.not_found', error: { code: 'AGENT_NOT_FOUND' } })
})

test('members of the wrong type are refused, and prototypes stay untouched', async ({ asAdmin }) => {
  const refused = await asAdmin('/v1/agents', { method: 'POST', body: { description: 7, model: { provider: 'p' } } })
  await asAdmin('/v1/agents/greeter', { method: 'PATCH', body: '{"model":{"__proto__":{"polluted":1}},"__proto__":{"polluted":1}}' })

  expect(refused.status).toBe(422)
  expect(await refused.json()).toMatchObject({ error: { data: { validation_errors: [{ field: 'description' }, { field: 'model.model', error: 'missing' }] } } })
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})

test('an import takes a configuration with MCP servers and keeps their credentials to itself', async ({ core, asAdmin }) => {
  const config = { id: 'ada', description: 'Counts ' + reference, model, mcp_servers: [{ name: 'sums', url: 'http://localhost:1', credentials: { token: 't' } }] }
  const res = await asAdmin('/v1/agents/import', { method: 'POST', body: { config } })

  expect(res.status).toBe(201)
  expect(await data(res)).toMatchObject({
    id: 'ada', description: 'Counts ' + reference, mcp_servers_connected: 0, mcp_servers: [{ name: 'sums', type: 'http', url: 'http://localhost:1', connected: false }]
  })
  expect(JSON.stringify(await data(await asAdmin('/v1/agents/ada')))).not.toContain('credentials')
  expect(core.agents.get('ada')?.mcp_servers[0]?.credentials).toEqual({ token: 't' })
})

test('an import takes exactly one of a file and a configuration', async ({ asAdmin }) => {
  const both = await asAdmin('/v1/agents/import', { method: 'POST', body: { config: {}, config_path: 'a.yaml' } })
  const none = await asAdmin('/v1/agents/import', { method: 'POST', body: {} })

  expect([both.status, none.status]).toEqual([422, 422])
})

test('an import reads YAML below the working folder and nothing outside of it', async ({ asAdmin }) => {
  await using inside = await folder(process.cwd())
  await using outside = await folder(tmpdir())
  await writeFile(join(inside.path, 'ada.yaml'), 'id: ada\ndescription: Counts\nmodel: { provider: openai, model: gpt-4o }\n')
  await writeFile(join(outside.path, 'eve.yaml'), 'id: eve\ndescription: Spies\nmodel: { provider: openai, model: gpt-4o }\n')
  await symlink(join(outside.path, 'eve.yaml'), join(inside.path, 'link.yaml'))
  await writeFile(join(inside.path, 'bad.json'), '{')
  const from = async (path: string) => (await asAdmin('/v1/agents/import', { method: 'POST', body: { config_path: path } })).status
  const near = relative(process.cwd(), inside.path)

  expect(await from(join(near, 'ada.yaml'))).toBe(201)
  expect(await from(join(near, 'link.yaml'))).toBe(404)
  expect(await from(join(near, 'none.yaml'))).toBe(404)
  expect(await from(join(near, 'bad.json'))).toBe(422)
  expect(await from(join(outside.path, 'eve.yaml'))).toBe(422)
  expect(await from(`${near}/../../etc/x.yaml`)).toBe(422)
  expect(await from('package.lock')).toBe(422)
})

async function folder (where: string): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(where, '.import-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}
