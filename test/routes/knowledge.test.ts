import { describe, expect } from 'vitest'
import { as, test } from '../app.ts'

const headers = as('admin')
const url = '/api/v1/agents/analyst/knowledge'
const pricing = { id: 'pricing', description: 'Prices', source_type: 'content', content: 'Three pricing tiers: free, team and enterprise.\n\nRefunds take ten days.' }

test('knowledge lives from create to delete', async ({ app }) => {
  const made = await app.inject({ method: 'POST', url, headers, payload: pricing })
  const taken = await app.inject({ method: 'POST', url, headers, payload: pricing })
  const listed = await app.inject({ url, headers })
  const found = await app.inject({ url: `${url}/search?query=pricing+tiers&threshold=0.1&top_k=1`, headers })
  const gone = await app.inject({ method: 'DELETE', url: `${url}/pricing`, headers })
  const again = await app.inject({ method: 'DELETE', url: `${url}/pricing`, headers })

  expect([made.statusCode, made.json()]).toEqual([201, { status: 'added', agent_id: 'analyst', knowledge_source: { id: 'pricing', description: 'Prices', document_count: expect.any(Number), created_at: expect.stringMatching(/Z$/) } }])
  expect(taken.json()).toMatchObject({ error: { code: 'conflict', message: 'knowledge pricing exists already' } })
  expect(listed.json()).toEqual({ agent_id: 'analyst', knowledge_sources: [made.json<{ knowledge_source: object }>().knowledge_source], pagination: { total: 1, limit: 50, offset: 0, next_offset: null } })
  expect(found.json()).toMatchObject({ agent_id: 'analyst', query: 'pricing tiers', results: [{ content: expect.stringContaining('Three pricing tiers'), similarity: expect.any(Number), knowledge_id: 'pricing', document_id: expect.any(String) }] })
  expect(gone.json()).toEqual({ status: 'removed', agent_id: 'analyst', knowledge_source: { id: 'pricing' } })
  expect(again.json()).toMatchObject({ error: { code: 'not_found', message: 'no knowledge pricing' } })
})

test.for([
  [{ ...pricing, id: 'search' }, 'body.id'], [{ ...pricing, content: undefined }, 'body.content'], [{ ...pricing, path: 'a.md' }, 'body.path'], [{ ...pricing, source_type: 'url' }, 'body.source_type'],
  [{ ...pricing, source_type: 'file' }, 'body.path'], [{ ...pricing, source_type: 'file', content: undefined, path: '../a.md' }, 'body.path'],
  [{ ...pricing, source_type: 'file', content: undefined, path: '/etc/passwd' }, 'body.path'], [{ ...pricing, source_type: 'file', content: undefined, path: 'a/../../b.md' }, 'body.path']
] as const)('knowledge_create refuses %j', async ([payload, field], { app, core }) => {
  const res = await app.inject({ method: 'POST', url, headers, payload })

  expect([res.statusCode, res.json()]).toMatchObject([400, { error: { code: 'bad_request', details: { field } } }])
  expect(core.calls.some(({ path }) => path.includes('/knowledge'))).toBe(false)
})

test('a file that is not on the Core is not found, and so is an agent', async ({ app }) => {
  const file = { id: 'x', description: 'x', source_type: 'file', path: 'no/such-file.md' }
  const res = await app.inject({ method: 'POST', url, headers, payload: file })
  const nobody = await app.inject({ method: 'POST', url: '/api/v1/agents/nobody/knowledge', headers, payload: file })

  expect([res.statusCode, res.json()]).toMatchObject([404, { error: { message: expect.stringContaining('no/such-file.md') } }])
  expect(nobody.json()).toMatchObject({ error: { message: 'no agent nobody' } })
})

test('a search costs six units', async ({ app }) => {
  const left = async (at: string) => Number((await app.inject({ url: at, headers })).headers['x-ratelimit-remaining'])
  const before = await left(url)

  expect(before - await left(`${url}/search?query=x`)).toBe(6)
})

describe('a Core whose agents only declare knowledge', () => {
  test.override({ offers: 'real' })

  test.for([
    ['a list', [{ id: 'faq', description: 'Questions' }, { path: 'docs/prices' }]], ['sources', { enabled: true, sources: [{ id: 'faq', description: 'Questions' }, { path: 'docs/prices' }] }], ['nothing', undefined]
  ] as const)('it is listed from %s, and cannot be changed or searched', async ([, knowledge], { app, core }) => {
    core.fail({ path: '/v1/agents/analyst', status: 200, body: JSON.stringify({ success: true, data: { id: 'analyst', knowledge } }) })
    const listed = await app.inject({ url, headers })
    const refused = await Promise.all([
      app.inject({ method: 'POST', url, headers, payload: pricing }), app.inject({ method: 'DELETE', url: `${url}/faq`, headers }), app.inject({ url: `${url}/search?query=x`, headers })
    ])

    expect(listed.json()).toMatchObject({ knowledge_sources: knowledge === undefined ? [] : [{ id: 'faq', description: 'Questions' }, { id: 'docs/prices' }] })
    expect(refused.map((res) => [res.statusCode, res.json<{ error: { details: unknown } }>().error.details])).toEqual(['create', 'delete', 'search'].map((verb) => [501, { capability: `knowledge.${verb}` }]))
  })
})
