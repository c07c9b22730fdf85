import { describe, expect } from 'vitest'
import { as, test } from '../app.ts'

const request = { url: '/api/v1/system/status', headers: as('admin') }

test('system_status_get tells how this server and its Core are', async ({ app, core }) => {
  const res = await app.inject(request)
  const { host } = new URL(core.url)

  expect([res.statusCode, res.json()]).toEqual([200, {
    status: 'healthy',
    version: app.release,
    uptime_seconds: expect.any(Number),
    active_agents: 2,
    active_connections: 0,
    memory_usage_mb: expect.any(Number),
    core_version: expect.any(String),
    components: {
      core: {
        status: 'healthy',
        latency_ms: expect.any(Number),
        host,
        in_use: 'primary',
        addresses: [{ name: 'primary', host, breaker: 'closed', breaker_opened: 0, connections: { open: expect.any(Number), running: 0, queued: 0 } }],
        retries: { made: 0, denied: 0, left: 5 },
        refused: 0,
        failovers: 0
      }
    },
    missing_capabilities: []
  }])
})

test('a Core that gives no status is degraded, one that does not answer unhealthy; both are told, not failed', async ({ app, core }) => {
  await app.inject(request)
  const heal = core.fail({ path: '/v1/status', status: 500 })
  const silent = await app.inject(request)
  heal()
  await core.down()
  const away = await app.inject(request)

  expect(silent.json()).toMatchObject({ status: 'degraded', components: { core: { status: 'degraded' } } })
  expect([away.statusCode, away.json()]).toMatchObject([200, { status: 'unhealthy', components: { core: { status: 'unhealthy' } } }])
})

describe('in front of a Core without the extensions', () => {
  test.override({ offers: 'real' })

  test('what it cannot do is listed', async ({ app }) => {
    expect((await app.inject(request)).json()).toMatchObject({ status: 'healthy', missing_capabilities: expect.arrayContaining(['users.list', 'knowledge.search', 'agents.create']) })
  })
})
