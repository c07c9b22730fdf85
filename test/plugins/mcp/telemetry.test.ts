import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../../../app.ts'
import { configFor, Lines } from '../../app.ts'
import { metric } from '../../faults/server.ts'
import { test, treeOf } from '../telemetry/spans.ts'
import { eras, speak } from './speak.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
const secretly = { name: 'chat_send', arguments: { content: 'my password is hunter2' } }
const count = 'mcp_server_operation_duration_seconds_count'

describe.for(eras)('in the %s era', (era) => {
  test('each request is counted under the names of OpenTelemetry', async ({ app }) => {
    const version = `mcp_protocol_version="${era === 'modern' ? '2026-07-28' : ''}"`
    await speak(app, 'tools/list', {}, { era })
    await speak(app, 'tools/call', { name: 'agent_get', arguments: { agent_id: 'greeter' } }, { era })
    await speak(app, 'tools/call', { name: 'agent_get', arguments: { agent_id: 'nobody' } }, { era })
    await speak(app, 'tools/call', { name: 'made_up_by_the_caller' }, { era })

    expect(await metric(app, count, 'mcp_method_name="tools/list"', 'gen_ai_tool_name=""', version, 'error_type=""')).toBe(1)
    expect(await metric(app, count, 'mcp_method_name="tools/call"', 'gen_ai_tool_name="agent_get"', version, 'error_type=""')).toBe(1)
    expect(await metric(app, count, 'gen_ai_tool_name="agent_get"', version, 'error_type="tool_error"')).toBe(1)
    expect(await metric(app, count, 'mcp_method_name="tools/call"', 'gen_ai_tool_name=""', version, 'error_type="-32602"')).toBe(1)
    expect(await metric(app, count, 'made_up')).toBe(0)
  })

  test('the trace in _meta is the parent of a call, and that of HTTP a link', async ({ app, spans, named }) => {
    const http = { traceparent: '00-11111111111111111111111111111111-2222222222222222-01' }
    await speak(app, 'tools/call', { name: 'agent_get', arguments: { agent_id: 'greeter' } }, { era, headers: http, meta: { traceparent } })
    const outer = named('mcp.mcp_message_send')

    expect(named('tools/call agent_get')).toMatchObject({ traceId, parentSpanId: '00f067aa0ba902b7', data: { 'mcp.method.name': 'tools/call', 'gen_ai.tool.name': 'agent_get', links: [{ traceId: outer.traceId, spanId: outer.spanId }] } })
    expect(named('http.agent_get')).toMatchObject({ traceId, parentSpanId: named('tools/call agent_get').spanId })
    expect(outer).toMatchObject({ traceId: '1'.repeat(32), parentSpanId: '2'.repeat(16) })
  })

  test('without one, or with one that is none, the call stands below its HTTP request', async ({ app, spans }) => {
    for (const meta of [{}, { traceparent: 'nonsense' }, { traceparent: 5 }]) {
      spans.length = 0
      await speak(app, 'tools/call', { name: 'agent_get', arguments: { agent_id: 'greeter' } }, { era, meta })

      expect(treeOf(spans)).toEqual(['mcp.mcp_message_send', '  auth.verify', '  tools/call agent_get', '    http.agent_get', '      core.call'])
    }
  })

  test('each call has a line that tells the tool, the caller and the protocol, and none tells the arguments', async ({ app, lines }) => {
    const { headers } = await speak(app, 'tools/call', secretly, { era, level: 'user' })
    const refused = await speak(app, 'tools/call', { name: 'agent_get', arguments: { agent_id: '..' } }, { era })
    const unknown = await speak(app, 'tools/call', { name: 'no_such_tool', arguments: { content: 'hunter2' } }, { era })
    const lineOf = (reply: { headers: Record<string, unknown> }, message: string) => lines.of(reply.headers['x-request-id']).find((line) => line.message === message && (line.protocol === 'mcp'))

    expect(lineOf({ headers }, 'request')).toMatchObject({ operationId: 'chat_send', protocol: 'mcp', caller: 'user', statusCode: 200 })
    expect(lineOf(refused, 'tool call')).toMatchObject({ tool: 'agent_get', protocol: 'mcp', caller: 'admin', digest: expect.any(String), error: 'bad_request', durationMs: expect.any(Number) })
    expect(lineOf(unknown, 'tool call')).toMatchObject({ tool: 'no_such_tool', error: '-32602' })
    expect(JSON.stringify(lines.all)).not.toContain('hunter2')
  })
})

test('tools of agents are counted under one name, and have a line each', async ({ core }) => {
  const lines = new Lines()
  const app: FastifyInstance = await buildApp(configFor(core), lines)
  app.mcp.features.push({ tools: { list: async () => [], call: (name) => name.startsWith('ada_') ? Promise.resolve({ content: [], ...(name.endsWith('fail') && { isError: true }) }) : undefined } })
  await app.ready()
  for (const name of ['ada_add', 'ada_weather', 'ada_fail']) await speak(app, 'tools/call', { name })

  expect(await metric(app, count, 'gen_ai_tool_name="tool_agent"', 'error_type=""')).toBe(2)
  expect(await metric(app, count, 'gen_ai_tool_name="tool_agent"', 'error_type="tool_error"')).toBe(1)
  expect(lines.all.filter(({ message }) => message === 'tool call').map(({ tool, protocol }) => [tool, protocol])).toEqual([['ada_add', 'mcp'], ['ada_weather', 'mcp'], ['ada_fail', 'mcp']])
  await app.close()
})
