import { expect } from 'vitest'
import { lacks } from './capabilities.ts'
import { call, type ContractTest, errorOf, fresh, jsonOf, type Target } from './target.ts'

const model = { provider: 'built-in', model: 'development' }

/** Reading agents, and changing them where the Core can. */
export function agentCases (test: ContractTest): void {
  test('agent_list shows the agents, page by page', async ({ target }) => {
    const all = await jsonOf<{ agents: { id: string, description: string }[] }>(await call(target, 'admin', '/api/v1/agents'))
    const page = await jsonOf(await call(target, 'admin', '/api/v1/agents?limit=1&sort=id'))

    expect(all).toMatchObject({ pagination: { total: all.agents.length, limit: 50, offset: 0, next_offset: null } })
    expect(all.agents.map(({ id }) => id)).toEqual(expect.arrayContaining(['greeter', 'analyst']))
    expect(all.agents.every(({ description }) => description.length > 0)).toBe(true)
    expect(page).toMatchObject({ agents: [{ id: 'analyst' }], pagination: { total: all.agents.length, limit: 1, offset: 0, next_offset: 1 } })
  })

  test('agent_get shows one agent', async ({ target }) => {
    const res = await call(target, 'admin', '/api/v1/agents/greeter')

    expect(res.status).toBe(200)
    expect(await jsonOf(res)).toMatchObject({ id: 'greeter', name: 'Greeter', description: expect.any(String), system_message: expect.any(String) })
  })

  test('agent_get answers not_found for an agent that the Core does not know', async ({ target }) => {
    const res = await call(target, 'admin', '/api/v1/agents/nobody')

    expect(res.status).toBe(404)
    expect(await errorOf(res)).toMatchObject({ code: 'not_found', message: 'no agent nobody' })
  })

  test('agent_list and agent_get show what the formation declares of an agent, without credentials', async ({ target }) => {
    const { agent, model, servers, knowledge } = target.declared
    const shown = await (await call(target, 'admin', `/api/v1/agents/${agent}`)).text()
    const listed = await jsonOf<{ agents: { id: string, model?: object }[] }>(await call(target, 'admin', '/api/v1/agents'))
    const read = JSON.parse(shown) as { model?: object, mcp_servers?: object[], knowledge_sources?: object[] }

    expect(read.model).toEqual(model)
    expect(read.mcp_servers ?? []).toEqual(servers.map(({ name, type, connected }) => ({ name, type, connected })))
    expect(read.knowledge_sources ?? []).toEqual(knowledge)
    expect(listed.agents.find(({ id }) => id === agent)?.model).toEqual(model)
    expect(shown).not.toMatch(/sk-hidden|"auth"/)
  })

  test.for([
    ['GET', 'conversations?user_id=alice'], ['DELETE', 'conversations?user_id=alice'], ['GET', 'memory/search?query=x&user_id=alice'], ['DELETE', 'memory?user_id=alice'],
    ['GET', 'mcp_servers'], ['GET', 'mcp_servers/x'], ['GET', 'knowledge']
  ] as const)('%s /agents/nobody/%s is not_found', async ([method, path], { target }) => {
    const res = await call(target, 'admin', `/api/v1/agents/nobody/${path}`, { method })

    expect([res.status, await errorOf(res)]).toMatchObject([404, { code: 'not_found', message: 'no agent nobody' }])
  })

  test.for([
    ['DELETE', 'mcp_servers/x', 'mcp_servers.disconnect'], ['GET', 'knowledge/search?query=x', 'knowledge.search'], ['DELETE', 'knowledge/x', 'knowledge.delete']
  ] as const)('%s /agents/nobody/%s is not_found, where the Core can do it', async ([method, path, capability], { target }) => {
    const res = await call(target, 'admin', `/api/v1/agents/nobody/${path}`, { method })
    if (await lacks(target, capability, res)) return

    expect([res.status, await errorOf(res)]).toMatchObject([404, { message: 'no agent nobody' }])
  })

  test('agent_create makes an agent that can be read, and refuses its id the second time', async ({ target }) => {
    const id = fresh('agent')
    const body = { id, description: 'Knows invoices', model, system_message: 'You know invoices.' }
    const made = await call(target, 'admin', '/api/v1/agents', { body })
    if (await lacks(target, 'agents.create', made)) return
    const read = await jsonOf(await call(target, 'admin', `/api/v1/agents/${id}`))
    const again = await call(target, 'admin', '/api/v1/agents', { body })

    expect(made.status).toBe(201)
    expect(await jsonOf(made)).toMatchObject({ id, description: 'Knows invoices', status: 'created' })
    expect(read).toMatchObject({ id, name: id, system_message: 'You know invoices.', model })
    expect(again.status).toBe(409)
    expect(await errorOf(again)).toMatchObject({ code: 'conflict', message: `agent ${id} exists already` })
  })

  test('agent_update changes what was sent and nothing else', async ({ target }) => {
    const id = await newAgent(target)
    const changed = await call(target, 'admin', `/api/v1/agents/${id ?? 'greeter'}`, { method: 'PATCH', body: { description: 'Knows taxes', model: { temperature: 0.5 } } })
    if (await lacks(target, 'agents.update', changed)) return
    const read = await jsonOf(await call(target, 'admin', `/api/v1/agents/${id}`))
    const unknown = await call(target, 'admin', '/api/v1/agents/nobody', { method: 'PATCH', body: { description: 'x' } })

    expect(await jsonOf(changed)).toMatchObject({ id, description: 'Knows taxes', status: 'updated' })
    expect(read).toMatchObject({ description: 'Knows taxes', model: { ...model, temperature: 0.5 }, system_message: 'You exist.' })
    expect(unknown.status).toBe(404)
  })

  test('agent_delete takes an agent away', async ({ target }) => {
    const id = await newAgent(target)
    const deleted = await call(target, 'admin', `/api/v1/agents/${id ?? 'greeter'}`, { method: 'DELETE' })
    if (await lacks(target, 'agents.delete', deleted)) return
    const read = await call(target, 'admin', `/api/v1/agents/${id}`)
    const again = await call(target, 'admin', `/api/v1/agents/${id}`, { method: 'DELETE' })

    expect(await jsonOf(deleted)).toEqual({ id, status: 'deleted' })
    expect([read.status, again.status]).toEqual([404, 404])
  })

  test('agent_import makes an agent with its tool servers and shows no credentials', async ({ target }) => {
    const id = fresh('agent')
    const config = { id, description: 'Knows stock', model: { ...model, api_key: 'sk-hidden' }, mcp_servers: [{ name: 'stock', url: 'http://127.0.0.1:9/mcp', credentials: { token: 'sk-hidden' } }] }
    const made = await call(target, 'admin', '/api/v1/agents/import', { body: { config } })
    if (await lacks(target, 'agents.import', made)) return
    const read = await (await call(target, 'admin', `/api/v1/agents/${id}`)).text()

    expect(made.status).toBe(201)
    expect(await jsonOf(made)).toMatchObject({ id, status: 'created', mcp_servers_connected: expect.any(Number) })
    expect(JSON.parse(read)).toMatchObject({ id, mcp_servers: [{ name: 'stock', type: 'http' }] })
    expect(read).not.toContain('sk-hidden')
  })
}

/** An agent of its own for a case, where the Core can make one. */
async function newAgent (target: Target): Promise<string | undefined> {
  if (target.missing.includes('agents.create')) return undefined
  const id = fresh('agent')
  await call(target, 'admin', '/api/v1/agents', { body: { id, description: 'Is there', model, system_message: 'You exist.' } })
  return id
}
