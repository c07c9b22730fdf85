import type { FastifyInstance } from 'fastify'
import { describe, expect } from 'vitest'
import { test as base } from '../../../app.ts'
import { buildApp } from '../../../../app.ts'
import { configFor, Lines } from '../../../app.ts'
import { longTools } from './long-tools.ts'
import { endless, extension, quick, sayCore, sayExtended, slow, begin, type How } from './speak.ts'

const test = base.extend<{ long: FastifyInstance }>({
  long: async ({ core }, use) => {
    const app = await buildApp(configFor(core, { MUXI_API_RATE_LIMIT_MCP: '0' }), new Lines())
    app.mcp.features.push(longTools(app.mcp.requestState))
    await app.ready()
    await app.core.check()
    await use(app)
    await app.close()
  }
})

const can = { elicitation: {} }
const call = async (app: FastifyInstance, name: string, args: object = {}, how: How = {}) => await sayExtended(app, 'tools/call', { name, arguments: args }, how)
const get = async (app: FastifyInstance, taskId: unknown, how: How = {}) => (await sayExtended(app, 'tasks/get', { taskId }, how)).result!
const states = (core: { requests: Map<string, { status: string }> }) => [...core.requests.values()].map(({ status }) => status)

test.for(['', '?tools=compact'])('the server says that it has the extension, and not what revision 2025-11-25 has (%s)', async (query, { app }) => {
  const { result } = await sayExtended(app, 'server/discover', {}, { query })

  expect(result!.capabilities!.extensions).toEqual({ [extension]: {} })
  expect(result!.capabilities).not.toHaveProperty('tasks')
})

test('a chat that takes long becomes a task, which has its answer in it', async ({ app }) => {
  const { result } = await call(app, 'chat_send', slow)
  const working = await get(app, result!.taskId)
  await expect.poll(async () => (await get(app, result!.taskId)).status, { timeout: 5_000 }).toBe('completed')
  const completed = await get(app, result!.taskId)

  expect(result).toMatchObject({ resultType: 'task', taskId: expect.stringMatching(/^mct_/), status: 'working', ttlMs: 3_600_000, pollIntervalMs: 3_000 })
  for (const none of ['content', 'task', 'result', 'ttl']) expect(result).not.toHaveProperty(none)
  expect(working).toMatchObject({ resultType: 'complete', status: 'working' })
  expect(completed).toMatchObject({ resultType: 'complete', result: { structuredContent: { agent_response: expect.any(Object) } } })
  expect(completed.result).not.toHaveProperty('_meta')
})

test('a chat that is answered at once is no task', async ({ app }) => {
  const { result } = await call(app, 'chat_send', quick)

  expect(result).toMatchObject({ resultType: 'complete', structuredContent: { agent_response: { content: '6 * 7 = 42.' } } })
  expect(result).not.toHaveProperty('taskId')
})

test('in compact mode a chat becomes a task, too', async ({ app }) => {
  const { result } = await call(app, 'tool_call', { name: 'chat_send', arguments: slow }, { query: '?tools=compact' })

  expect(result).toMatchObject({ resultType: 'task', status: 'working' })
  await sayExtended(app, 'tasks/cancel', { taskId: result!.taskId })
})

test('a client that does not declare the extension waits for its answer, and has none of the methods', async ({ app }) => {
  const { result } = await call(app, 'chat_send', slow, { declares: false })
  const answers = await Promise.all(['tasks/get', 'tasks/update', 'tasks/cancel'].map(async (method) => await sayExtended(app, method, { taskId: 'mct_x', inputResponses: {} }, { declares: false })))

  expect(result).toMatchObject({ resultType: 'complete', structuredContent: { agent_response: expect.any(Object) } })
  for (const { status, error } of answers) {
    expect(status).toBe(400)
    expect(error).toMatchObject({ code: -32_021, data: { requiredCapabilities: { extensions: { [extension]: {} } } } })
  }
})

test('a tool that is a task alone is -32021 for who does not declare the extension, and -32601 for who asks for none in 2025', async ({ long }) => {
  const { error } = await call(long, 'only', {}, { declares: false })
  const older = await sayCore(long, 'tools/call', { name: 'only', arguments: {} })

  expect(error).toMatchObject({ code: -32_021, data: { requiredCapabilities: { extensions: { [extension]: {} } } } })
  expect(older.error!.code).toBe(-32_601)
})

test.for(['tasks/result', 'tasks/list'])('%s is -32601', async (method, { app }) => {
  const { error } = await sayExtended(app, method, { taskId: 'mct_x' })

  expect(error!.code).toBe(-32_601)
})

test('cancelling is answered with nothing, ends the call at the Core, and may be said twice', async ({ app, core }) => {
  const { result } = await call(app, 'chat_send', endless)
  const cancelled = [await sayExtended(app, 'tasks/cancel', { taskId: result!.taskId }), await sayExtended(app, 'tasks/cancel', { taskId: result!.taskId })]

  for (const { result: none } of cancelled) expect(Object.keys(none!).sort()).toEqual(['_meta', 'resultType'])
  expect((await get(app, result!.taskId)).status).toBe('cancelled')
  await expect.poll(() => states(core)).toEqual(['cancelled'])
})

