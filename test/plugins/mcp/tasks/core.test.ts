import { describe, expect } from 'vitest'
import { start } from '../../../../server.ts'
import { as, configFor, test } from '../../../app.ts'
import { metric } from '../../../faults/server.ts'
import { messagesIn } from '../speak.ts'
import { connect } from '../agents/ask.ts'
import { startToolServer } from '../agents/tool-server.ts'
import { begin, endless, quick, sayCore, slow } from './speak.ts'

const states = (core: { requests: Map<string, { status: string }> }) => [...core.requests.values()].map(({ status }) => status)
const unlimited = { MUXI_API_RATE_LIMIT: '0', MUXI_API_RATE_LIMIT_MCP: '0' }

test('the chats may run as tasks, and say so; no other operation does', async ({ app }) => {
  const { result } = await sayCore(app, 'tools/list', {}, { level: 'admin' })
  const older = await sayCore(app, 'tools/list', {}, { level: 'admin', headers: { 'mcp-protocol-version': '2025-06-18' } })

  expect(result!.tools!.filter(({ execution }) => execution !== undefined)).toMatchObject(['chat_send', 'agent_chat_send'].map((name) => ({ name, execution: { taskSupport: 'optional' } })))
  expect(older.result!.tools!.filter(({ execution }) => execution !== undefined)).toEqual([])
})

test.for([['2025-11-25', { list: {}, cancel: {}, requests: { tools: { call: {} } } }], ['2025-06-18', undefined]] as const)('a server of revision %s says whether it has tasks', async ([protocolVersion, tasks], { app }) => {
  const { result } = await sayCore(app, 'initialize', { protocolVersion, capabilities: {}, clientInfo: { name: 'test', version: '1' } }, { headers: { 'mcp-protocol-version': protocolVersion } })

  expect(result!.capabilities!.tasks).toEqual(tasks)
  expect(result!.capabilities).not.toHaveProperty('extensions')
})

test('a call becomes a task at once, whose answer is what the call would have answered', async ({ app }) => {
  const task = await begin(app, slow)
  const got = await sayCore(app, 'tasks/get', { taskId: task.taskId })
  const { result } = await sayCore(app, 'tasks/result', { taskId: task.taskId })
  const after = await sayCore(app, 'tasks/get', { taskId: task.taskId })

  expect(task).toEqual({ taskId: expect.stringMatching(/^mct_[\w-]{24}$/), status: 'working', createdAt: expect.stringMatching(/^\d{4}-.+Z$/), lastUpdatedAt: expect.any(String), ttl: 300_000, pollInterval: 3_000 })
  expect(got.result).toMatchObject({ taskId: task.taskId, status: 'working' })
  expect(result!.structuredContent!.agent_response!.content).not.toBe('')
  expect(JSON.parse(result!.content![0]!.text)).toEqual(result!.structuredContent)
  expect(result!._meta).toEqual({ 'io.modelcontextprotocol/related-task': { taskId: task.taskId } })
  expect(after.result).toMatchObject({ status: 'completed', ttl: 300_000 })
})

test('a task tells how far its chat is', async ({ app }) => {
  const { taskId } = await begin(app, { content: 'Count [fake: tokens=40 delay_ms=200]' })

  await expect.poll(async () => (await sayCore(app, 'tasks/get', { taskId })).result, { timeout: 5_000 }).toMatchObject({ status: 'working', statusMessage: expect.stringMatching(/^\d+ characters of the answer so far$/) })
  await sayCore(app, 'tasks/cancel', { taskId })
})

test.for<[number | undefined, number]>([[undefined, 300_000], [60_000, 60_000], [1, 1_000], [1e12, 3_600_000], [1_500.4, 1_500]])('of a time of %s ms it is given %s', async ([ttl, given], { app }) => {
  const task = await begin(app, quick, { ...(ttl !== undefined && { ttl }) })

  expect(task.ttl).toBe(given)
})

test('a tool that fails has completed, with its failure as the answer', async ({ app }) => {
  const { result: made } = await sayCore(app, 'tools/call', { name: 'agent_chat_send', arguments: { agent_id: 'nobody', content: 'Hello' }, task: {} })
  const { result } = await sayCore(app, 'tasks/result', { taskId: made!.task!.taskId })
  const got = await sayCore(app, 'tasks/get', { taskId: made!.task!.taskId })

  expect(result).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('"code":"not_found"') }] })
  expect(got.result!.status).toBe('completed')
})

