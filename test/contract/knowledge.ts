import { expect } from 'vitest'
import { lacks } from './capabilities.ts'
import { asTool } from './client.ts'
import { call, type ContractTest, errorOf, fresh, jsonOf, type Target } from './target.ts'

interface List { agent_id: string, knowledge_sources: { id: string }[], pagination: object }

const of = (agent: string) => `/api/v1/agents/${agent}/knowledge`
const text = { description: 'Prices', source_type: 'content', content: 'Three pricing tiers: free, team and enterprise.\n\nRefunds take ten days.' }

/** What agents look things up in: what a formation declares, and what was added. */
export function knowledgeCases (test: ContractTest): void {
  test('knowledge_list shows what the formation declares, and not where it lies', async ({ target }) => {
    const { agent, knowledge } = target.declared
    const list = await (await call(target, 'admin', of(agent))).text()

    expect(JSON.parse(list)).toEqual({ agent_id: agent, knowledge_sources: knowledge, pagination: { total: knowledge.length, limit: 50, offset: 0, next_offset: null } })
    expect(list).not.toContain('/')
  })

  test('a text lives from create to delete', async ({ target }) => {
    const id = fresh('pricing')
    const made = await call(target, 'admin', of('analyst'), { body: { ...text, id } })
    if (await lacks(target, 'knowledge.create', made)) return
    const source = (await jsonOf<{ knowledge_source: { id: string } }>(made)).knowledge_source
    const taken = await call(target, 'admin', of('analyst'), { body: { ...text, id } })
    const listed = await jsonOf<List>(await call(target, 'admin', of('analyst')))
    const gone = await call(target, 'admin', `${of('analyst')}/${id}`, { method: 'DELETE' })
    const after = await jsonOf<List>(await call(target, 'admin', of('analyst')))

    expect([made.status, source]).toEqual([201, { id, description: 'Prices', document_count: expect.any(Number), created_at: expect.stringMatching(/Z$/) }])
    expect([taken.status, await errorOf(taken)]).toMatchObject([409, { message: `knowledge ${id} exists already` }])
    expect(listed.knowledge_sources).toContainEqual(source)
    expect(await jsonOf(gone)).toEqual({ status: 'removed', agent_id: 'analyst', knowledge_source: { id } })
    expect(after.knowledge_sources.map(({ id: left }) => left)).not.toContain(id)
  })

  test('knowledge_search finds the passage that is asked for', async ({ target }) => {
    const id = await added(target)
    const res = await call(target, 'admin', `${of('analyst')}/search?query=pricing+tiers&threshold=0.1&top_k=1`)
    if (await lacks(target, 'knowledge.search', res)) return

    expect(await jsonOf(res)).toMatchObject({ agent_id: 'analyst', query: 'pricing tiers', results: [{ content: expect.stringContaining('Three pricing tiers'), similarity: expect.any(Number), knowledge_id: id }] })
    await call(target, 'admin', `${of('analyst')}/${id}`, { method: 'DELETE' })
  })

  test('knowledge_delete does not find what is not there', async ({ target }) => {
    const res = await call(target, 'admin', `${of('analyst')}/nothing`, { method: 'DELETE' })
    if (await lacks(target, 'knowledge.delete', res)) return

    expect([res.status, await errorOf(res)]).toMatchObject([404, { code: 'not_found', message: 'no knowledge nothing' }])
  })

  test('knowledge is the same as tools', async ({ target }) => {
    const { agent } = target.declared
    const id = await added(target)
    const list = await asTool(target, 'admin', 'knowledge_list', { agent_id: agent })

    expect(list).toEqual(await jsonOf(await call(target, 'admin', of(agent))))
    await call(target, 'admin', `${of('analyst')}/${id}`, { method: 'DELETE' })
  })
}

/** A text of its own for a case, where the Core takes one. */
async function added (target: Target): Promise<string> {
  const id = fresh('pricing')
  await call(target, 'admin', of('analyst'), { body: { ...text, id } })
  return id
}
