import { describe, expect } from 'vitest'
import { as, test } from '../../app.ts'
import { eras, errorIn, messageOf, messagesIn, speak } from './speak.ts'

const call = ['tools/call', { name: 'health_get', arguments: {} }] as const

describe.for(eras)('a caller at its limit, in the %s era,', (era) => {
  test.override({ settings: { MUXI_API_RATE_LIMIT_MCP: '1' } })

  test('is told so by the result of a call, with what it needs to come back', async ({ app, core }) => {
    for (let i = 0; i < 10; i++) await speak(app, ...call, { era, level: 'user' })
    const reply = await speak(app, 'tools/call', { name: 'chat_send', arguments: { content: 'Hello' } }, { era, level: 'user' })

    expect(reply).toMatchObject({ status: 200, result: { isError: true } })
    expect(errorIn(reply)).toMatchObject({ code: 'rate_limited', message: expect.stringMatching(/come back in \d+ s/), details: { limit: 10, retry_after: expect.any(Number) }, request_id: expect.any(String) })
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0)
    expect(core.requests.size).toBe(0)
  })

  test('is refused with 429 where it calls no tool', async ({ app }) => {
    for (let i = 0; i < 10; i++) await speak(app, ...call, { era, level: 'user' })

    expect((await speak(app, 'tools/list', {}, { era, level: 'user' })).status).toBe(429)
    expect((await speak(app, 'tools/call', { name: 'chat_send', arguments: { content: 'x'.repeat(70_000) } }, { era, level: 'user' })).status).toBe(429)
  })

  test('hears in its results how much is left from 80 % on', async ({ app }) => {
    const metas = []
    for (let i = 0; i < 9; i++) metas.push((await speak(app, ...call, { era, level: 'user' })).result!._meta?.['muxi/limit'])

    expect(metas.slice(0, 7)).toEqual(Array(7).fill(undefined))
    expect(metas.slice(7)).toMatchObject([{ limit: 10, remaining: 2, reset_after: expect.any(Number) }, { limit: 10, remaining: 1 }])
  })
})

describe('at its limit', () => {
  test.override({ settings: { MUXI_API_RATE_LIMIT_MCP: '1' } })

  test('the short form tells it, too, and a session over POST does not get past it', async ({ app }) => {
    for (let i = 0; i < 10; i++) await speak(app, ...call, { level: 'user' })
    const send = async (payload: object, query = '') => await app.inject({ method: 'POST', url: `/api/v1/mcp/request${query}`, headers: { ...as('user'), host: 'localhost' }, payload })
    const run = await send({ id: 1, method: 'run_tool', params: { tool_name: 'health_get' } })
    const list = await send({ id: 1, method: 'list_tools' })
    const posted = await send({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, '?session_id=mcs_x')

    expect(run.json()).toMatchObject({ id: 1, error: { code: 'rate_limited', details: { retry_after: expect.any(Number) } } })
    expect([run.statusCode, list.statusCode, posted.statusCode]).toEqual([200, 429, 429])
  })

  test('the calls of a batch are counted one by one, and none of them is done where not all may be', async ({ app, core }) => {
    const one = JSON.parse(messageOf('tools/call', { name: 'chat_send', arguments: { content: 'Hello' } }, { era: 'old' }).payload) as object
    const batch = async (size: number) => await app.inject({ ...messageOf(...call, { era: 'old', level: 'user' }), payload: JSON.stringify(Array.from({ length: size }, (_, id) => ({ ...one, id }))) })
    const first = await batch(6)
    const second = await batch(6)

    expect([first.statusCode, second.statusCode]).toEqual([200, 429])
    expect(messagesIn(first.body).filter(({ result }) => result?.isError === undefined)).toHaveLength(6)
    expect(core.requests.size).toBe(6)
  })
})

test('compact mode tells it in the same way', async ({ app }) => {
  const reply = messagesIn((await app.inject(messageOf('tools/call', { name: 'tool_search', arguments: {} }, { query: '?tools=compact' }))).body)

  expect(reply.at(-1)!.result).toMatchObject({ structuredContent: { tools: expect.any(Array) } })
})
