import { createHash } from 'node:crypto'
import { Ajv } from 'ajv'
import { describe, expect, test as plain } from 'vitest'
import type { FastifyInstance } from 'fastify'
import type { EmbeddedCore } from '../../../core/embedded/index.ts'
import { Spans } from '../../../plugins/telemetry/spans.ts'
import { TraceEvent } from '../../../schemas/traces.ts'
import { as, keys } from '../../app.ts'
import { test, treeOf } from './spans.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
const isSpan = new Ajv({ strict: false, validateFormats: false }).compile(TraceEvent)

describe('a request', () => {
  test('is a span in the caller\'s trace, above its key and its calls of the Core', async ({ app, spans }) => {
    const began = Date.now()
    await app.inject({ url: '/api/v1/agents/greeter', headers: { ...as('admin'), traceparent, 'x-request-id': 'r1' } })
    const ended = Date.now()

    const [auth, core, request] = spans
    expect(treeOf(spans)).toEqual(['http.agent_get', '  auth.verify', '  core.call'])
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]))
    expect(spans.every((span) => isSpan(JSON.parse(JSON.stringify(span))))).toBe(true)
    expect(request).toMatchObject({
      parentSpanId: '00f067aa0ba902b7',
      service: 'muxi-api',
      status: 'ok',
      message: 'GET /api/v1/agents/greeter',
      agentId: 'greeter',
      data: { method: 'GET', path: '/api/v1/agents/greeter', statusCode: 200, requestId: 'r1', protocol: 'http', caller: 'admin' }
    })
    expect(auth).toMatchObject({ data: { source: 'core', verdict: 'yes' } })
    expect(core).toMatchObject({ message: 'GET /agents/{}', data: { method: 'GET', path: '/agents/{}', statusCode: 200 } })
    expect(Date.parse(request!.timestamp)).toBeGreaterThanOrEqual(began - 3)
    expect(Date.parse(request!.timestamp) + request!.duration).toBeLessThanOrEqual(ended + 3)
    expect(request!.duration).toBeGreaterThan(core!.duration)
  })

  test('gives the Core the span of that call as its parent', async ({ app, core, spans, named }) => {
    await app.inject({ url: '/api/v1/agents', headers: { ...as('admin'), traceparent } })

    expect(spans).toHaveLength(3)
    expect(core.calls.find(({ path }) => path === '/v1/agents')!.traceparent).toBe(`00-${traceId}-${named('core.call').spanId}-01`)
  })

  test('has a line with its span\'s id', async ({ app, lines, named }) => {
    const res = await app.inject({ url: '/health' })

    expect(lines.of(res.headers['x-request-id'])).toEqual([expect.objectContaining({ traceId: res.headers['x-trace-id'], spanId: named('http.health_get').spanId })])
  })

  test('with a key that is known by now says so', async ({ app, spans }) => {
    await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    await app.inject({ url: '/api/v1/agents', headers: { authorization: 'Bearer sk_muxi_user_wrong' } })

    expect(spans.filter(({ component }) => component === 'auth').map(({ data }) => data)).toEqual([{ source: 'core', verdict: 'yes' }, { source: 'cache', verdict: 'yes' }, { source: 'core', verdict: 'no' }])
  })

  test('that fails with the Core is an error, as is the call that failed', async ({ app, core, spans }) => {
    await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    spans.length = 0
    core.fail({ status: 500, body: 'INSERT INTO users' })
    await app.inject({ url: '/api/v1/agents', headers: as('admin') })

    expect(spans.map(({ name, status, data }) => [name, status, data!.statusCode, data!.error])).toEqual([
      ['auth.verify', 'ok', undefined, undefined], ['core.call', 'error', 500, 'core_error'], ['http.agent_list', 'error', 502, 'core_error']
    ])
    expect(JSON.stringify(spans)).not.toContain('INSERT')
  })

  test('that the Core knows nothing of is no error', async ({ app, spans }) => {
    const { statusCode } = await app.inject({ url: '/api/v1/agents/nobody', headers: as('admin') })

    expect(statusCode).toBe(404)
    expect(spans.map(({ status }) => status)).toEqual(['ok', 'ok', 'ok'])
  })

  test('whose key cannot be judged tells where that failed', async ({ app, core, named }) => {
    await core.down()
    const { statusCode } = await app.inject({ url: '/api/v1/agents', headers: as('admin') })

    expect(statusCode).toBe(503)
    expect(named('auth.verify')).toMatchObject({ status: 'error', message: 'core_unavailable', data: { source: 'core', verdict: 'none' } })
  })

  test('inside of another one is its child', async ({ app, spans }) => {
    const { statusCode } = await app.inject({ method: 'DELETE', url: '/api/v1/agents/greeter', headers: { ...as('admin'), 'if-match': '"x"' } })

    expect(statusCode).toBe(412)
    expect(treeOf(spans)).toEqual(['http.agent_delete', '  auth.verify', '  http.agent_get', '    core.call'])
  })
})

