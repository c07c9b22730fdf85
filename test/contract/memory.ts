import { expect } from 'vitest'
import { lacks } from './capabilities.ts'
import { asTool } from './client.ts'
import { atCore, call, type ContractTest, errorOf, fresh, jsonOf, knownAtCore, type Target } from './target.ts'

interface Hit { content: string, similarity: number, created_at?: string }

const path = '/api/v1/agents/greeter/memory'
/** What a user says, and what is remembered of it. */
const facts = { oslo: ['I live in Oslo', 'Lives in Oslo'], tea: ['I like tea from Oslo', 'Likes tea from Oslo'], rome: ['I work in Rome', 'Works in Rome'] } as const

/** What is remembered of users. */
export function memoryCases (test: ContractTest): void {
  test('agent_memory_search finds what a user said, the most alike first, and nothing of others', async ({ target }) => {
    const [user, other] = [fresh('alice'), fresh('bob')]
    await remember(target, user, 'rome', 'tea', 'oslo')
    await remember(target, other, 'oslo')
    const hits = await search(target, user, 'lives in Oslo')

    expect(hits[0]).toMatchObject({ content: 'Lives in Oslo', created_at: expect.stringMatching(/Z$/) })
    expect(hits.map(({ similarity }) => similarity)).toEqual(hits.map(({ similarity }) => similarity).sort((a, b) => b - a))
    expect(hits.filter(({ content }) => content === 'Lives in Oslo')).toHaveLength(1)
    expect(await search(target, user, 'lives in Oslo', 1)).toHaveLength(1)
  })

  test('agent_memory_search without a user searches all, where the Core can', async ({ target }) => {
    const user = fresh('alice')
    await remember(target, user, 'rome')
    const res = await call(target, 'admin', `${path}/search?query=Rome`)
    if (await lacks(target, 'memories.search', res)) return

    expect(await jsonOf(res)).toMatchObject({ results: expect.arrayContaining([expect.objectContaining({ content: 'Works in Rome' })]) })
  })

  test('agent_memory_clear forgets one user and nobody else, though the Core deletes whatever it is told to', async ({ target }) => {
    const [user, other] = [fresh('alice'), fresh('bob')]
    await remember(target, user, 'oslo', 'tea')
    await remember(target, other, 'oslo', 'rome')
    const kept = await memoriesAtCore(target, other)
    const res = await call(target, 'admin', `${path}?user_id=${user}`, { method: 'DELETE' })

    expect(await jsonOf(res)).toEqual({ status: 'cleared', agent_id: 'greeter', user_id: user, memories_cleared: 2 })
    expect(await memoriesAtCore(target, user)).toEqual([])
    expect(kept).toHaveLength(2)
    expect(await memoriesAtCore(target, other)).toEqual(kept)
  })

  test('agent_memory_clear forgets more than the Core lists at once', async ({ target }) => {
    const user = fresh('alice')
    for (let i = 0; i < 101; i++) await atCore(target, user, 'POST', '/memories', { content: `fact ${i}` })
    await remember(target, user, 'oslo')
    const cleared = await clear(target, user)

    // A Core that remembers by agent leaves what no agent was told.
    expect(cleared).toBe(target.missing.includes('memories.clear') ? 102 : 1)
    expect(await search(target, user, 'Oslo')).toEqual([])
  })

  test('a user whom nobody knows has nothing to find or to forget, and is not known for having been asked for', async ({ target }) => {
    const user = fresh('nobody')

    expect([await search(target, user, 'anything'), await clear(target, user)]).toEqual([[], 0])
    expect(await knownAtCore(target, user)).toBe(false)
  })

  test('agent_memory_clear forgets everybody, where the Core can', async ({ target }) => {
    const user = fresh('alice')
    await remember(target, user, 'oslo')
    const res = await call(target, 'admin', `${path}?all=true`, { method: 'DELETE' })
    if (await lacks(target, 'memories.clear', res)) return

    expect(await jsonOf(res)).toMatchObject({ status: 'cleared', agent_id: 'greeter' })
    expect(await search(target, user, 'Oslo')).toEqual([])
  })

  test('memory is the same as tools', async ({ target }) => {
    const user = fresh('alice')
    await remember(target, user, 'oslo', 'rome')
    const found = await asTool(target, 'admin', 'agent_memory_search', { agent_id: 'greeter', query: 'Oslo', user_id: user })

    expect(found).toEqual({ results: await search(target, user, 'Oslo') })
    expect(await asTool(target, 'admin', 'agent_memory_clear', { agent_id: 'greeter', user_id: user })).toMatchObject({ status: 'cleared', memories_cleared: 2 })
    expect(await search(target, user, 'Oslo')).toEqual([])
  })

  test.for([
    ['GET', '/search?query=', 'querystring.query'], ['GET', '/search?query=x&limit=0', 'querystring.limit'],
    ['DELETE', '', 'querystring.user_id'], ['DELETE', '?all=false', 'querystring.user_id'], ['DELETE', '?user_id=alice&all=true', 'querystring.user_id']
  ] as const)('%s …/memory%s is refused for its %s', async ([method, rest, field], { target }) => {
    const res = await call(target, 'admin', path + rest, { method })

    expect(res.status).toBe(400)
    expect(await errorOf(res)).toMatchObject({ code: 'bad_request', details: { field } })
  })
}

/** Makes the Core remember: by telling an agent where it listens for facts, else by writing them down. */
async function remember (target: Target, user: string, ...names: (keyof typeof facts)[]): Promise<void> {
  for (const [said, fact] of names.map((name) => facts[name])) {
    if (target.missing.includes('memories.search')) await atCore(target, user, 'POST', '/memories', { content: fact })
    else await call(target, 'user', '/api/v1/agents/greeter/chat', { body: { content: said, user_id: user } })
  }
}

async function memoriesAtCore (target: Target, user: string): Promise<string[]> {
  const { memories } = await atCore<{ memories: { id: string }[] }>(target, user, 'GET', '/memories?limit=100')
  return memories.map(({ id }) => id)
}

async function search (target: Target, user: string, query: string, limit = 5): Promise<Hit[]> {
  const search = new URLSearchParams({ query, user_id: user, limit: String(limit) })
  return (await jsonOf<{ results: Hit[] }>(await call(target, 'admin', `${path}/search?${search.toString()}`))).results
}

async function clear (target: Target, user: string): Promise<number> {
  return (await jsonOf<{ memories_cleared: number }>(await call(target, 'admin', `${path}?user_id=${user}`, { method: 'DELETE' }))).memories_cleared
}
