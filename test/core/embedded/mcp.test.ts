import { createServer } from 'node:net'
import { once } from 'node:events'
import { describe, expect } from 'vitest'
import { test, textOf, tokensOf } from './core.ts'
import { startHttpServer } from './mcp-http.ts'

const program = `node ${JSON.stringify(new URL('mcp-stdio.mjs', import.meta.url).pathname)}`
const servers = '/v1/agents/analyst/mcp/servers'
const data = async <T = Record<string, unknown>>(res: Response) => (await res.json() as { data: T }).data
const post = (body: object) => ({ method: 'POST', body })
const chat = (message: string) => ({ method: 'POST', body: { message, agent_id: 'analyst', session_id: 's' } })

test('a server over HTTP is connected, listed, looked at and disconnected', async ({ asAdmin }) => {
  await using server = await startHttpServer()
  const made = await asAdmin(servers, post({ name: 'sums', url: server.url, credentials: { token: 'sk-t' } }))
  const list = await data(await asAdmin(servers))
  const one = await data(await asAdmin(`${servers}/sums`))
  const gone = await asAdmin(`${servers}/sums`, { method: 'DELETE' })

  expect(made.status).toBe(201)
  expect(await made.json()).toMatchObject({ type: 'mcp_server.connected', data: { name: 'sums', type: 'http', connected: true } })
  expect(list).toEqual({
    agent_id: 'analyst',
    mcp_servers: [{ name: 'sums', type: 'http', url: server.url, connected: true, stats: { connection_age_s: expect.any(Number), idle_time_s: 0, active_requests: 0 } }],
    count: 1
  })
  expect(one).toMatchObject({
    name: 'sums',
    connected: true,
    stats: { session_id: expect.any(String), current_time: expect.any(Number), connect_time: expect.any(Number), last_activity: expect.any(Number) },
    available_tools: [{ name: 'add', description: 'Adds two numbers', parameters: { type: 'object' } }, { name: 'fail', description: '' }, { name: 'sleep' }]
  })
  expect(await data(gone)).toEqual({ name: 'sums', deleted: true })
  expect(server.sessions.size).toBe(0)
  expect((await asAdmin(`${servers}/sums`)).status).toBe(404)
})

