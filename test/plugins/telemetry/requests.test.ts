import { expect } from 'vitest'
import { as, keys, test } from '../../app.ts'

test('every answer has a request id: the caller\'s where it is well formed, else a fresh one', async ({ app }) => {
  const given = await app.inject({ url: '/health', headers: { 'x-request-id': 'abc-1.2_3' } })
  const bad = await app.inject({ url: '/health', headers: { 'x-request-id': 'a b' } })

  expect(given.headers['x-request-id']).toBe('abc-1.2_3')
  expect(bad.headers['x-request-id']).toMatch(/^req_[\w-]{16}$/)
})

test('a trace is continued to the Core, or begun', async ({ app, core, lines }) => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  const res = await app.inject({ url: '/api/v1/agents', headers: { ...as('admin'), traceparent: `00-${traceId}-00f067aa0ba902b7-01` } })
  const fresh = await app.inject({ url: '/health', headers: { traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` } })

  expect(res.headers['x-trace-id']).toBe(traceId)
  expect(lines.of(res.headers['x-request-id']).at(-1)).toMatchObject({ traceId, parentSpanId: '00f067aa0ba902b7' })
  expect(fresh.headers['x-trace-id']).toMatch(/^(?!0+$)[0-9a-f]{32}$/)
  expect(core.calls.some(({ path }) => path === '/v1/agents')).toBe(true)
})

test('a request is one line with its operation, level, status, sizes and time', async ({ app, lines }) => {
  const res = await app.inject({ url: '/api/v1/agents/nobody?x=1', headers: as('user') })

  expect(lines.of(res.headers['x-request-id'])).toEqual([expect.objectContaining({
    level: 'info',
    service: 'muxi-api',
    message: 'request',
    operationId: 'agent_get',
    method: 'GET',
    path: '/api/v1/agents/nobody',
    statusCode: 403,
    caller: 'user',
    protocol: 'http',
    error: 'forbidden',
    durationMs: expect.any(Number),
    bytesOut: expect.any(Number),
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })])
})

test('no line and no metric holds a key', async ({ app, lines }) => {
  for (const headers of [as('user'), as('admin'), { 'x-api-key': keys.user }, { authorization: 'Bearer sk_muxi_user_wrong' }]) {
    await app.inject({ url: `/api/v1/agents?api_key=${keys.user}`, headers })
  }
  const metrics = await app.inject({ url: '/metrics', headers: as('admin') })

  expect(lines.all.length).toBeGreaterThan(4)
  expect(JSON.stringify(lines.all)).not.toContain('sk_muxi_')
  expect(metrics.body).not.toContain('sk_muxi_')
})

test('the metrics count requests by operation, Core calls and verdicts', async ({ app }) => {
  await app.inject({ url: '/api/v1/agents', headers: as('admin') })
  await app.inject({ url: '/api/v1/agents', headers: as('admin') })
  const { body, headers } = await app.inject({ url: '/metrics', headers: as('admin') })

  expect(headers['content-type']).toContain('text/plain')
  expect(body).toContain('http_server_request_duration_seconds_count{http_request_method="GET",http_route="/api/v1/agents",http_response_status_code="200",operation="agent_list",protocol="http"} 2')
  expect(body).toContain('muxi_api_core_request_duration_seconds_count{method="GET",route="agents",status="200"} 2')
  expect(body).toContain('muxi_api_key_verdicts_total{source="core",verdict="yes"} 1')
  expect(body).toContain('muxi_api_key_verdicts_total{source="cache",verdict="yes"} 2')
  expect(body).toContain('muxi_api_core_up 1')
})
