import { describe, expect, onTestFinished, vi } from 'vitest'
import { createChanges } from '../../../../plugins/mcp/changes.ts'
import { as, keys, test } from '../../../app.ts'
import { startHttpServer } from '../../../core/embedded/mcp-http.ts'
import { eras, errorIn, messageOf, speak } from '../speak.ts'
import { ask, connect, create, toolsOfAgents } from './ask.ts'
import { startToolServer } from './tool-server.ts'

const textOf = ({ result }: Awaited<ReturnType<typeof ask>>) => result.content![0]!.text!

test('an admin sees the tools of the tool servers of agents in both eras; a user sees none', async ({ app }) => {
  await using server = await startHttpServer()
  await connect(app, server.url)
  const [modern, old] = await Promise.all(eras.map(async (era) => await toolsOfAgents(app, { era })))
  const user = await toolsOfAgents(app, { level: 'user' })

  expect(modern!.map(({ name }) => name)).toEqual(['tool_analyst_add', 'tool_analyst_fail', 'tool_analyst_sleep'])
  expect(modern![0]).toEqual({
    name: 'tool_analyst_add',
    title: 'analyst: add',
    description: 'Adds two numbers\n\nThe tool add of the tool server sums, as the agent analyst has it.',
    inputSchema: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } } },
    annotations: { title: 'analyst: add', readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true }
  })
  expect(old).toEqual(modern)
  expect(user).toEqual([])
})

test('a tool of an agent is called, and its answer is passed on as it is', async ({ app, core }) => {
  const image = { type: 'image', data: 'aGk=', mimeType: 'image/png' }
  await using server = await startToolServer([{ name: 'Draw/It' }], () => ({ content: [{ type: 'text', text: 'there' }, image], structuredContent: { pixels: 1 } }))
  await connect(app, server.url)
  const calls = await Promise.all(eras.map(async (era) => await ask(app, 'tools/call', { name: 'tool_analyst_draw_it', arguments: { what: 'ü' } }, { era })))

  for (const { result } of calls) {
    expect(result).toMatchObject({ content: [{ type: 'text', text: 'there' }, image], structuredContent: { pixels: 1 } })
    expect(result).not.toHaveProperty('isError')
  }
  expect(server.calls).toMatchObject([{ name: 'Draw/It', arguments: { what: 'ü' } }, { name: 'Draw/It' }])
  expect(core.calls.filter(({ path }) => path.includes('/tools/')).map(({ path, level }) => [path, level])).toEqual(Array(2).fill(['/v1/agents/analyst/mcp/servers/sums/tools/Draw%2FIt', 'admin']))
})

test('a call that no list came before is answered all the same', async ({ app }) => {
  await using server = await startHttpServer()
  await connect(app, server.url)
  const called = await ask(app, 'tools/call', { name: 'tool_analyst_add', arguments: { a: 1, b: 2 } })

  expect(textOf(called)).toBe('3')
})

test.for(eras)('a user is told that the tools of agents are not for it, whether there are such or not (%s)', async (era, { app }) => {
  await using server = await startHttpServer()
  await connect(app, server.url)
  const answers = await Promise.all(['tool_analyst_add', 'tool_nobody_nothing'].map(async (name) => await speak(app, 'tools/call', { name, arguments: {} }, { level: 'user', era })))

  expect(answers.map(errorIn)).toMatchObject([{ code: 'forbidden', message: 'the tools of agents need an admin key' }, { code: 'forbidden' }])
  expect(server.sessions.size).toBe(1)
})

test('a tool that is not there is -32602', async ({ app }) => {
  const { error } = await ask(app, 'tools/call', { name: 'tool_analyst_nothing', arguments: {} })

  expect(error).toMatchObject({ code: -32_602, message: 'no tool tool_analyst_nothing' })
})

test('a call is a line of the log with its trace, and an event of the audit log, without arguments', async ({ app, lines }) => {
  await using server = await startHttpServer()
  await connect(app, server.url)
  await ask(app, 'tools/call', { name: 'tool_analyst_add', arguments: { a: 1, b: 2, secret: 'hidden' } })
  const audit = (await app.inject({ url: '/api/v1/system/audit?event=admin_change', headers: as('admin') })).json<{ events: object[] }>()

  expect(lines.all.find(({ message, tool }) => message === 'tool call' && tool === 'tool_analyst_add')).toMatchObject({ protocol: 'mcp', caller: 'admin', traceId: expect.any(String) })
  expect(JSON.stringify(audit)).toContain('"details":{"tool":"tool_analyst_add"}')
  expect(JSON.stringify(lines.all)).not.toContain('hidden')
})