test('a tool of an agent runs as a task, too', async ({ app }) => {
  await using server = await startToolServer([{ name: 'dig' }], () => ({ content: [{ type: 'text', text: 'gold' }] }))
  await connect(app, server.url)
  const { result: list } = await sayCore(app, 'tools/list', {}, { level: 'admin' })
  const { result: made } = await sayCore(app, 'tools/call', { name: 'tool_analyst_dig', arguments: {}, task: {} }, { level: 'admin' })
  const { result } = await sayCore(app, 'tasks/result', { taskId: made!.task!.taskId }, { level: 'admin' })

  expect(list!.tools!.find(({ name }) => name === 'tool_analyst_dig')).toMatchObject({ execution: { taskSupport: 'optional' } })
  expect(result!.content).toEqual([{ type: 'text', text: 'gold' }])
})

test('another tool, and one that is not there, are -32601', async ({ app }) => {
  const answers = await Promise.all(['health_get', 'nothing'].map(async (name) => await sayCore(app, 'tools/call', { name, task: {} })))

  expect(answers.map(({ error }) => error!.code)).toEqual([-32_601, -32_601])
})

test('a revision without tasks takes no heed of the wish for one, and has none of their methods', async ({ app }) => {
  const headers = { 'mcp-protocol-version': '2025-06-18' }
  const { result } = await sayCore(app, 'tools/call', { name: 'chat_send', arguments: quick, task: {} }, { headers })
  const { error } = await sayCore(app, 'tasks/list', {}, { headers })

  expect(result).toMatchObject({ structuredContent: { agent_response: { content: '6 * 7 = 42.' } } })
  expect(error!.code).toBe(-32_601)
})

describe('cancelling', () => {
  test('ends the call at the Core, and the task stays cancelled', async ({ app, core }) => {
    const { taskId } = await begin(app, endless)
    await expect.poll(() => states(core)).toEqual(['processing'])
    const cancelled = await sayCore(app, 'tasks/cancel', { taskId })

    expect(cancelled.result).toMatchObject({ taskId, status: 'cancelled', statusMessage: 'cancelled by its caller' })
    await expect.poll(() => states(core)).toEqual(['cancelled'])
    expect((await sayCore(app, 'tasks/get', { taskId })).result!.status).toBe('cancelled')
    expect((await sayCore(app, 'tasks/result', { taskId })).error).toMatchObject({ code: -32_000, message: 'the task was cancelled by its caller' })
  })

  test('wakes who waits for the answer', async ({ app, core }) => {
    const { taskId } = await begin(app, endless)
    const waiting = sayCore(app, 'tasks/result', { taskId })
    await expect.poll(() => states(core)).toEqual(['processing'])
    await sayCore(app, 'tasks/cancel', { taskId })

    expect((await waiting).error).toMatchObject({ code: -32_000 })
  })

  test('of a task that is over is -32602', async ({ app }) => {
    const { taskId } = await begin(app, quick)
    await sayCore(app, 'tasks/result', { taskId })

    expect((await sayCore(app, 'tasks/cancel', { taskId })).error).toMatchObject({ code: -32_602, message: 'the task is completed already' })
  })
})

describe('the list', () => {
  test('has the tasks of its caller in their order, and no others', async ({ app }) => {
    const ids = [(await begin(app, quick)).taskId, (await begin(app, endless)).taskId]
    await begin(app, quick, { level: 'admin' })
    await sayCore(app, 'tasks/result', { taskId: ids[0] })
    const { result } = await sayCore(app, 'tasks/list')

    expect(result!.tasks!.map(({ taskId, status }) => [taskId, status])).toEqual([[ids[0], 'completed'], [ids[1], 'working']])
    expect(result).not.toHaveProperty('nextCursor')
    await sayCore(app, 'tasks/cancel', { taskId: ids[1] })
  })

  test('knows its own cursors alone', async ({ app }) => {
    expect((await sayCore(app, 'tasks/list', { cursor: 'nonsense' })).error).toMatchObject({ code: -32_602 })
  })
})

test.for(['tasks/get', 'tasks/result', 'tasks/cancel'])('%s of a task of another caller, or of another user of the key, is the same as of none', async (method, { app }) => {
  const { taskId } = await begin(app, endless, { headers: { 'x-muxi-user-id': 'ada' } })
  const answers = await Promise.all([
    sayCore(app, method, { taskId }, { level: 'admin' }),
    sayCore(app, method, { taskId }, { headers: { 'x-muxi-user-id': 'bob' } }),
    sayCore(app, method, { taskId: `mct_${'x'.repeat(24)}` })
  ])
  const own = await sayCore(app, 'tasks/cancel', { taskId }, { headers: { 'x-muxi-user-id': 'ada' } })

  expect(answers.map(({ error }) => ({ ...error, message: error!.message.replace(/mct_[\w-]+/, 'it') }))).toEqual(Array(3).fill({ code: -32_602, message: 'no task it: it may have expired' }))
  expect(own.result!.status).toBe('cancelled')
})

