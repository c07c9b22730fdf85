import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../../../app.ts'
import type { ToolDefinition } from '../../../plugins/mcp/tools.ts'
import { as, configFor, Lines, test as base } from '../../app.ts'
import { eras, speak, type Era, type How } from './speak.ts'

const extra = (index: number): ToolDefinition => ({
  name: `extra_${String(index).padStart(3, '0')}`,
  title: 'One more',
  description: 'One more tool.',
  inputSchema: { type: 'object' },
  annotations: { title: 'One more', readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false }
})
const extras = Array.from({ length: 120 }, (_, index) => extra(index))

/** A server with a lot of tools beside the operations, as agents may have. */
const test = base.extend<{ crowded: FastifyInstance }>({
  crowded: async ({ core }, use) => {
    const app = await buildApp(configFor(core), new Lines())
    app.mcp.features.push({
      tools: {
        list: async () => extras,
        call: (name) => name.startsWith('extra_') ? Promise.resolve({ content: [{ type: 'text', text: name }] }) : undefined
      }
    })
    await app.ready()
    await app.core.check()
    await use(app)
    await app.close()
  }
})

async function pagesOf (app: FastifyInstance, how: How): Promise<string[][]> {
  const pages: string[][] = []
  let cursor: string | undefined
  do {
    const { result } = await speak(app, 'tools/list', cursor === undefined ? {} : { cursor }, how)
    pages.push(result!.tools!.map(({ name }) => name))
    cursor = result!.nextCursor
  } while (cursor !== undefined)
  return pages
}
const namesOf = async (app: FastifyInstance, how: How) => (await speak(app, 'tools/list', {}, how)).result!.tools!.map(({ name }) => name)

describe.for(eras)('tools/list in the %s era', (era) => {
  test('is one page for the operations', async ({ app }) => {
    expect(await pagesOf(app, { era })).toHaveLength(1)
  })

  test('has pages of a hundred, none of which repeats or leaves out a tool', async ({ app, crowded }) => {
    const own = await namesOf(app, { era })
    const pages = await pagesOf(crowded, { era })

    expect(pages.map(({ length }) => length)).toEqual([100, own.length + 20])
    expect(pages.flat()).toEqual([...own, ...extras.map(({ name }) => name)])
    expect(await pagesOf(crowded, { era })).toEqual(pages)
  })

  test.for(['x', 'bm9uc2Vuc2U', Buffer.from('[0,"a"]').toString('base64url'), Buffer.from('{"0":1}').toString('base64url')])('refuses the cursor %s with -32602', async (cursor, { app }) => {
    expect((await speak(app, 'tools/list', { cursor }, { era })).error).toMatchObject({ code: -32_602, message: expect.stringContaining('cursor') })
  })

  test('is the part that the query or the header asks for', async ({ app }) => {
    const byQuery = await namesOf(app, { era, query: '?tools=agent_*,chat_send' })
    const byHeader = await namesOf(app, { era, headers: { 'x-muxi-tools': 'agent_*, chat_send' } })

    expect(byQuery).toEqual((await namesOf(app, { era })).filter((name) => name.startsWith('agent_') || name === 'chat_send'))
    expect(byQuery).toContain('chat_send')
    expect(byHeader).toEqual(byQuery)
    expect(await namesOf(app, { era, query: '?tools=nothing_*' })).toEqual([])
    expect(await namesOf(app, { era, query: '?tools=*_list,*a*e*' })).toEqual((await namesOf(app, { era })).filter((name) => /_list$|a.*e/.test(name)))
  })

  test('never gives more than the level opens', async ({ app }) => {
    expect(await namesOf(app, { era, level: 'user', query: '?tools=agent_*' })).toEqual(['agent_chat_send'])
  })

  test('and a tool outside of that part is unknown', async ({ app, crowded }) => {
    const asked = { era, query: '?tools=agent_*' }

    expect((await speak(app, 'tools/call', { name: 'agent_get', arguments: { agent_id: 'greeter' } }, asked)).result).toMatchObject({ structuredContent: { id: 'greeter' } })
    expect((await speak(app, 'tools/call', { name: 'user_list' }, asked)).error).toMatchObject({ code: -32_602 })
    expect((await speak(crowded, 'tools/call', { name: 'extra_001' }, { era })).result).toMatchObject({ content: [{ text: 'extra_001' }] })
    expect((await speak(crowded, 'tools/call', { name: 'extra_001' }, asked)).error).toMatchObject({ code: -32_602 })
  })
})