test('a tool that fails, and one that its server refuses, are failed results with its own words', async ({ app }) => {
  await using server = await startToolServer([{ name: 'fail' }, { name: 'refuse' }], ({ name }) => name === 'fail'
    ? { isError: true, content: [{ type: 'text', text: 'it always fails' }] }
    : { error: { code: -32_602, message: 'a must be number' } })
  await connect(app, server.url)
  const [failed, refused] = await Promise.all(['fail', 'refuse'].map(async (name) => await ask(app, 'tools/call', { name: `tool_analyst_${name}` })))

  expect(failed!.result).toMatchObject({ isError: true, content: [{ text: 'it always fails' }] })
  expect(refused!.result).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('a must be number') }] })
})

test('10 MB are too much: a failed result says so', async ({ app }) => {
  await using server = await startToolServer([{ name: 'pour' }], () => ({ content: [{ type: 'text', text: 'x'.repeat(10_000_000) }] }))
  await connect(app, server.url)
  const poured = await ask(app, 'tools/call', { name: 'tool_analyst_pour' })

  expect(poured.result.isError).toBe(true)
  expect(textOf(poured)).toMatch(/^the answer of the tool is too large \(\d{8} bytes, 4194304 at most\)/)
})

test('what is no JSON is a failed result, from the tool server as from the Core', async ({ app, core }) => {
  await using server = await startToolServer([{ name: 'babble' }], () => '<html>')
  await connect(app, server.url)
  const fromServer = await speak(app, 'tools/call', { name: 'tool_analyst_babble' })
  core.fail({ method: 'POST', path: '/v1/agents/analyst/mcp/servers/sums/tools/babble', garbage: 'html', times: 1 })
  const fromCore = await speak(app, 'tools/call', { name: 'tool_analyst_babble' })

  expect(fromServer.result!.isError).toBe(true)
  expect(errorIn(fromServer)).toMatchObject({ code: 'core_error', message: 'the MUXI Core could not reach tool babble of agent analyst' })
  expect(errorIn(fromCore)).toMatchObject({ code: 'core_error', message: 'the MUXI Core gave an answer that cannot be used' })
})

test('a tool whose server went away is a failed result, and its tools are listed no more once that is known', async ({ app }) => {
  const server = await startHttpServer()
  await connect(app, server.url)
  const before = await toolsOfAgents(app)
  await server[Symbol.asyncDispose]()
  const called = await speak(app, 'tools/call', { name: 'tool_analyst_add' })
  await create(app, 'ada')

  expect(before).toHaveLength(3)
  expect(errorIn(called)).toMatchObject({ code: 'core_error' })
  expect(await toolsOfAgents(app)).toEqual([])
})

describe('with a Core that may take 500 ms', () => {
  test.override({ settings: { MUXI_CORE_TIMEOUT_MS: '500' } })

  test('a tool that hangs is a failed result after that time', async ({ app }) => {
    await using server = await startToolServer([{ name: 'hang' }], () => undefined)
    await connect(app, server.url)
    const hung = await speak(app, 'tools/call', { name: 'tool_analyst_hang' })

    expect(errorIn(hung)).toMatchObject({ code: 'core_timeout', message: 'the MUXI Core did not answer within 500 ms' })
    await expect.poll(() => server.calls.length).toBe(1)
  })
})

test('a caller who leaves breaks the call off, at the Core, too', async ({ app, url, core }) => {
  await using server = await startToolServer([{ name: 'hang' }], () => undefined)
  await connect(app, server.url)
  const { headers, payload } = messageOf('tools/call', { name: 'tool_analyst_hang' })
  const leaving = new AbortController()
  const { host, ...own } = headers
  const called = fetch(`${url}/mcp`, { method: 'POST', headers: own, body: payload, signal: leaving.signal }).catch(() => 'left')
  await expect.poll(() => server.calls.length).toBe(1)
  leaving.abort()

  expect(await called).toBe('left')
  await expect.poll(() => core.calls.find(({ path }) => path.endsWith('/tools/hang'))?.aborted).toBe(true)
})

test('wrong schemas, names and descriptions break neither the list nor the tools beside them', async ({ app, core }) => {
  await connect(app, (await started([{ name: 'good' }])).url)
  core.fail({
    method: 'GET',
    path: '/v1/agents/analyst/mcp/servers/sums',
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      success: true,
      data: {
        name: 'sums',
        connected: true,
        available_tools: [
          { name: 'good', description: 'Good\u0000', parameters: { type: 'object', properties: { a: { $ref: 'https://evil.example' } } } }, { name: 'none' }, { name: 'odd', description: 5, parameters: 'x' },
          { name: 'wrong', parameters: { type: 'array' } }, { name: '..' }, { name: '' }, { name: 5 }, null, { name: 'x\u0000' }, { name: '\ud800' }, { name: 'good' }
        ]
      }
    })
  })
  await create(app, 'ada')
  const tools = await toolsOfAgents(app)

  expect(tools.map(({ name, inputSchema }) => [name, inputSchema])).toEqual([
    ['tool_analyst_good', { type: 'object' }], ['tool_analyst_none', { type: 'object' }], ['tool_analyst_odd', { type: 'object' }], ['tool_analyst_wrong', { type: 'object' }]
  ])

  async function started (tools: { name: string }[]) {
    const server = await startToolServer(tools)
    onTestFinished(async () => { await server[Symbol.asyncDispose]() })
    return server
  }
})

