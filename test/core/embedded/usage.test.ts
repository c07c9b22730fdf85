import { expect } from 'vitest'
import { Usage } from '../../../core/embedded/usage.ts'
import { test } from './core.ts'

test('chats are counted by agent, with an estimate of their tokens', async ({ asAlice, asAdmin }) => {
  for (const agent of ['analyst', 'analyst', 'greeter']) await (await asAlice('/v1/chat', { method: 'POST', body: { message: '12345 [fake: tokens=4]', agent_id: agent } })).text()
  const { data } = await (await asAdmin('/v1/usage?period=last_1h')).json() as { data: object }

  expect(data).toEqual({ period: 'last_1h', requests: 3, agent_usage: { analyst: 2, greeter: 1 }, tokens: { in: 18, out: 9 } })
  expect((await asAdmin('/v1/usage?period=last_1y')).status).toBe(422)
  expect((await (await asAdmin('/v1/usage')).json() as { data: object }).data).toMatchObject({ period: 'last_24h', requests: 3 })
})

test('a period leaves out what is older, and after seven days it is forgotten', () => {
  const now = Math.floor(Date.now() / 60_000)
  const minute = (ago: number) => ({ minute: now - ago, requests: 1, agents: { constructor: 1 }, in: 1, out: 1 })
  const usage = new Usage([minute(7 * 24 * 60), minute(25 * 60), minute(61), minute(1)])
  usage.add({ agent: 'constructor', asked: 'x', answered: 'y' })

  expect([usage.of('last_1h'), usage.of('last_24h'), usage.of('last_7d')]).toMatchObject([{ requests: 2, agent_usage: { constructor: 2 } }, { requests: 3 }, { requests: 4 }])
  expect(usage.all).toHaveLength(4)
})