test('the answers that are made here and those of the SDK are the same, with tools of agents in them as well', async ({ crowded }) => {
  for (const query of ['', '?tools=extra_*', '?tools=extra_00*,agent_*', '?tools=compact']) {
    const { headers: _, ...ours } = await speak(crowded, 'tools/list', {}, { query })
    const { headers: __, ...theirs } = await speak(crowded, 'tools/list', {}, { query, headers: { 'mcp-method': ' tools/list' } })

    expect(ours, query).toEqual(theirs)
  }
})

test('a wish that is too long is refused', async ({ app }) => {
  const long = 'a'.repeat(2_049)

  expect((await speak(app, 'tools/list', {}, { query: `?tools=${long}` })).status).toBe(400)
  expect((await speak(app, 'tools/list', {}, { headers: { 'x-muxi-tools': long } })).status).toBe(400)
})

test('a token that opens some operations is shown those alone', async ({ core }) => {
  const app = await buildApp(configFor(core, { MUXI_API_USER_TOKENS_SECRET: 's'.repeat(32) }), new Lines())
  await app.ready()
  await app.core.check()
  const { token } = (await app.inject({ method: 'POST', url: '/api/v1/user-tokens', headers: as('user'), payload: { user_id: 'u1', scope: ['mcp_*', 'chat_send'] } })).json<{ token: string }>()

  for (const era of ['modern', 'old'] satisfies Era[]) expect((await namesOf(app, { era, headers: { authorization: `Bearer ${token}` } })).filter((name) => !name.startsWith('health_'))).toEqual(['chat_send'])
  await app.close()
})

describe('GET /api/v1/mcp/tools', () => {
  interface Listed { tools: (ToolDefinition & { parameters: object })[], nextCursor?: string }
  const get = async (app: FastifyInstance, query = '', level: 'user' | 'admin' = 'admin') => await app.inject({ url: `/api/v1/mcp/tools${query}`, headers: as(level) })

  test.for(['user', 'admin'] as const)('shows what tools/list shows, for a key of level %s', async (level, { app }) => {
    const { tools } = (await get(app, '', level)).json<Listed>()
    const { result } = await speak(app, 'tools/list', {}, { level })

    expect(tools.map(({ parameters, ...tool }) => tool)).toEqual(result!.tools)
    expect(tools.every(({ parameters, inputSchema }) => JSON.stringify(parameters) === JSON.stringify(inputSchema))).toBe(true)
  })

  test('has pages and parts, too', async ({ app, crowded }) => {
    const first = (await get(crowded)).json<Listed>()
    const second = (await get(crowded, `?cursor=${first.nextCursor}`)).json<Listed>()

    expect([first.tools.length, second.nextCursor]).toEqual([100, undefined])
    expect(second.tools.at(-1)!.name).toBe('extra_119')
    expect((await get(app, '?tools=chat_*')).json<Listed>().tools.map(({ name }) => name)).toEqual(['chat_send'])
    expect((await get(app, '?tools=compact')).json<Listed>().tools.map(({ name }) => name)).toEqual(['tool_search', 'tool_describe', 'tool_call'])
  })

  test('refuses a cursor that is none', async ({ app }) => {
    const res = await get(app, '?cursor=x')

    expect(res.statusCode).toBe(400)
    expect(res.json()).toMatchObject({ error: { code: 'bad_request', details: { field: 'cursor' } } })
  })

  test('answers 304 while it holds', async ({ app }) => {
    const { headers: { etag } } = await get(app)
    const again = await app.inject({ url: '/api/v1/mcp/tools', headers: { ...as('admin'), 'if-none-match': etag } })

    expect(again.statusCode).toBe(304)
  })
})
