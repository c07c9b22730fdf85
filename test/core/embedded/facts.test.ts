import { describe, expect } from 'vitest'
import { factsIn } from '../../../core/embedded/facts.ts'
import { test } from './core.ts'

const data = async <T = Record<string, unknown>>(res: Response) => (await res.json() as { data: T }).data
const post = (body: object) => ({ method: 'POST', body })
const say = (message: string, agent = 'greeter', request?: string) => post({ message, agent_id: agent, session_id: 's', stream: false, request_id: request })
const asBob = { headers: { 'x-muxi-user-id': 'bob' } }

test.for([
  ['I live in Oslo.', 'Lives in Oslo'],
  ['Hello, my name is Ada', 'Name is Ada'],
  ['Please remember that the door code is 1234!', 'The door code is 1234'],
  ['My favourite colour is blue', 'Favourite colour is blue'],
  ["I'm allergic to nuts", 'Is allergic to nuts'],
  ['i study maths', 'Studies maths'],
  ['I come from Bergen', 'Comes from Bergen']
])('%j states %j', ([message = '', fact]) => {
  expect(factsIn(message)).toEqual([fact])
})

test('a message may state several facts, and questions and small talk none', () => {
  expect(factsIn('I live in Oslo. The weather is bad. I like version 2.5 of tea!')).toEqual(['Lives in Oslo', 'Likes version 2.5 of tea'])
  for (const message of ['Do I live in Oslo?', 'I live in Oslo?', 'Nice weather', 'Remember', '', 'what is my name', 'My question is why', 'I need an answer']) expect(factsIn(message)).toEqual([])
})

test('memories are kept, listed newest first and paged, each user for itself', async ({ asAlice, asAdmin }) => {
  const made = await asAlice('/v1/memories', post({ type: 'preference', detail: 'Prefers tea', metadata: { from: 'form' } }))
  await asAlice('/v1/memories', post({ content: 'Plays chess' }))
  await asAlice('/v1/memories', { ...post({ content: 'Of bob' }), ...asBob })
  const list = await asAlice('/v1/memories')
  const second = await data<{ memories: object[] }>(await asAdmin('/v1/memories?limit=1&offset=1', { headers: { 'x-muxi-user-id': 'alice' } }))

  expect(made.status).toBe(200)
  expect(await made.json()).toMatchObject({
    object: 'memory', type: 'memory.created', data: { id: expect.stringMatching(/^mem_/), content: { type: 'preference', detail: 'Prefers tea' }, metadata: { type: 'preference', from: 'form' }, scope: 'user' }
  })
  expect(await list.json()).toMatchObject({ object: 'memory_list', type: 'memory.list', data: { memories: [{ content: 'Plays chess' }, { content: 'Prefers tea' }], count: 2 } })
  expect(second.memories).toEqual([
    { id: expect.any(String), content: 'Prefers tea', created_at: expect.stringMatching(/Z$/), metadata: { type: 'preference', from: 'form' }, scope: 'user', scope_id: null }
  ])
  expect((await asAlice('/v1/memories', post({}))).status).toBe(422)
  expect((await asAlice('/v1/memories?limit=101')).status).toBe(422)
})

test('whoever is asked for, or of whom something is remembered, is known from then on, as with the real Core', async ({ asAlice }) => {
  const before = (await asAlice('/v1/users/alice')).status
  await asAlice('/v1/memories')
  await asAlice('/v1/memories', { ...post({ content: 'Of bob' }), ...asBob })

  expect([before, (await asAlice('/v1/users/alice')).status, (await asAlice('/v1/users/bob')).status]).toEqual([404, 200, 200])
})

test('a batch tells of each of its items', async ({ asAlice }) => {
  const made = await data(await asAlice('/v1/memories/batch', post({ items: [{ content: 'a', source: 'crm' }, { nothing: 1 }, { detail: 'b' }] })))

  expect(made).toMatchObject({ items: [{ status: 'accepted', index: 0 }, { status: 'invalid', index: 1 }, { status: 'accepted', index: 2 }], counts: { accepted: 2, duplicate: 0, invalid: 1 } })
  expect(await data(await asAlice('/v1/memories'))).toMatchObject({ count: 2 })
})

test('a memory is deleted by whoever knows its id, as with the real Core', async ({ asAlice }) => {
  const { id } = await data<{ id: string }>(await asAlice('/v1/memories', post({ content: 'Of alice' })))
  const deleted = await asAlice(`/v1/memories/${id}`, { method: 'DELETE', ...asBob })
  const again = await asAlice(`/v1/memories/${id}`, { method: 'DELETE' })

  expect(await data(deleted)).toEqual({ deleted: id, user_id: 'bob' })
  expect(again.status).toBe(404)
  expect(await again.json()).toMatchObject({ error: { code: 'NOT_FOUND' } })
})