test('the list is read from the Core once, and again after what may have changed it', async ({ app, core }) => {
  await using server = await startHttpServer()
  await connect(app, server.url)
  const looks = () => core.calls.filter(({ method, path }) => method === 'GET' && path === '/v1/agents').length
  await Promise.all([toolsOfAgents(app), toolsOfAgents(app)])
  await toolsOfAgents(app)
  const first = looks()
  await connect(app, server.url, { agent: 'greeter' })
  const connected = await toolsOfAgents(app)
  await app.inject({ method: 'DELETE', url: '/api/v1/agents/greeter/mcp_servers/sums', headers: as('admin') })
  const disconnected = await toolsOfAgents(app)

  expect(first).toBe(1)
  expect(connected.map(({ name }) => name)).toEqual(expect.arrayContaining(['tool_analyst_add', 'tool_greeter_add']))
  expect(disconnected.map(({ name }) => name)).not.toContain('tool_greeter_add')
})

test('what changed without an operation is found a minute later', async ({ app }) => {
  await using server = await startToolServer([{ name: 'one' }])
  await connect(app, server.url)
  const before = await toolsOfAgents(app)
  server.tools = [{ name: 'one' }, { name: 'two' }]
  const soon = await toolsOfAgents(app)
  const now = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => now + 61_000)
  onTestFinished(() => { vi.restoreAllMocks() })
  const later = await toolsOfAgents(app)

  expect([before, soon, later].map((tools) => tools.length)).toEqual([1, 1, 2])
})

test('a tool server that hangs holds the list up for 3 s at most, and keeps the tools that it had', async ({ app, core }) => {
  await using server = await startHttpServer()
  await connect(app, server.url)
  await toolsOfAgents(app)
  core.fail({ method: 'GET', path: '/v1/agents/analyst/mcp/servers/sums', delayMs: 60_000 })
  await create(app, 'ada')
  const started = performance.now()
  const tools = await toolsOfAgents(app)

  expect(tools).toHaveLength(3)
  expect(performance.now() - started).toBeLessThan(5_000)
}, 15_000)

test('a Core that fails leaves what was known', async ({ app, core }) => {
  await using server = await startHttpServer()
  await connect(app, server.url)
  await toolsOfAgents(app)
  await create(app, 'ada')
  core.fail({ method: 'GET', path: '/v1/agents', status: 500 })

  expect(await toolsOfAgents(app)).toHaveLength(3)
})

test('every instance hears that the tools are others, and only when they are', async ({ app }) => {
  await using server = await startHttpServer()
  const heard: string[] = []
  onTestFinished(createChanges(app).follow(({ kind }) => { heard.push(kind) }))
  await toolsOfAgents(app)
  await create(app, 'ada')
  await expect.poll(() => heard).toContain('prompts')
  const withoutTools = heard.filter((kind) => kind === 'tools')
  await connect(app, server.url)

  await expect.poll(() => heard).toContain('tools')
  expect(withoutTools).toEqual([])
})

describe('with api.mcp_agent_tools off', () => {
  test.override({ settings: { MUXI_API_MCP_AGENT_TOOLS: 'false' } })

  test('there are no tools of agents', async ({ app }) => {
    await using server = await startHttpServer()
    await connect(app, server.url)
    const called = await ask(app, 'tools/call', { name: 'tool_analyst_add' })

    expect(await toolsOfAgents(app)).toEqual([])
    expect(called.error).toMatchObject({ code: -32_602 })
  })
})

describe('in front of a Core that cannot call tools', () => {
  test.override({ offers: 'real' })

  test('there are no tools of agents', async ({ app }) => {
    const called = await ask(app, 'tools/call', { name: 'tool_analyst_add' })

    expect(await toolsOfAgents(app)).toEqual([])
    expect(called.error).toMatchObject({ code: -32_602 })
  })
})

test('the embedded Core calls a tool for the admin key alone', async ({ core }) => {
  const url = `${core.url}/v1/agents/analyst/mcp/servers/nothing/tools/add`
  const [user, admin] = await Promise.all([['x-muxi-client-key', keys.user], ['x-muxi-admin-key', keys.admin]].map(async ([name, key]) =>
    await fetch(url, { method: 'POST', headers: { [name!]: key!, 'content-type': 'application/json' }, body: '{}' })))

  expect(user!.status).toBe(401)
  expect([admin!.status, await admin!.json()]).toMatchObject([404, { error: { code: 'MCP_SERVER_NOT_FOUND' } }])
})
