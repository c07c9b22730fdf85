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
    connections: { log_stream: 0, trace_stream: 0, chat_stream: 0, mcp: 0, rtc_stream: 0, socket: 0 },
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
    missing_capabilities: [],
    arrival: { address: '127.0.0.1', peer: '127.0.0.1', forwarded: 'none', protocol: 'http', host: 'localhost:80', http_version: '1.1' }
  }])
})

const forwarded = { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'api.example.com' }

test('what a proxy says of a call is told as ignored while nobody trusts that proxy', async ({ app }) => {
  const res = await app.inject({ ...request, headers: { ...request.headers, ...forwarded } })

  expect(res.json()).toMatchObject({ arrival: { address: '127.0.0.1', peer: '127.0.0.1', forwarded: 'ignored', protocol: 'http' } })
})

describe('behind a trusted proxy', () => {
  test.override({ settings: { MUXI_API_TRUST_PROXY: '127.0.0.1' } })

  test('it tells the caller\'s address, protocol and host, and the proxy\'s address beside them, to a tool call, too', async ({ app }) => {
    const headers = { ...request.headers, ...forwarded }
    const rest = await app.inject({ ...request, headers })
    const tool = await app.inject({
      method: 'POST', url: '/mcp', headers: { ...headers, accept: 'application/json, text/event-stream', 'x-forwarded-host': 'localhost' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'system_status_get', arguments: {} } }
    })
    const { result } = JSON.parse(tool.body.replace(/^event: message\ndata: /, '')) as { result: unknown }

    expect(rest.json()).toMatchObject({ arrival: { address: '203.0.113.7', peer: '127.0.0.1', forwarded: 'counted', protocol: 'https', host: 'api.example.com' } })
    expect(result).toMatchObject({ structuredContent: { arrival: { address: '203.0.113.7', forwarded: 'counted', protocol: 'https', host: 'localhost' } } })
  })
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