test('who leaves before there is a task ends the call; who leaves after does not', async ({ app, core, url }) => {
  const leaving = new AbortController()
  const { result } = await call(app, 'chat_send', { content: 'Count [fake: tokens=6 hang_ms=1200]' })
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'chat_send', arguments: endless, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': { extensions: { [extension]: {} } } } } })
  const left = fetch(`${url}/mcp`, { method: 'POST', body, signal: leaving.signal, headers: { authorization: 'Bearer sk_muxi_user_testuser0000000000000000', 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'chat_send' } }).catch(() => 'left')
  await expect.poll(() => states(core)).toHaveLength(2)
  leaving.abort()

  expect(await left).toBe('left')
  await expect.poll(() => states(core)[1]).toBe('cancelled')
  await expect.poll(async () => (await get(app, result!.taskId)).status, { timeout: 5_000 }).toBe('completed')
})

test('an error of the protocol is a task that failed, with that error', async ({ long }) => {
  const { result } = await call(long, 'break')
  await expect.poll(async () => (await get(long, result!.taskId)).status).toBe('failed')
  const failed = await get(long, result!.taskId)

  expect(failed).toMatchObject({ statusMessage: 'it broke', error: { code: -32_050, message: 'it broke', data: { piece: 'handle' } } })
  expect(failed).not.toHaveProperty('result')
})

test('an answer above 1 MiB is a failed one that says so', async ({ long }) => {
  const { result } = await call(long, 'pour')
  await expect.poll(async () => (await get(long, result!.taskId)).status).toBe('completed')

  expect((await get(long, result!.taskId)).result).toMatchObject({ isError: true, content: [{ text: expect.stringMatching(/too large for a task \(\d+ bytes, 1048576 at most\)/) }] })
})

describe('a tool that asks its client', () => {
  test('does so in rounds whose keys are new, and goes on with the answers', async ({ long }) => {
    const { result } = await call(long, 'ask', {}, { can })
    const answer = async (key: string, name: string) => await sayExtended(long, 'tasks/update', { taskId: result!.taskId, inputResponses: { [key]: { action: 'accept', content: { name } } } })
    await expect.poll(async () => (await get(long, result!.taskId)).inputRequests).toMatchObject({ '1.who': { method: 'elicitation/create', params: { message: 'Who is first?' } } })
    const stranger = await answer('2.who', 'Eve')
    const first = await answer('1.who', 'Ada')
    await expect.poll(async () => (await get(long, result!.taskId)).inputRequests, { timeout: 4_000 }).toMatchObject({ '2.who': { params: { message: 'Who is second?' } } })
    await answer('1.who', 'Eve')
    await answer('2.who', 'Bob')
    await expect.poll(async () => (await get(long, result!.taskId)).status, { timeout: 4_000 }).toBe('completed')

    expect([stranger, first].map(({ result: none }) => Object.keys(none!).sort())).toEqual(Array(2).fill(['_meta', 'resultType']))
    expect((await get(long, result!.taskId)).result!.content).toEqual([{ type: 'text', text: 'Ada and Bob' }])
  })

  test('fails where its client cannot be asked', async ({ long }) => {
    const { result } = await call(long, 'ask')

    await expect.poll(async () => (await get(long, result!.taskId)).error).toMatchObject({ code: -32_021, message: 'the client of this task cannot be asked (elicitation): call the tool without a task' })
  })

  test('fails in a task of revision 2025-11-25', async ({ long }) => {
    const made = await sayCore(long, 'tools/call', { name: 'ask', arguments: {}, task: {} })
    const { error } = await sayCore(long, 'tasks/result', { taskId: made.result!.task!.taskId })

    expect(error!.message).toContain('cannot be asked (elicitation)')
  })
})

test.for(['tasks/get', 'tasks/update', 'tasks/cancel'])('%s of a task of another caller is the same as of none', async (method, { app }) => {
  const { taskId } = await begin(app, endless)
  const answers = await Promise.all([taskId, `mct_${'x'.repeat(24)}`].map(async (id) => await sayExtended(app, method, { taskId: id, inputResponses: {} }, { level: 'admin' })))

  expect(answers.map(({ error }) => ({ ...error, message: error!.message.replace(/mct_[\w-]+/, 'it') }))).toEqual(Array(2).fill({ code: -32_602, message: 'no task it: it may have expired' }))
  expect((await get(app, taskId)).status).toBe('working')
  await sayExtended(app, 'tasks/cancel', { taskId })
})

test('a header that names another task is refused', async ({ app }) => {
  const { status, error } = await sayExtended(app, 'tasks/get', { taskId: 'mct_one' }, { headers: { 'mcp-name': 'mct_other' } })

  expect([status, error!.code]).toEqual([400, -32_020])
})
