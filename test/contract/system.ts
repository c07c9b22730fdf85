import { expect } from 'vitest'
import { asTool } from './client.ts'
import { call, type ContractTest, errorOf, fresh, jsonOf, type Target } from './target.ts'

interface Usage { period: string, endpoints: Record<string, number>, agent_usage: Record<string, number>, user_count: number, total_requests: number }

/** How the whole is doing, and what was used of it. */
export function systemCases (test: ContractTest): void {
  test('system_status_get tells how the server and the Core are', async ({ target }) => {
    const res = await call(target, 'admin', '/api/v1/system/status')
    const status = await jsonOf<{ active_agents: number }>(res)
    const { agents } = await jsonOf<{ agents: unknown[] }>(await call(target, 'admin', '/api/v1/agents'))

    expect(res.status).toBe(200)
    expect(status).toMatchObject({
      status: 'healthy',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      uptime_seconds: expect.any(Number),
      active_connections: expect.any(Number),
      memory_usage_mb: expect.any(Number),
      core_version: expect.stringMatching(/^\d/),
      components: { core: { status: 'healthy', latency_ms: expect.any(Number) } }
    })
    expect(status.active_agents).toBe(agents.length)
  })

  test('system_usage_get counts calls by endpoint, answers by agent, and users', async ({ target }) => {
    const before = await usage(target)
    for (const user of [fresh('alice'), fresh('bob')]) await call(target, 'user', '/api/v1/agents/analyst/chat', { body: { content: 'Where is the harbour?', user_id: user } })
    const after = await usage(target)
    const more = (count: (of: Usage) => number | undefined) => (count(after) ?? 0) - (count(before) ?? 0)

    expect(after.period).toBe('last_24h')
    expect(more(({ endpoints }) => endpoints['POST /agents/{agent_id}/chat'])).toBe(2)
    expect(more(({ agent_usage: agents }) => agents.analyst)).toBe(2)
    expect(more(({ user_count: users }) => users)).toBe(2)
    expect(more(({ total_requests: total }) => total)).toBeGreaterThanOrEqual(3)
  })

  test('system_usage_get knows three periods', async ({ target }) => {
    const periods = await Promise.all(['last_1h', 'last_24h', 'last_7d'].map(async (period) => (await usage(target, `?period=${period}`)).period))
    const other = await call(target, 'admin', '/api/v1/system/usage?period=last_year')

    expect(periods).toEqual(['last_1h', 'last_24h', 'last_7d'])
    expect([other.status, await errorOf(other)]).toMatchObject([400, { details: { field: 'querystring.period' } }])
  })

  test('status and usage are the same as tools', async ({ target }) => {
    expect(await asTool(target, 'admin', 'system_status_get')).toMatchObject({ status: 'healthy', missing_capabilities: target.missing })
    expect(await asTool(target, 'admin', 'system_usage_get', { period: 'last_1h' })).toMatchObject({ period: 'last_1h', agent_usage: (await usage(target, '?period=last_1h')).agent_usage })
  })
}

async function usage (target: Target, query = ''): Promise<Usage> {
  return await jsonOf<Usage>(await call(target, 'admin', `/api/v1/system/usage${query}`))
}
