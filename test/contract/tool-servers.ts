import { expect } from 'vitest'
import { startHttpServer } from '../core/embedded/mcp-http.ts'
import { lacks } from './capabilities.ts'
import { asTool } from './client.ts'
import { call, type ContractTest, errorOf, fresh, jsonOf, type Target } from './target.ts'

interface List { agent_id: string, mcp_servers: { name: string }[], pagination: object }

const program = `node ${JSON.stringify(new URL('../core/embedded/mcp-stdio.mjs', import.meta.url).pathname)}`
const of = (agent: string) => `/api/v1/agents/${agent}/mcp_servers`

/** The tool servers of agents: those that a formation declares, and those that were connected. */
export function toolServerCases (test: ContractTest): void {
  test('mcp_server_list and mcp_server_get show what the formation declares, without its credentials', async ({ target }) => {
    const { agent, servers } = target.declared
    const list = await (await call(target, 'admin', `${of(agent)}?sort=name`)).text()
    const each = await Promise.all(servers.map(async ({ name }) => await (await call(target, 'admin', `${of(agent)}/${name}`)).text()))

    expect(JSON.parse(list)).toMatchObject({ agent_id: agent, mcp_servers: servers, pagination: { total: servers.length } })
    expect(each.map((text) => JSON.parse(text) as unknown)).toMatchObject(servers.map((server) => ({ agent_id: agent, ...server })))
    expect(list + each.join()).not.toMatch(/sk-hidden|"auth"/)
  })

  test('mcp_server_list keeps to one kind and one page', async ({ target }) => {
    const { agent, servers } = target.declared
    const programs = await jsonOf<List>(await call(target, 'admin', `${of(agent)}?type=command`))
    const page = await jsonOf<List>(await call(target, 'admin', `${of(agent)}?sort=-name&limit=1`))

    expect(programs.mcp_servers).toMatchObject(servers.filter(({ type }) => type === 'command'))
    expect(page.mcp_servers).toMatchObject(servers.toReversed().slice(0, 1))
  })

  test('a server that is not there is not_found', async ({ target }) => {
    const res = await call(target, 'admin', `${of('greeter')}/nothing`)

    expect([res.status, await errorOf(res)]).toMatchObject([404, { code: 'not_found', message: 'no tool server nothing' }])
  })

  test('a tool server over HTTP lives from connect to disconnect', async ({ target }) => {
    await using server = await startHttpServer()
    const name = fresh('sums')
    const made = await connect(target, { name, url: server.url, credentials: { token: 'sk-hidden' } })
    if (await lacks(target, 'mcp_servers.connect', made)) return
    const taken = await connect(target, { name, url: server.url })
    const listed = await (await call(target, 'admin', of('analyst'))).text()
    const shown = await (await call(target, 'admin', `${of('analyst')}/${name}`)).text()
    const gone = await call(target, 'admin', `${of('analyst')}/${name}`, { method: 'DELETE' })
    const again = await call(target, 'admin', `${of('analyst')}/${name}`, { method: 'DELETE' })

    expect([made.status, await jsonOf(made)]).toEqual([201, { status: 'connected', agent_id: 'analyst', server: { name, type: 'http', connected: true } }])
    expect([taken.status, await errorOf(taken)]).toMatchObject([409, { message: `tool server ${name} exists already` }])
    expect((JSON.parse(listed) as List).mcp_servers).toContainEqual(expect.objectContaining({ name, type: 'http', url: server.url, connected: true }))
    expect(JSON.parse(shown)).toMatchObject({ agent_id: 'analyst', name, stats: { connect_time: expect.stringMatching(/Z$/) }, available_tools: expect.arrayContaining([expect.objectContaining({ name: 'add' })]) })
    expect(server.seen.some(({ authorization }) => authorization === 'Bearer sk-hidden')).toBe(true)
    expect(listed + shown).not.toContain('sk-hidden')
    expect(await jsonOf(gone)).toEqual({ status: 'disconnected', agent_id: 'analyst', server: { name } })
    expect([again.status, await errorOf(again)]).toMatchObject([404, { message: `no tool server ${name}` }])
    expect(server.sessions.size).toBe(0)
  })

  test('a tool server is started as a program, and shown as a tool', async ({ target }) => {
    const name = fresh('program')
    const made = await connect(target, { name, command: program })
    if (await lacks(target, 'mcp_servers.connect', made)) return
    const shown = await asTool(target, 'admin', 'mcp_server_get', { agent_id: 'analyst', server_name: name })
    const gone = await asTool(target, 'admin', 'mcp_server_disconnect', { agent_id: 'analyst', server_name: name })

    expect(await jsonOf(made)).toMatchObject({ server: { name, type: 'command', connected: true } })
    expect(shown).toMatchObject({ name, type: 'command', command: program, stats: { pid: expect.any(Number) }, available_tools: expect.arrayContaining([expect.objectContaining({ name: 'environment' })]) })
    expect(gone).toMatchObject({ status: 'disconnected' })
  })

  test('a server that does not answer is the Core\'s failure and names it', async ({ target }) => {
    const res = await connect(target, { name: 'away', url: 'http://127.0.0.1:9/mcp' })
    if (await lacks(target, 'mcp_servers.connect', res)) return

    expect([res.status, await errorOf(res)]).toMatchObject([502, { code: 'core_error', message: 'the MUXI Core could not reach tool server away' }])
  })

  test('what is declared is not disconnected', async ({ target }) => {
    const { agent, servers } = target.declared
    const res = await call(target, 'admin', `${of(agent)}/${servers[0]?.name ?? 'nothing'}`, { method: 'DELETE' })
    if (await lacks(target, 'mcp_servers.disconnect', res)) return

    expect(res.status).toBe(404)
  })

  test('tool servers are the same as tools', async ({ target }) => {
    const { agent, servers } = target.declared
    const [first] = servers

    expect(await asTool(target, 'admin', 'mcp_server_list', { agent_id: agent, sort: 'name' })).toEqual(await jsonOf(await call(target, 'admin', `${of(agent)}?sort=name`)))
    if (first !== undefined) expect(await asTool(target, 'admin', 'mcp_server_get', { agent_id: agent, server_name: first.name })).toMatchObject(first)
  })
}

async function connect (target: Target, body: object): Promise<Response> {
  return await call(target, 'admin', of('analyst'), { body })
}