test('the history is empty', async ({ asAlice }) => {
  expect(await data(await asAlice('/v1/history'))).toEqual({ entries: [], count: 0 })
})

test('what a user says of itself is remembered once, with the agent that was told', async ({ asAlice, asAdmin }) => {
  for (const request of ['req_1', 'req_2']) await asAlice('/v1/chat', say('I live in Oslo. I like tea.', 'greeter', request))
  await asAlice('/v1/chat', { ...say('I live in Rome.'), ...asBob })
  await asAlice('/v1/chat', say('I work in Paris.', 'analyst'))
  const search = async (query: string) => await data(await asAdmin(`/v1/agents/greeter/memories/search?${query}`))

  expect(await data(await asAlice('/v1/memories'))).toMatchObject({ count: 3 })
  expect(await search('query=where+does+she+live')).toEqual({
    agent_id: 'greeter',
    results: [
      { id: expect.any(String), content: 'Lives in Oslo', similarity: expect.any(Number), created_at: expect.any(Number), message_id: 'req_1' },
      { id: expect.any(String), content: 'Lives in Rome', similarity: expect.any(Number), created_at: expect.any(Number), message_id: expect.any(String) }
    ],
    count: 2
  })
  expect(await search('query=live+oslo&user_id=alice&limit=1')).toMatchObject({ results: [{ content: 'Lives in Oslo', similarity: 1 }], count: 1 })
  expect(await search('query=paris')).toMatchObject({ count: 0 })
})

test('what an agent was told is forgotten for one user or for all, and never by accident', async ({ asAlice, asAdmin }) => {
  const path = '/v1/agents/greeter/memories'
  for (const message of ['I live in Oslo', 'I like tea']) await asAlice('/v1/chat', say(message))
  await asAlice('/v1/chat', { ...say('I like tea'), ...asBob })

  for (const query of ['', '?all=false', '?user_id=', '?user_id=alice&all=true']) expect((await asAdmin(path + query, { method: 'DELETE' })).status).toBe(422)
  expect(await data(await asAdmin(`${path}?user_id=bob`, { method: 'DELETE' }))).toEqual({ agent_id: 'greeter', user_id: 'bob', memories_cleared: 1 })
  expect(await data(await asAdmin(`${path}?all=true`, { method: 'DELETE' }))).toEqual({ agent_id: 'greeter', memories_cleared: 2 })
  expect((await asAdmin('/v1/agents/eve/memories?all=true', { method: 'DELETE' })).status).toBe(404)
  expect((await asAdmin('/v1/agents/greeter/memories/search')).status).toBe(422)
})

test('a memory that names an agent belongs to it', async ({ asAlice, asAdmin }) => {
  await asAlice('/v1/memories', post({ content: 'Plays chess', metadata: { agent_id: 'analyst' } }))

  expect(await data(await asAdmin('/v1/agents/analyst/memories/search?query=chess'))).toMatchObject({ results: [{ content: 'Plays chess', similarity: 1 }] })
})

test('a user may have several identifiers', async ({ asAlice }) => {
  const { muxi_user_id: id } = await data<{ muxi_user_id: string }>(await asAlice('/v1/users/resolve', post({ identifier: 'alice' })))
  const given = await data(await asAlice('/v1/users/identifiers', post({ muxi_user_id: id, identifiers: ['Ann@X.org', ['U1', 'slack'], { identifier: 'a2', type: 'app' }] })))
  const listed = await data(await asAlice(`/v1/users/identifiers/${id}`))

  expect(given).toMatchObject({ muxi_user_id: id, identifiers: [{ identifier: 'Ann@X.org', type: 'unknown' }, { identifier: 'U1', type: 'slack' }, { identifier: 'a2' }], count: 3 })
  expect(listed).toMatchObject({ internal_user_id: 1, identifiers: [{ identifier: 'alice' }, { identifier: 'ann@x.org' }, { identifier: 'U1', type: 'slack' }, {}], count: 4 })
  expect(await data(await asAlice('/v1/users/U1'))).toMatchObject({ muxi_user_id: id })
  expect((await asAlice('/v1/users/identifiers', post({ identifiers: ['x'] }))).status).toBe(500)
  expect((await asAlice('/v1/users/identifiers/none')).status).toBe(404)
})

describe('with what the real Core offers', () => {
  test.override({ options: { offers: 'real' } })

  test('memories are served, and the extensions around them are not', async ({ asAlice, asAdmin }) => {
    await asAlice('/v1/chat', say('I live in Oslo'))
    const paths = ['/v1/agents/greeter/memories/search?query=x', '/v1/users', '/v1/users/alice/context', '/v1/agents/greeter/knowledge', '/v1/agents/greeter/mcp/servers', '/v1/usage']

    expect(await data(await asAlice('/v1/memories'))).toMatchObject({ memories: [{ content: 'Lives in Oslo' }] })
    for (const path of paths) expect((await asAdmin(path)).status).toBe(404)
  })
})