test('a task whose time is over is gone, and its call ends at the Core', async ({ app, core }) => {
  const { taskId } = await begin(app, endless, { ttl: 1_000 })
  const waiting = sayCore(app, 'tasks/result', { taskId })
  await expect.poll(() => states(core)).toEqual(['processing'])

  await expect.poll(async () => (await sayCore(app, 'tasks/get', { taskId })).error, { timeout: 3_000 }).toMatchObject({ code: -32_602, message: `no task ${taskId}: it may have expired` })
  await expect.poll(() => states(core), { timeout: 3_000 }).toEqual(['cancelled'])
  expect((await waiting).error).toMatchObject({ code: -32_602 })
  expect((await sayCore(app, 'tasks/list')).result!.tasks).toEqual([])
})

test('a task ends with its key', async ({ app, core }) => {
  const { taskId } = await begin(app, endless)
  await expect.poll(() => states(core)).toEqual(['processing'])
  await app.keys.revoke('sk_muxi_user_testuser0000000000000000')

  await expect.poll(() => states(core), { timeout: 3_000 }).toEqual(['cancelled'])
  expect((await sayCore(app, 'tasks/get', { taskId })).status).toBe(401)
})

describe('in plenty', () => {
  test.override({ settings: unlimited })

  test('a hundred run at once for a caller, and not one more', async ({ app }) => {
    const tasks = await Promise.all(Array.from({ length: 100 }, async () => await begin(app, endless)))
    const { error } = await sayCore(app, 'tools/call', { name: 'chat_send', arguments: endless, task: {} })
    await sayCore(app, 'tasks/cancel', { taskId: tasks[0]!.taskId })
    const next = await begin(app, quick)

    expect(error).toEqual({ code: -32_000, message: '100 tasks run already: wait for one of them, or cancel one', data: { code: 'rate_limited' } })
    expect(next.status).toBe('working')
    await Promise.all(tasks.slice(1).map(async ({ taskId }) => await sayCore(app, 'tasks/cancel', { taskId })))
  })
})

test('a session hears on its standing stream what becomes of its tasks', async ({ url }) => {
  const headers: Record<string, string> = { ...as('user'), accept: 'application/json, text/event-stream', 'content-type': 'application/json' }
  const post = async (message: object) => await fetch(`${url}/mcp`, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }) })
  const opened = await post({ method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } } })
  Object.assign(headers, { 'mcp-session-id': opened.headers.get('mcp-session-id'), 'mcp-protocol-version': '2025-11-25' })
  const leaving = new AbortController()
  const { body } = await fetch(`${url}/mcp`, { headers: { ...headers, accept: 'text/event-stream' }, signal: leaving.signal })
  const made = await (await post({ method: 'tools/call', params: { name: 'chat_send', arguments: slow, task: {} } })).json() as { result: { task: { taskId: string } } }
  let text = ''
  for await (const piece of body!.pipeThrough(new TextDecoderStream())) {
    text += piece
    if (text.includes('tasks/status') && text.endsWith('\n\n')) break
  }
  leaving.abort()

  expect(messagesIn(text)).toContainEqual({ jsonrpc: '2.0', method: 'notifications/tasks/status', params: expect.objectContaining({ taskId: made.result.task.taskId, status: 'completed', ttl: 300_000 }) })
})

test('what is asked of tasks is counted and spanned as everything else, and no line tells what was said', async ({ app, lines }) => {
  const { taskId } = await begin(app, { content: 'my password is hunter2' })
  await sayCore(app, 'tasks/result', { taskId })

  expect(await metric(app, 'mcp_server_operation_duration_seconds_count', 'mcp_method_name="tasks/result"', 'mcp_protocol_version="2025-11-25"')).toBe(1)
  expect(await metric(app, 'mcp_server_operation_duration_seconds_count', 'mcp_method_name="tools/call"', 'gen_ai_tool_name="chat_send"')).toBe(1)
  expect(lines.all.find(({ operationId }) => operationId === 'chat_send')).toMatchObject({ protocol: 'mcp', statusCode: 200 })
  expect(JSON.stringify(lines.all)).not.toContain('hunter2')
})

test('a server that stops waits for its tasks', async ({ core }) => {
  const { app, stop } = await start(configFor(core))
  await app.core.check()
  await begin(app, slow)
  await expect.poll(() => states(core)).toEqual(['processing'])
  await stop()

  expect(states(core)).toEqual(['completed'])
})

test('a server that stops waits no longer for its tasks than for its requests', async ({ core }) => {
  const { app, stop } = await start(configFor(core, { MUXI_API_DRAIN_TIMEOUT_MS: '1000' }))
  await app.core.check()
  await begin(app, endless)
  await expect.poll(() => states(core)).toEqual(['processing'])
  await stop()

  expect(states(core)).toEqual(['cancelled'])
})
