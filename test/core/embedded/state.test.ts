import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import { type EmbeddedCore, type EmbeddedCoreOptions, startEmbeddedCore } from '../../../core/embedded/index.ts'
import { startHttpServer } from './mcp-http.ts'
import { folder } from '../../fixtures/folder.ts'

const keys = { adminKey: 'sk_a', userKey: 'sk_u' }
const test = base.extend<{ folder: string, stateFile: string }>({
  folder,
  stateFile: async ({ folder }, use) => { await use(join(folder, 'state.json')) }
})

test('agents, memories, contexts, knowledge, messages and servers are there again after a restart', async ({ stateFile, folder }) => {
  await using server = await startHttpServer()
  const first = await startEmbeddedCore({ ...keys, stateFile })
  await call(first, 'POST', '/v1/agents', { id: 'ada', description: 'Counts', model: { provider: 'p', model: 'm', api_key: 'sk-secret' } })
  await call(first, 'DELETE', '/v1/agents/greeter')
  await call(first, 'POST', '/v1/agents/ada/mcp/servers', { name: 'sums', url: server.url, credentials: { token: 't' } })
  await call(first, 'POST', '/v1/agents/ada/knowledge', { id: 'faq', source_type: 'content', content: 'Returns are free.' })
  await call(first, 'POST', '/v1/users/alice/context', { knowledge: { name: 'Ada' } })
  await call(first, 'POST', '/v1/chat', { message: 'I live in Oslo', agent_id: 'ada', session_id: 's', stream: false })
  await first.close()
  const second = await startEmbeddedCore({ ...keys, stateFile })
  await expect.poll(async () => (await call(second, 'GET', '/v1/agents/ada')).mcp_servers).toMatchObject([{ name: 'sums', connected: true }])
  await call(second, 'POST', '/v1/chat', { message: 'more', agent_id: 'ada', session_id: 's', stream: false })

  expect((await stat(stateFile)).mode & 0o777).toBe(0o600)
  expect(await readdir(folder)).toEqual(['state.json'])
  expect(second.agents.get('ada')?.model.api_key).toBe('sk-secret')
  expect(second.agents.has('greeter')).toBe(false)
  expect(await call(second, 'GET', '/v1/agents/ada')).toMatchObject({ stats: { conversations: 1, total_messages: 4, active_users: 1 }, knowledge_sources: [{ id: 'faq' }] })
  expect(await call(second, 'GET', '/v1/agents/ada/knowledge/search?query=returns')).toMatchObject({ count: 1 })
  expect(await call(second, 'GET', '/v1/users/alice/context')).toMatchObject({ knowledge: { name: 'Ada' }, version: 1 })
  expect(await call(second, 'GET', '/v1/users')).toMatchObject({ users: [{ user_id: 'alice', message_count: 2 }] })
  expect(await call(second, 'GET', '/v1/memories')).toMatchObject({ memories: [{ content: 'Lives in Oslo' }] })
  expect(await call(second, 'GET', '/v1/sessions/s/messages')).toMatchObject({ count: 4 })
  expect(await call(second, 'GET', '/v1/usage')).toMatchObject({ requests: 2, agent_usage: { ada: 2 } })
  await second.close()
})

test('a change is written within a moment, the end of the process or not', async ({ stateFile }) => {
  const core = await startEmbeddedCore({ ...keys, stateFile })
  await call(core, 'POST', '/v1/users/alice/context', { knowledge: { name: 'Ada' } })

  await expect.poll(async () => JSON.parse(await readFile(stateFile, 'utf8')) as object, { timeout: 3000 }).toMatchObject({ version: 1, contexts: { alice: { knowledge: { name: 'Ada' } } } })
  await core.close()
})

test('an agent of the formation that nobody changed takes the model that is set now', async ({ stateFile }) => {
  const first = await startEmbeddedCore({ ...keys, stateFile })
  await call(first, 'PATCH', '/v1/agents/analyst', { model: { model: 'mine' } })
  await first.close()
  const second = await startEmbeddedCore({ ...keys, stateFile, llm: { url: 'http://127.0.0.1:9', model: 'small' } })
  await second.close()

  expect(second.agents.get('greeter')?.model).toEqual({ provider: 'openai', model: 'small' })
  expect(second.agents.get('analyst')?.model).toEqual({ provider: 'built-in', model: 'mine' })
})

test.for([['{"version":1', 'it is no JSON'], ['{"version":2}', 'version'], ['[]', 'the whole'], ['{"version":1,"agents":[{"id":7}]}', 'users']])('a file with %j stops the start', async ([text = '', reason], { stateFile }) => {
  await writeFile(stateFile, text)

  await expect(startEmbeddedCore({ stateFile })).rejects.toThrow(new RegExp(`^the state file \\S+ can't be used: [^\\n]*${reason}[^\\n]*$`))
  expect(await readFile(stateFile, 'utf8')).toBe(text)
})

test('a file that can not be written stops the start too', async ({ folder }) => {
  const options: EmbeddedCoreOptions = { stateFile: join(folder, 'none', 'state.json') }

  await expect(startEmbeddedCore(options)).rejects.toThrow(/^the state file \S+ can't be used: ENOENT[^\n]*$/)
})

async function call ({ url }: EmbeddedCore, method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const res = await fetch(url + path, {
    method, headers: { 'x-muxi-admin-key': keys.adminKey, 'x-muxi-client-key': keys.userKey, 'x-muxi-user-id': 'alice' }, body: JSON.stringify(body)
  })
  if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${await res.text()}`)
  return (await res.json() as { data: Record<string, unknown> }).data
}
