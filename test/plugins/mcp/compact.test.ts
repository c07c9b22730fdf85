import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { test } from '../../app.ts'
import { eras, errorIn, speak, type How } from './speak.ts'

const compact = { query: '?tools=compact' }
interface Found { tools: { name: string, description: string }[], total: number }
const call = async (app: FastifyInstance, name: string, args: object, how: How) => await speak(app, 'tools/call', { name, arguments: args }, { ...compact, ...how })

describe.for(eras)('compact mode in the %s era', (era) => {
  test('lists three tools, by query and by header', async ({ app }) => {
    const three = ['tool_search', 'tool_describe', 'tool_call']

    expect((await speak(app, 'tools/list', {}, { era, ...compact })).result!.tools!.map(({ name }) => name)).toEqual(three)
    expect((await speak(app, 'tools/list', {}, { era, headers: { 'x-muxi-tools': 'compact' } })).result!.tools!.map(({ name }) => name)).toEqual(three)
  })

  test.for([['delete agent', 'agent_delete'], ['talk to an agent', 'agent_chat_send'], ['look up', 'knowledge_search'], ['conversation', 'conversation_list']])('finds for "%s" the tool %s', async ([query, expected], { app }) => {
    const { tools, total } = (await call(app, 'tool_search', { query }, { era })).result!.structuredContent as unknown as Found

    expect(tools.slice(0, 4).map(({ name }) => name)).toContain(expected)
    expect(tools.every(({ description }) => description.length <= 160)).toBe(true)
    expect(total).toBe(app.mcp.tools.size)
  })

  test('finds only what the caller may call', async ({ app }) => {
    const { tools } = (await call(app, 'tool_search', { query: 'agent', limit: 50 }, { era, level: 'user' })).result!.structuredContent as unknown as Found
    const all = (await call(app, 'tool_search', { limit: 50 }, { era, level: 'user' })).result!.structuredContent as unknown as Found

    expect(tools.map(({ name }) => name)).not.toContain('agent_delete')
    expect(all.tools.map(({ name }) => name)).toEqual((await speak(app, 'tools/list', {}, { era, level: 'user' })).result!.tools!.map(({ name }) => name))
  })

  test('describes a tool as the whole list does', async ({ app }) => {
    const { result } = await call(app, 'tool_describe', { name: 'agent_get' }, { era })

    expect(result!.structuredContent).toEqual(app.mcp.tools.get('agent_get')!.definition)
  })

  test('calls a tool and passes its answer through', async ({ app }) => {
    const direct = await speak(app, 'tools/call', { name: 'agent_get', arguments: { agent_id: 'greeter' } }, { era })
    const through = await call(app, 'tool_call', { name: 'agent_get', arguments: { agent_id: 'greeter' } }, { era })

    expect(through.result).toEqual(direct.result)
  })

  test('tells the progress of a chat that is called through it', async ({ app }) => {
    const { before } = await call(app, 'tool_call', { name: 'chat_send', arguments: { content: 'What is 6 times 7?' } }, { era, level: 'user', meta: { progressToken: 1 } })

    expect(before.map(({ params }) => params!.message).join('')).toBe('6 * 7 = 42.')
  })

  test('a call above the level is refused as a direct one is', async ({ app }) => {
    const { result } = await call(app, 'tool_call', { name: 'agent_list', arguments: {} }, { era, level: 'user' })

    expect(result).toMatchObject({ isError: true })
    expect(errorIn({ result: result! }).code).toBe('forbidden')
  })

  test.for([
    ['tool_call', { name: 'agent_explode' }, 'not_found'], ['tool_call', { name: 'tool_call' }, 'not_found'], ['tool_describe', { name: 'agent_explode' }, 'not_found'],
    ['tool_call', {}, 'bad_request'], ['tool_call', { name: 'agent_get', arguments: [] }, 'bad_request'], ['tool_call', { name: 'agent_get', args: {} }, 'bad_request'], ['tool_call', { name: 'agent_get' }, 'bad_request'],
    ['tool_search', { limit: 0 }, 'bad_request'], ['tool_search', { query: 'a'.repeat(201) }, 'bad_request'], ['tool_search', { more: 1 }, 'bad_request']
  ] as const)('%s with %j is a failed result: %s', async ([name, args, code], { app }) => {
    const reply = await call(app, name, args, { era })

    expect(reply.result).toMatchObject({ isError: true })
    expect(errorIn(reply).code).toBe(code)
  })

  test('a direct call is unknown, as it is not listed', async ({ app }) => {
    expect((await call(app, 'agent_get', { agent_id: 'greeter' }, { era })).error).toMatchObject({ code: -32_602 })
  })

  test('of a part of the tools knows that part alone', async ({ app }) => {
    const part = { era, query: '?tools=compact,agent_*' }
    const { tools } = (await call(app, 'tool_search', { limit: 50 }, part)).result!.structuredContent as unknown as Found

    expect(tools.every(({ name }) => name.startsWith('agent_'))).toBe(true)
    expect(errorIn(await call(app, 'tool_call', { name: 'user_list' }, part)).code).toBe('not_found')
  })
})

test('server/discover says how compact mode is used', async ({ app }) => {
  const { result } = await speak(app, 'server/discover', {}, compact)
  const { result: usual } = await speak(app, 'server/discover')

  expect(result!.instructions).toContain('tool_search')
  expect(usual!.instructions).not.toContain('tool_search')
})
