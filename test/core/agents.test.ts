import { expect } from 'vitest'
import { agentsOf, type Agents } from '../../core/agents.ts'
import type { CoreAgent } from '../../core/types.ts'
import { admin, callsOf, test as base } from './client.ts'

interface Fixtures {
  agents: Agents
  /** makes the Core answer a path with that */
  put: (path: string, data: object) => void
  /** reads an agent of which the Core tells that */
  read: (agent: object) => Promise<CoreAgent>
}

const test = base.extend<Fixtures>({
  agents: async ({ client }, use) => { await use(agentsOf(callsOf(client, admin))) },
  put: async ({ core }, use) => {
    await use((path, data) => {
      core.heal()
      core.fail({ path: `/v1${path}`, status: 200, body: JSON.stringify({ success: true, data }) })
    })
  },
  read: async ({ agents, put }, use) => {
    await use(async (agent) => {
      put('/agents/ada', { id: 'ada', ...agent })
      return await agents.get('ada')
    })
  }
})

test('a model is told as a string, as declared for texts, or as it is', async ({ read }) => {
  const told = [{ model: 'openai/gpt-4o' }, { model: 'local' }, { llm_models: [{}, { text: 'openai/gpt-4o', settings: { temperature: 0.5 } }] }, { model: { model: 'x' }, llm_models: [{ text: 'y/z' }] }]
  const models: unknown[] = []
  for (const agent of told) models.push((await read(agent)).model)

  expect(models).toEqual([{ provider: 'openai', model: 'gpt-4o' }, { model: 'local' }, { provider: 'openai', model: 'gpt-4o', temperature: 0.5 }, { model: 'x' }])
})

test.for([
  ['a list', [{ id: 'faq', description: 'Questions' }, 'docs/prices'], ['faq', 'docs/prices']],
  ['sources', { enabled: true, sources: [{ name: 'faq' }, { path: 'docs/prices' }] }, ['faq', 'docs/prices']],
  ['paths that the Core made absolute', ['/srv/formation/docs/prices/', { path: '/srv/formation/faq' }], ['prices', 'faq']],
  ['sources that are switched off', { enabled: false, sources: ['docs'] }, []],
  ['nothing', undefined, undefined]
] as const)('texts are declared as %s', async ([, knowledge, ids], { read }) => {
  const { knowledge_sources: sources } = await read({ knowledge })

  expect(sources?.map(({ id }) => id)).toEqual(ids)
})

test('an agent has its own tool servers and those of the formation, each once', async ({ agents, core }) => {
  const answer = (path: string, data: object) => core.fail({ path: `/v1${path}`, status: 200, body: JSON.stringify({ success: true, data }) })
  answer('/agents/ada', { id: 'ada', mcp_servers: [{ id: 'own', command: 'x' }, { id: 'both', active: false }] })
  answer('/mcp/servers', { servers: [{ id: 'both' }, { id: 'shared', active: true }] })

  expect((await agents.servers('ada')).map(({ name, connected }) => [name, connected])).toEqual([['own', undefined], ['both', false], ['shared', undefined]])
})

test('a Core may tell of no agents, and of no servers', async ({ agents, put }) => {
  put('/agents', {})
  const none = await agents.list()
  put('/mcp/servers', {})

  expect([none, await agents.servers('greeter')]).toEqual([[], []])
})
