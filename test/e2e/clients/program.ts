import createClient from 'openapi-fetch'
import type { paths } from './muxi.js'

// A user of the generated client: everything below is typed by the document alone.
const [baseUrl = '', userKey = '', adminKey = '', id = ''] = process.argv.slice(2)
const clientFor = (key: string) => createClient<paths, 'application/json'>({ baseUrl, headers: { authorization: `Bearer ${key}` } })
const user = clientFor(userKey)
const admin = clientFor(adminKey)

const chat = await user.POST('/api/v1/chat', { body: { content: 'What is 6 times 7?', user_id: id } })
const refused = await user.GET('/api/v1/agents')
const unknown = await clientFor('sk_muxi_user_nobody').POST('/api/v1/chat', { body: { content: 'Hello' } })

const created = await admin.POST('/api/v1/agents', { body: { id, description: 'Counts', model: { provider: 'openai', model: 'gpt-4o' } } })
const list = await admin.GET('/api/v1/agents', { params: { query: { limit: 100, sort: 'id' } } })
const path = { agent_id: id }
const read = await admin.GET('/api/v1/agents/{agent_id}', { params: { path } })
const header = { 'If-Match': read.response.headers.get('etag') ?? '' }
const updated = await admin.PATCH('/api/v1/agents/{agent_id}', { params: { path, header }, body: { description: 'Counts on' } })
const late = await admin.PATCH('/api/v1/agents/{agent_id}', { params: { path, header }, body: { description: 'Too late' } })
const again = await admin.GET('/api/v1/agents/{agent_id}', { params: { path } })
const deleted = await admin.DELETE('/api/v1/agents/{agent_id}', { params: { path } })

const whose = { params: { path: { user_id: id } } }
const added = await admin.POST('/api/v1/users/{user_id}/context', { ...whose, body: { knowledge: { name: 'Ada', location: { city: 'Oslo' } } } })
const changed = await admin.PATCH('/api/v1/users/{user_id}/context', { ...whose, body: { knowledge: { location: { city: 'Bergen' } } } })
const context = await admin.GET('/api/v1/users/{user_id}/context', whose)

console.log(JSON.stringify({
  chat: chat.data?.agent_response.content,
  answered_at: typeof chat.data?.created_at,
  refused: refused.error?.error.code,
  unknown: unknown.error?.error.code,
  created: created.data?.status,
  listed: list.data?.agents.some((agent) => agent.id === id),
  total: list.data?.pagination.total === list.data?.agents.length,
  read: read.data?.description,
  updated: updated.data?.status,
  late: [late.response.status, late.error?.error.code],
  again: again.data?.description,
  deleted: deleted.data?.status,
  added: added.data?.fields_added,
  changed: changed.data?.fields_updated,
  context: context.data?.knowledge
}))