test('a token goes to the server as a bearer and nowhere else', async ({ core, asAdmin }) => {
  await using server = await startHttpServer()
  await asAdmin(servers, post({ name: 'sums', url: server.url, credentials: { token: 'sk-hidden' } }))
  const shown = [await asAdmin(servers), await asAdmin(`${servers}/sums`), await asAdmin('/v1/agents/analyst')]

  expect(new Set(server.seen.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer sk-hidden']))
  expect((await Promise.all(shown.map((res) => res.text()))).join()).not.toMatch(/sk-hidden|credentials/)
  expect(JSON.stringify(core.calls)).not.toContain('sk-hidden')
})

test('a command is started without a shell, sees its credentials as its environment, and ends with the Core', async ({ core, asAdmin, asAlice }) => {
  const made = await asAdmin(servers, post({ name: 'program', command: `${program} 'a  b' "c\\"d" $HOME *`, credentials: { SECRET: 'sk-hidden' } }))
  const [listed] = (await data<{ mcp_servers: { stats: { pid: number } }[] }>(await asAdmin(servers))).mcp_servers
  const pid = listed?.stats.pid ?? 0
  const environment = textOf(await tokensOf(await asAlice('/v1/chat', chat('use environment with {"name":"SECRET"}'))))
  const args = textOf(await tokensOf(await asAlice('/v1/chat', chat('use arguments'))))

  expect(await data(made)).toEqual({ name: 'program', type: 'command', connected: true })
  expect(environment).toBe('environment: sk-hidden')
  expect(args).toBe('arguments: ["a  b","c\\"d","$HOME","*"]')
  expect(isAlive(pid)).toBe(true)
  await core.close()
  expect(isAlive(pid)).toBe(false)
})

test('a program that does not want to end is made to', async ({ asAdmin }) => {
  await asAdmin(servers, post({ name: 'program', command: `${program} --stubborn` }))
  const [listed] = (await data<{ mcp_servers: { stats: { pid: number } }[] }>(await asAdmin(servers))).mcp_servers
  const pid = listed?.stats.pid ?? 0
  const wasAlive = isAlive(pid)
  await asAdmin(`${servers}/program`, { method: 'DELETE' })

  expect([wasAlive, isAlive(pid)]).toEqual([true, false])
})

test('a program that ended is started again when it is used', async ({ asAdmin, asAlice }) => {
  await asAdmin(servers, post({ name: 'program', command: program }))
  const died = await tokensOf(await asAlice('/v1/chat', chat('use quit')))
  const list = await data(await asAdmin(servers))
  const again = await tokensOf(await asAlice('/v1/chat', chat('use arguments')))

  expect(died.find(({ type }) => type === 'tool_call_end')).toMatchObject({ tool_call: { error: { code: 'server_unavailable' } } })
  expect(list).toMatchObject({ mcp_servers: [{ connected: false }] })
  expect(textOf(again)).toBe('arguments: []')
})

test('a server that was restarted is connected again when it is used; one that stays away is shown so', async ({ asAdmin, asAlice }) => {
  const first = await startHttpServer()
  await asAdmin(servers, post({ name: 'sums', url: first.url }))
  await first[Symbol.asyncDispose]()
  const second = await startHttpServer(first.port)
  const sum = await tokensOf(await asAlice('/v1/chat', chat('add: {"a":1,"b":2}')))
  await second[Symbol.asyncDispose]()
  const away = await tokensOf(await asAlice('/v1/chat', chat('add: {"a":1,"b":2}')))
  const shown = await data(await asAdmin(`${servers}/sums`))

  expect(textOf(sum)).toBe('add: 3')
  expect(textOf(away)).toMatch(/^add failed: ECONN/)
  expect(shown).toMatchObject({ connected: false, available_tools: [{ name: 'add' }, {}, {}] })
})

test('the stream shows the call of a tool, and a failing tool says so', async ({ asAdmin, asAlice }) => {
  await using server = await startHttpServer()
  await asAdmin(servers, post({ name: 'sums', url: server.url }))
  const good = await tokensOf(await asAlice('/v1/chat', chat('We use e-mail here. Please use the tool `add` with {"a": 2, "b": 40}')))
  const bad = await tokensOf(await asAlice('/v1/chat', chat('use fail')))
  const broken = await tokensOf(await asAlice('/v1/chat', chat('use add with {"a": }')))
  const calls = (tokens: Record<string, unknown>[]) => tokens.filter(({ type }) => String(type).startsWith('tool_call')).map(({ tool_call: call }) => call)

  expect(calls(good)).toEqual([{ id: expect.any(String), name: 'add', parameters: { a: 2, b: 40 } }, { id: expect.any(String), output: '42' }])
  expect(textOf(good)).toBe('add: 42')
  expect(calls(bad)[1]).toMatchObject({ error: { code: 'tool_error', message: 'it always fails' } })
  expect(textOf(bad)).toBe('fail failed: it always fails')
  expect(calls(broken)).toEqual([])
  expect(textOf(broken)).toContain('no JSON object')
})

test('a chat that names a tool goes to the agent that has it', async ({ asAdmin, asAlice }) => {
  await using server = await startHttpServer()
  await asAdmin(servers, post({ name: 'sums', url: server.url }))
  const tokens = await tokensOf(await asAlice('/v1/chat', { method: 'POST', body: { message: 'use sleep [fake: tokens=1]', agent_id: 'greeter' } }))
  const routed = await tokensOf(await asAlice('/v1/chat', { method: 'POST', body: { message: 'use add with {"a":1,"b":1}' } }))

  expect(textOf(tokens)).toBe('w1')
  expect(routed.at(-1)).toMatchObject({ agent_used: 'analyst', content: 'add: 2' })
})

test('two servers may have a tool of one name', async ({ asAdmin, asAlice }) => {
  await using first = await startHttpServer()
  await using second = await startHttpServer()
  for (const [name, { url }] of Object.entries({ first, second })) await asAdmin(servers, post({ name, url }))
  await tokensOf(await asAlice('/v1/chat', chat('use second_add with {"a":1,"b":1}')))
  const slashed = await tokensOf(await asAlice('/v1/chat', chat('use second/add with {"a":1,"b":1}')))

  expect(slashed.find(({ type }) => type === 'tool_call_start')).toMatchObject({ tool_call: { name: 'second_add' } })
  expect(textOf(slashed)).toBe('second_add: 2')
})

test('a server that can not be connected is one line and is not kept', async ({ asAdmin }) => {
  await using refusing = await startHttpServer(0, 401)
  const mute = createServer((socket) => socket.destroy())
  await once(mute.listen(0, '127.0.0.1'), 'listening')
  const { port } = mute.address() as { port: number } // it listens on a port, not on a pipe
  const reason = async (body: object) => {
    const res = await asAdmin(servers, post({ name: 'x', credentials: { token: 'sk-hidden' }, ...body }))
    return [res.status, (await res.json() as { error: { code: string, message: string } }).error]
  }
  const refused = await reason({ url: refusing.url })
  const nobody = await reason({ url: `http://127.0.0.1:${await freePort()}/mcp` })
  const dropped = await reason({ url: `http://127.0.0.1:${port}/mcp` })
  const missing = await reason({ command: 'no-such-program-here' })
  const other = await reason({ command: 'node -e "process.exit(3)"' })
  mute.close()

  expect(refused).toEqual([502, { code: 'UPSTREAM_ERROR', message: "MCP server 'x' could not be connected: it answered 401" }])
  expect(nobody).toMatchObject([502, { message: expect.stringMatching(/: ECONNREFUSED$/) }])
  expect(missing).toMatchObject([502, { message: expect.stringMatching(/: ENOENT$/) }])
  expect(other).toMatchObject([502, { message: expect.stringMatching(/: it closed the connection$/) }])
  for (const line of [dropped, missing, other]) expect(line).toMatchObject([502, { message: expect.stringMatching(/^MCP server 'x' could not be connected: [^\n]{3,200}$/) }])
  expect(await data(await asAdmin(servers))).toMatchObject({ count: 0 })
})

test('what is no server is refused before anything is connected', async ({ asAdmin }) => {
  const status = async (body: object) => (await asAdmin(servers, post({ name: 'x', ...body }))).status
  const bodies = [{}, { url: 'http://x', command: 'y' }, { url: 'file:///etc/passwd' }, { url: 'http://u:p@x/' }, { url: 'no url' }, { command: 'a "b' }, { command: ' ' },
    { command: 'a', credentials: { 'a=b': 'c' } }, { url: 'http://x', credentials: { token: 'a\nb' } }, { name: '../x', url: 'http://x' }]

  expect(await Promise.all(bodies.map(status))).toEqual(bodies.map(() => 422))
})

test('a name is taken once, and an agent has sixteen servers at most', async ({ asAdmin }) => {
  await using server = await startHttpServer()
  const add = async (name: string) => (await asAdmin(servers, post({ name, url: server.url }))).status
  const twice = await Promise.all([add('a'), add('a')])
  const more = await Promise.all(Array.from({ length: 15 }, (_, at) => add(`s${at}`)))

  expect(twice.sort()).toEqual([201, 409])
  expect(new Set(more)).toEqual(new Set([201]))
  expect(await add('one-more')).toBe(409)
})

test('the servers of an agent go with it', async ({ asAdmin }) => {
  await using server = await startHttpServer()
  await asAdmin(servers, post({ name: 'sums', url: server.url }))
  await asAdmin('/v1/agents/analyst', { method: 'DELETE' })

  expect(server.sessions.size).toBe(0)
  expect((await asAdmin(servers)).status).toBe(404)
})

test('an import connects the servers that answer and keeps the others for later', async ({ asAdmin }) => {
  await using server = await startHttpServer()
  const config = { id: 'ada', description: 'Counts', model: { provider: 'p', model: 'm' } }
  const mcpServers = [{ name: 'sums', url: server.url }, { name: 'away', url: 'http://127.0.0.1:1/mcp' }]
  const made = await data(await asAdmin('/v1/agents/import', post({ config: { ...config, mcp_servers: mcpServers } })))
  const twice = await asAdmin('/v1/agents/import', post({ config: { ...config, id: 'eve', mcp_servers: [mcpServers[0], mcpServers[0]] } }))

  expect(made).toMatchObject({ mcp_servers_connected: 1, mcp_servers: [{ name: 'sums', connected: true }, { name: 'away', connected: false }] })
  expect(twice.status).toBe(422)
})

describe('with commands off and loopback only', () => {
  test.override({ options: { mcpCommands: false, mcpHosts: 'loopback' } })

  test('commands and other hosts are forbidden, by import too', async ({ core, asAdmin }) => {
    await using server = await startHttpServer()
    const status = async (body: object) => (await asAdmin(servers, post({ name: 'x', ...body }))).status
    const config = { id: 'ada', description: 'Counts', model: { provider: 'p', model: 'm' }, mcp_servers: [{ name: 'x', command: program }] }
    const imported = await asAdmin('/v1/agents/import', post({ config }))

    expect(await status({ command: program })).toBe(403)
    for (const url of ['http://192.0.2.1/mcp', 'http://0.0.0.0:1/', 'http://127.evil.example/']) expect(await status({ url })).toBe(403)
    expect(await status({ url: server.url })).toBe(201)
    expect(imported.status).toBe(403)
    expect(core.agents.has('ada')).toBe(false)
  })
})

/** A port at which nobody listens. */
async function freePort (): Promise<number> {
  const { port, [Symbol.asyncDispose]: close } = await startHttpServer()
  await close()
  return port
}

function isAlive (pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
