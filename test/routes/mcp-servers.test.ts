import { describe, expect } from 'vitest'
import { as, test } from '../app.ts'
import { startHttpServer } from '../core/embedded/mcp-http.ts'

const headers = as('admin')
const url = '/api/v1/agents/analyst/mcp_servers'
const program = `node ${JSON.stringify(new URL('../core/embedded/mcp-stdio.mjs', import.meta.url).pathname)}`

test('a tool server lives from connect to disconnect', async ({ app }) => {
  await using server = await startHttpServer()
  const made = await app.inject({ method: 'POST', url, headers, payload: { name: 'sums', url: server.url } })
  const taken = await app.inject({ method: 'POST', url, headers, payload: { name: 'sums', url: server.url } })
  const listed = await app.inject({ url, headers })
  const shown = await app.inject({ url: `${url}/sums`, headers })
  const gone = await app.inject({ method: 'DELETE', url: `${url}/sums`, headers })
  const again = await app.inject({ method: 'DELETE', url: `${url}/sums`, headers })

  expect([made.statusCode, made.json()]).toEqual([201, { status: 'connected', agent_id: 'analyst', server: { name: 'sums', type: 'http', connected: true } }])
  expect([taken.statusCode, taken.json()]).toMatchObject([409, { error: { message: 'tool server sums exists already' } }])
  expect(listed.json()).toMatchObject({ agent_id: 'analyst', mcp_servers: [{ name: 'sums', type: 'http', url: server.url, connected: true, stats: { active_requests: 0 } }], pagination: { total: 1 } })
  expect(shown.json()).toMatchObject({
    agent_id: 'analyst',
    name: 'sums',
    stats: { session_id: expect.any(String), current_time: expect.stringMatching(/Z$/), connect_time: expect.stringMatching(/Z$/) },
    available_tools: expect.arrayContaining([{ name: 'add', description: 'Adds two numbers', parameters: expect.objectContaining({ type: 'object' }) }])
  })
  expect(gone.json()).toEqual({ status: 'disconnected', agent_id: 'analyst', server: { name: 'sums' } })
  expect(again.json()).toMatchObject({ error: { code: 'not_found', message: 'no tool server sums' } })
})

test('credentials reach the server and are never shown or logged', async ({ app, lines }) => {
  await using server = await startHttpServer()
  await app.inject({ method: 'POST', url, headers, payload: { name: 'sums', url: server.url, credentials: { token: 'sk-hidden' } } })
  const shown = await Promise.all([url, `${url}/sums`, '/api/v1/agents/analyst'].map(async (at) => (await app.inject({ url: at, headers })).body))

  expect(server.seen.some(({ authorization }) => authorization === 'Bearer sk-hidden')).toBe(true)
  expect(shown.join() + JSON.stringify(lines.all)).not.toMatch(/sk-hidden|"credentials"/)
})

test.for([
  [{ name: 'x' }, 'body.url'], [{ name: 'x', url: 'http://localhost:1', command: 'y' }, 'body.url'], [{ name: 'x', url: 'ftp://localhost' }, 'body.url'],
  [{ name: 'x', url: 'http://me:pw@localhost:1' }, 'body.url'], [{ name: '../x', url: 'http://localhost:1' }, 'body.name'], [{ name: 'x', command: 'a\nb' }, 'body.command'],
  [{ name: 'x', url: 'http://localhost:1', credentials: { a: 1 } }, 'body.credentials.a']
] as const)('mcp_server_connect refuses %j', async ([payload, field], { app, core }) => {
  const res = await app.inject({ method: 'POST', url, headers, payload })

  expect([res.statusCode, res.json()]).toMatchObject([400, { error: { code: 'bad_request', details: { field } } }])
  expect(core.calls.some(({ path }) => path.includes('/mcp/'))).toBe(false)
})

test('a server that does not answer is the Core\'s failure and names it; an agent that is not there is not found', async ({ app }) => {
  const away = await app.inject({ method: 'POST', url, headers, payload: { name: 'x', url: 'http://127.0.0.1:9/mcp' } })
  const nobody = await app.inject({ method: 'POST', url: '/api/v1/agents/nobody/mcp_servers', headers, payload: { name: 'x', url: 'http://127.0.0.1:9/mcp' } })

  expect([away.statusCode, away.json()]).toMatchObject([502, { error: { code: 'core_error', message: 'the MUXI Core could not reach tool server x' } }])
  expect(nobody.json()).toMatchObject({ error: { code: 'not_found', message: 'no agent nobody' } })
})

test('a command is started by the Core', async ({ app }) => {
  const made = await app.inject({ method: 'POST', url, headers, payload: { name: 'program', command: program } })
  const listed = await app.inject({ url: `${url}?type=command`, headers })
  const none = await app.inject({ url: `${url}?type=http`, headers })

  expect(made.json()).toMatchObject({ server: { name: 'program', type: 'command', connected: true } })
  expect(listed.json()).toMatchObject({ mcp_servers: [{ name: 'program', command: program, stats: { pid: expect.any(Number) } }] })
  expect(none.json()).toMatchObject({ mcp_servers: [] })
})

describe('with commands switched off', () => {
  test.override({ settings: { MUXI_API_MCP_COMMANDS: 'false' } })

  test('a command is forbidden and does not reach the Core', async ({ app, core }) => {
    const res = await app.inject({ method: 'POST', url, headers, payload: { name: 'program', command: program } })

    expect([res.statusCode, res.json()]).toMatchObject([403, { error: { code: 'forbidden' } }])
    expect(core.calls.some(({ path }) => path.includes('/mcp/'))).toBe(false)
  })
})

describe('a Core that keeps tool servers for all agents together', () => {
  test.override({ offers: 'real' })

  test('they are listed and shown as that Core declares them, and cannot be changed', async ({ app, core }) => {
    const servers = [{ id: 'web', type: 'http', endpoint: 'http://localhost:5001', auth: { token: 'sk-hidden' } }, { id: 'geo', type: 'command', command: 'npx', args: ['geo', '-v'] }]
    core.fail({ path: '/v1/mcp/servers', status: 200, body: JSON.stringify({ success: true, data: { servers } }) })
    const listed = await app.inject({ url: `${url}?sort=name`, headers })
    const shown = await app.inject({ url: `${url}/geo`, headers })
    const missing = await app.inject({ url: `${url}/other`, headers })
    const changes = await Promise.all([
      app.inject({ method: 'POST', url, headers, payload: { name: 'x', url: 'http://localhost:1' } }), app.inject({ method: 'DELETE', url: `${url}/web`, headers })
    ])

    expect(listed.json()).toMatchObject({ mcp_servers: [{ name: 'geo', type: 'command', command: 'npx geo -v' }, { name: 'web', type: 'http', url: 'http://localhost:5001' }] })
    expect(shown.json()).toEqual({ agent_id: 'analyst', name: 'geo', type: 'command', command: 'npx geo -v' })
    expect(listed.body).not.toContain('sk-hidden')
    expect(missing.statusCode).toBe(404)
    expect(changes.map((res) => [res.statusCode, res.json<{ error: { details: unknown } }>().error.details])).toEqual([[501, { capability: 'mcp_servers.connect' }], [501, { capability: 'mcp_servers.disconnect' }]])
  })
})
