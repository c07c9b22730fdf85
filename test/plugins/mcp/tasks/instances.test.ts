import type { FastifyInstance } from 'fastify'
import { expect } from 'vitest'
import { buildApp } from '../../../../app.ts'
import { createMemoryCluster } from '../../../../plugins/cluster/memory.ts'
import { configFor, Lines, test as base } from '../../../app.ts'
import { longTools } from './long-tools.ts'
import { begin, endless, sayCore, sayExtended, slow } from './speak.ts'

interface Instances { one: FastifyInstance, other: FastifyInstance, leave: () => void }

/** Two instances on what one memory holds. */
const test = base.extend<{ instances: Instances }>({
  instances: async ({ core }, use) => {
    const shared = createMemoryCluster()
    const members = new Set(['one', 'other'])
    const [one, other] = await Promise.all([...members].map(async (id) => {
      const app = await buildApp(configFor(core, { MUXI_API_SECRET: 's'.repeat(32), MUXI_API_RATE_LIMIT_MCP: '0' }), new Lines())
      app.mcp.features.push(longTools(app.mcp.requestState))
      app.cluster = { ...shared, id, members: async () => [...members] }
      await app.ready()
      await app.core.check()
      return app
    }))
    await use({ one: one!, other: other!, leave: () => { members.delete('one') } })
    await Promise.all([one!.close(), other!.close()])
    await shared.close()
  }
})

const states = (core: { requests: Map<string, { status: string }> }) => [...core.requests.values()].map(({ status }) => status)

test('any instance tells of a task, and gives its answer once it is there', async ({ instances: { one, other } }) => {
  const { taskId } = await begin(one, slow)
  const working = await sayCore(other, 'tasks/get', { taskId })
  const { result } = await sayCore(other, 'tasks/result', { taskId })
  const listed = await sayCore(other, 'tasks/list')

  expect(working.result).toMatchObject({ taskId, status: 'working' })
  expect(result).toMatchObject({ structuredContent: { agent_response: expect.any(Object) } })
  expect(listed.result!.tasks).toMatchObject([{ taskId, status: 'completed' }])
})

test('a task that is cancelled at one instance ends where it runs', async ({ core, instances: { one, other } }) => {
  const { taskId } = await begin(one, endless)
  await expect.poll(() => states(core)).toEqual(['processing'])
  const { result } = await sayCore(other, 'tasks/cancel', { taskId })

  expect(result!.status).toBe('cancelled')
  await expect.poll(() => states(core)).toEqual(['cancelled'])
  await one.mcp.idle()
})

test('what a task asks is answered at another instance than the one that it runs at', async ({ instances: { one, other } }) => {
  const how = { can: { elicitation: {} } }
  const { result } = await sayExtended(one, 'tools/call', { name: 'ask', arguments: {} }, how)
  const get = async () => (await sayExtended(other, 'tasks/get', { taskId: result!.taskId })).result!
  for (const [key, name] of [['1.who', 'Ada'], ['2.who', 'Bob']] as const) {
    await expect.poll(async () => Object.keys((await get()).inputRequests ?? {}), { timeout: 4_000 }).toEqual([key])
    await sayExtended(other, 'tasks/update', { taskId: result!.taskId, inputResponses: { [key]: { action: 'accept', content: { name } } } })
  }

  await expect.poll(async () => (await get()).result?.content, { timeout: 4_000 }).toEqual([{ type: 'text', text: 'Ada and Bob' }])
})

test('a task of an instance that is gone has failed, which is said once and stays so', async ({ instances: { one, other, leave } }) => {
  const { taskId } = await begin(one, endless)
  const before = await sayCore(other, 'tasks/get', { taskId })
  leave()
  const after = await sayCore(other, 'tasks/get', { taskId })
  const { error } = await sayCore(other, 'tasks/result', { taskId })
  const again = await sayCore(other, 'tasks/get', { taskId })

  expect(before.result!.status).toBe('working')
  expect(after.result).toMatchObject({ status: 'failed', statusMessage: expect.stringContaining('the instance that worked on this is gone') })
  expect(error).toMatchObject({ code: -32_603, message: expect.stringContaining('is gone') })
  expect(again.result).toEqual(after.result)
})

test('who waits for a task learns that its instance is gone', async ({ instances: { one, other, leave } }) => {
  const { taskId } = await begin(one, endless)
  const waiting = sayCore(other, 'tasks/result', { taskId })
  leave()

  expect((await waiting).error).toMatchObject({ code: -32_603 })
})

test('a server that closes says of its tasks that they have failed', async ({ core, instances: { one, other } }) => {
  const { taskId } = await begin(one, endless)
  await expect.poll(() => states(core)).toEqual(['processing'])
  await one.close()
  const { result } = await sayCore(other, 'tasks/get', { taskId })

  expect(result).toMatchObject({ status: 'failed', statusMessage: expect.stringContaining('the server stopped before the tool was done') })
  expect(states(core)).toEqual(['cancelled'])
})