test('a tool call of MCP is a span between the protocol and the operation', async ({ app, spans, named }) => {
  const mcp = async (name: string, args: object) => await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: { ...as('admin'), host: 'localhost', accept: 'application/json, text/event-stream', traceparent },
    payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }
  })
  await mcp('agent_get', { agent_id: 'greeter' })

  expect(treeOf(spans)).toEqual(['mcp.mcp_message_send', '  auth.verify', '  tools/call agent_get', '    http.agent_get', '      core.call'])
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]))
  expect(named('tools/call agent_get')).toMatchObject({ status: 'ok', message: 'agent_get', data: { tool: 'agent_get', failed: false, statusCode: 200 } })
  expect(named('http.agent_get').data).toMatchObject({ protocol: 'mcp', statusCode: 200, aborted: undefined })

  spans.length = 0
  await mcp('agent_get', { agent_id: 'nobody' })
  expect(named('tools/call agent_get')).toMatchObject({ status: 'ok', data: { failed: true, statusCode: 404 } })
  spans.length = 0
  await mcp('agent_get', { agent_id: '..' })
  expect(named('tools/call agent_get')).toMatchObject({ status: 'ok', data: { failed: true, statusCode: 400 } })
})

describe('of all spans', () => {
  /** One call that goes well, and one that fails. */
  const callTwice = async ({ app, core }: { app: FastifyInstance, core: EmbeddedCore }) => {
    await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    core.fail({ status: 500, path: '/v1/agents' })
    await app.inject({ url: '/api/v1/agents', headers: as('admin') })
  }

  describe('with a sample of none', () => {
    test.override({ settings: { MUXI_API_TRACING_SAMPLE: '0' } })

    test('only failures are recorded', async ({ app, core, spans }) => {
      await callTwice({ app, core })

      expect(treeOf(spans)).toEqual(['http.agent_list', '  core.call'])
      expect(spans.map(({ status }) => status)).toEqual(['error', 'error'])
    })
  })

  describe('with a list of components', () => {
    test.override({ settings: { MUXI_API_TRACING_COMPONENTS: 'http,agent' } })

    test('only theirs are recorded, and the Core\'s calls are children of the request', async ({ app, core, spans, named }) => {
      await app.inject({ url: '/api/v1/agents', headers: { ...as('admin'), traceparent } })

      expect(treeOf(spans)).toEqual(['http.agent_list'])
      expect(core.calls.find(({ path }) => path === '/v1/agents')!.traceparent).toBe(`00-${traceId}-${named('http.agent_list').spanId}-01`)
    })
  })

  describe('with tracing off', () => {
    test.override({ settings: { MUXI_API_TRACING_ENABLED: 'false' } })

    test('none is recorded, and the trace goes on', async ({ app, core, spans }) => {
      await callTwice({ app, core })
      await app.inject({ url: '/api/v1/agents', headers: { ...as('admin'), traceparent } })

      expect(spans).toEqual([])
      expect(core.calls.filter(({ path }) => path === '/v1/agents').at(-1)!.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`))
    })
  })

  plain('every instance judges a trace alike, and a larger sample has all of a smaller one', () => {
    const ids = Array.from({ length: 500 }, (_, at) => createHash('sha256').update(String(at)).digest('hex').slice(0, 32))
    const taken = (percent: number) => {
      const found: string[] = []
      const tap = { log: undefined, span: (span: TraceEvent) => { found.push(span.traceId) } }
      const spans = new Spans({ tap, config: { api: { tracing_enabled: true, tracing_components: [], tracing_sample: percent } } } as never)
      for (const id of ids) spans.record({ traceId: id, spanId: 'a'.repeat(16), parentSpanId: undefined, flags: '01', userId: undefined, isSampled: undefined }, { component: 'c', operation: 'o', started: 0 })
      return found
    }

    expect(taken(20)).toEqual(taken(20))
    expect(taken(60)).toEqual(expect.arrayContaining(taken(20)))
    expect([taken(0).length, taken(100).length]).toEqual([0, 500])
    expect(taken(20).length / 500).toBeCloseTo(0.2, 1)
  })

  test('none holds a key', async ({ app, spans }) => {
    const wrong = 'sk_muxi_user_wrongwrongwrong'
    for (const headers of [as('user'), as('admin'), { 'x-api-key': keys.user }, { authorization: `Bearer ${wrong}` }]) {
      await app.inject({ url: `/api/v1/agents?api_key=${keys.user}`, headers })
    }
    const { ticket } = (await app.inject({ method: 'POST', url: '/api/v1/stream-tickets', headers: as('user') })).json<{ ticket: string }>()
    await app.inject({ method: 'POST', url: `/api/v1/chat/stream?ticket=${ticket}`, payload: { content: 'hello' } })

    expect(spans.length).toBeGreaterThan(10)
    for (const secret of [keys.user, keys.admin, wrong, ticket]) expect(JSON.stringify(spans)).not.toContain(secret)
  })
})
