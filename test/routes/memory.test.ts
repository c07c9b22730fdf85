import type { FastifyInstance } from 'fastify'
import { describe, expect } from 'vitest'
import { as, test } from '../app.ts'
import type { EmbeddedCore } from '../../core/embedded/index.ts'

const headers = as('admin')
const tell = async (app: FastifyInstance, content: string, user = 'u42') => {
  await app.inject({ method: 'POST', url: '/api/v1/agents/greeter/chat', headers, payload: { content, user_id: user } })
}
const note = async (core: EmbeddedCore, content: string, user = 'u42') => {
  for (const [path, body] of [['users/resolve', { identifier: user }], ['memories', { content }]] as const) {
    await fetch(`${core.url}/v1/${path}`, { method: 'POST', headers: { 'x-muxi-client-key': core.userKey, 'x-muxi-user-id': user, 'content-type': 'application/json' }, body: JSON.stringify(body) })
  }
}
const search = async (app: FastifyInstance, query: string) => await app.inject({ url: `/api/v1/agents/greeter/memory/search?${query}`, headers })
const clear = async (app: FastifyInstance, query: string) => await app.inject({ method: 'DELETE', url: `/api/v1/agents/greeter/memory?${query}`, headers })

test('agent_memory_search finds what the agent was told, the most alike first', async ({ app }) => {
  await tell(app, 'I live in Oslo')
  await tell(app, 'My dog is called Rex')
  await tell(app, 'I live in Rome', 'bob')
  const all = await search(app, 'query=who+lives+where')
  const own = await search(app, 'query=lives+in+Oslo&user_id=u42&limit=1')

  expect(all.json<{ results: unknown[] }>().results).toHaveLength(2)
  expect(own.json()).toEqual({ results: [{ content: 'Lives in Oslo', similarity: expect.any(Number), created_at: expect.stringMatching(/Z$/), message_id: expect.stringMatching(/^msg_/) }] })
})

test('agent_memory_clear forgets one user, or everybody', async ({ app }) => {
  for (const user of ['u42', 'bob', 'eve']) await tell(app, 'I live in Oslo', user)
  const one = await clear(app, 'user_id=u42')
  const rest = await search(app, 'query=Oslo')
  const all = await clear(app, 'all=true')

  expect(one.json()).toEqual({ status: 'cleared', agent_id: 'greeter', user_id: 'u42', memories_cleared: 1 })
  expect(rest.json<{ results: unknown[] }>().results).toHaveLength(2)
  expect(all.json()).toEqual({ status: 'cleared', agent_id: 'greeter', memories_cleared: 2 })
})

test.for(['', 'all=false', 'user_id=u42&all=true', 'all=yes'])('agent_memory_clear refuses %j, so that nothing is lost by accident', async (query, { app }) => {
  expect((await clear(app, query)).json()).toMatchObject({ error: { code: 'bad_request' } })
})

test.for(['query=', `query=${'x'.repeat(1_001)}`, 'query=x&limit=0', 'query=x&top_k=3', ''])('agent_memory_search refuses %j', async (query, { app }) => {
  expect((await search(app, query)).json()).toMatchObject({ error: { code: 'bad_request' } })
})

test('a key that is bound to a user searches and forgets that user alone', async ({ app, core }) => {
  core.keys.set('sk_muxi_admin_boundtoalice00000000', { scope: 'admin', sub: 'alice' } as never)
  await tell(app, 'I live in Oslo', 'bob')
  const own = { authorization: 'Bearer sk_muxi_admin_boundtoalice00000000' }
  const found = await app.inject({ url: '/api/v1/agents/greeter/memory/search?query=Oslo', headers: own })
  const answers = await Promise.all(['user_id=bob', 'all=true'].map(async (query) => await app.inject({ method: 'DELETE', url: `/api/v1/agents/greeter/memory?${query}`, headers: own })))

  expect(found.json()).toEqual({ results: [] })
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([403, 403])
})

describe('a Core that lists memories and does not search them', () => {
  test.override({ offers: 'real' })

  test('agent_memory_search needs a user and compares words', async ({ app, core }) => {
    for (const content of ['Lives in Oslo', 'Has a dog in Oslo, named Rex', 'Likes tea']) await note(core, content)
    await note(core, 'Lives in Oslo', 'bob')
    const found = await search(app, 'query=OSLO+dog&user_id=u42')
    const nobody = await search(app, 'query=x&user_id=nobody')
    const unknown = await app.inject({ url: '/api/v1/agents/nobody/memory/search?query=x&user_id=u42', headers })
    const without = await search(app, 'query=dog')

    expect(found.json()).toMatchObject({ results: [{ content: 'Has a dog in Oslo, named Rex', similarity: 1 }, { content: 'Lives in Oslo', similarity: 0.5 }] })
    expect(nobody.json()).toEqual({ results: [] })
    expect(unknown.json()).toMatchObject({ error: { message: 'no agent nobody' } })
    expect([without.statusCode, without.json()]).toMatchObject([501, { error: { code: 'not_implemented', details: { capability: 'memories.search' } } }])
  })

  test('agent_memory_clear deletes what stands in that user\'s own list, over pages, and nothing else', async ({ app, core }) => {
    for (let i = 0; i < 105; i++) await note(core, `fact ${i}`)
    await note(core, 'Lives in Oslo', 'bob')
    const cleared = await clear(app, 'user_id=u42')
    const all = await clear(app, 'all=true')
    const kept = await search(app, 'query=Oslo&user_id=bob')

    expect(cleared.json()).toMatchObject({ user_id: 'u42', memories_cleared: 105 })
    expect([all.statusCode, all.json()]).toMatchObject([501, { error: { details: { capability: 'memories.clear' } } }])
    expect(kept.json<{ results: unknown[] }>().results).toHaveLength(1)
  })
})
