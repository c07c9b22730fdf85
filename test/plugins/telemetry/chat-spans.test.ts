import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as } from '../../app.ts'
import { reading } from '../sse/events.ts'
import { test, treeOf } from './spans.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const headers = { ...as('user'), traceparent: `00-${traceId}-00f067aa0ba902b7-01`, 'x-request-id': 'r1' }
const say = async (app: FastifyInstance, content: string, rest: object = {}, path = '/api/v1/chat') => await app.inject({ method: 'POST', url: path, headers, payload: { content, ...rest } })
const branches = ['  auth.verify', '  user.message', '  core.call', '  core.stream', '  agent.response', '    agent.tool_call', '      agent.tool_result']
const sorted = (tree: string[]) => [...tree].sort()

test('a chat is one tree: its message, the Core, the answer with its tools', async ({ app, core, spans, named }) => {
  const { statusCode } = await say(app, 'What is 6 times 7?', { user_id: 'u42', session_id: 's-1' })

  expect(statusCode).toBe(200)
  expect(sorted(treeOf(spans))).toEqual(sorted(['http.chat_send', ...branches]))
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]))
  expect(spans.filter(({ name }) => name !== 'auth.verify').map(({ userId }) => userId)).toEqual(Array.from({ length: 7 }, () => 'u42'))
  expect(named('user.message')).toMatchObject({ message: 'message received', data: { length: 18, attachments: 0, sessionId: 's-1', agent: undefined } })
  expect(named('agent.tool_call')).toMatchObject({ status: 'ok', message: 'calculator', agentId: 'analyst', data: { tool: 'calculator', answered: true } })
  expect(named('agent.response')).toMatchObject({ status: 'ok', message: 'answered', agentId: 'analyst', data: { length: '6 * 7 = 42.'.length, toolCalls: 1, sessionId: 's-1' } })
  expect(core.calls.find(({ path }) => path === '/v1/chat')!.traceparent).toBe(`00-${traceId}-${named('core.stream').spanId}-01`)
})

test('a streamed one is the same tree below its stream', async ({ app, spans, named }) => {
  await say(app, 'What is 6 times 7?', {}, '/api/v1/chat/stream')

  expect(sorted(treeOf(spans))).toEqual(sorted(['sse.chat_stream', ...branches]))
  expect(named('core.stream').duration).toBeLessThanOrEqual(named('sse.chat_stream').duration)
})

test('the message is found by the id that the Core has for it, at the span of its stream', async ({ app, named }) => {
  const { id } = (await say(app, 'hello')).json<{ id: string }>()

  expect(app.traceOfRequest(id)).toEqual({ traceId, spanId: named('core.stream').spanId })
  expect(app.traceOfRequest('another')).toBeUndefined()
})

test('nothing that was said is in it, nor what tools were given and gave', async ({ app, spans }) => {
  const { body } = await say(app, 'What is 6 times 7? And my dog is called Bello.', { user_id: 'u42' })

  expect(body).toContain('6 * 7')
  for (const text of ['6 times 7', '6 * 7', '42.', 'Bello', '"expression"', '"result"']) expect(JSON.stringify(spans)).not.toContain(text)
})

describe('a chat that goes wrong', () => {
  test('is an error of the answer, of the Core\'s stream and of the request', async ({ app, core, spans }) => {
    core.fail({ path: '/v1/chat', cutAfter: 1 })
    await say(app, '[fake: tokens=5]', {}, '/api/v1/chat/stream')

    expect(spans.filter(({ status }) => status === 'error').map(({ name, data }) => [name, data!.error])).toEqual([
      ['core.stream', 'core_unavailable'], ['agent.response', 'core_unavailable'], ['sse.chat_stream', 'core_unavailable']
    ])
  })

  test('is one as well when it does not begin', async ({ app, core, named }) => {
    core.fail({ path: '/v1/chat', status: 500, body: '{}' })
    await say(app, 'hello')

    expect(['core.stream', 'agent.response', 'http.chat_send'].map((name) => [named(name).status, named(name).data!.error])).toEqual(Array.from({ length: 3 }, () => ['error', 'core_error']))
  })

  test('is none when its reader leaves', async ({ url, spans }) => {
    const leave = new AbortController()
    const res = await fetch(`${url}/api/v1/chat/stream`, {
      method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify({ content: '[fake: tokens=1000 delay_ms=20]' }), signal: leave.signal
    })
    const { events, ended } = reading(res, performance.now())
    const broken = ended.catch(() => {})
    await expect.poll(() => events.length).toBeGreaterThan(1)
    leave.abort()
    await broken
    await expect.poll(() => spans.map(({ name }) => name)).toEqual(expect.arrayContaining(['core.stream', 'agent.response', 'sse.chat_stream']))

    expect(spans.map(({ status }) => status)).not.toContain('error')
    expect(spans.find(({ name }) => name === 'sse.chat_stream')!.data).toMatchObject({ aborted: true })
  })
})
