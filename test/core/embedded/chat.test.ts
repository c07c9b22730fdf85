import { expect } from 'vitest'
import { test, textOf, tokensOf } from './core.ts'

const chat = (message: string, rest: object = {}) => ({ method: 'POST', body: { message, ...rest } })
const data = async (res: Response) => (await res.json() as { data: { message: { content: string, metadata: Record<string, unknown> } } & Record<string, unknown> }).data

test('a stream has a comment at once, steps, deltas, the whole text and the end', async ({ asAlice }) => {
  const res = await asAlice('/v1/chat', chat('Nice weather', { request_id: 'req_1', session_id: 's' }))
  const copy = res.clone()
  const tokens = await tokensOf(res)
  const text = await copy.text()

  expect(res.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(text).toMatch(/^: keepalive\n\n/)
  expect(text).toMatch(/\n\nevent: done\ndata: \{"finished":true\}\n\n$/)
  expect(tokens.map(({ stage }) => stage).slice(0, 3)).toEqual(['init', 'agent_selection', 'agent_selected'])
  expect(tokens[0]).toMatchObject({ request_id: 'req_1', user_id: 'alice', session_id: 's', type: 'progress', timestamp: expect.any(Number) })
  expect(tokens.at(-1)).toMatchObject({
    type: 'completed',
    status: 'success',
    agent_used: 'greeter',
    content: 'I am the built-in development model of MUXI; no LLM is configured. You said: Nice weather'
  })
  expect(textOf(tokens)).toBe(tokens.at(-1)?.content)
})

test('the overlord picks the agent and says how sure it is', async ({ asAlice }) => {
  const tokens = await tokensOf(await asAlice('/v1/chat', chat('Do you have data for me?')))

  expect(tokens.find(({ stage }) => stage === 'agent_selected')).toMatchObject({ selected_agent: 'analyst', routing_confidence: 1 })
})

test('a sum is worked out by the calculator, which the stream shows', async ({ asAlice }) => {
  const tokens = await tokensOf(await asAlice('/v1/chat', chat('What is 6 times 7?')))
  const calls = tokens.filter(({ type }) => String(type).startsWith('tool_call')).map(({ type, tool_call: call }) => ({ type, call }))

  expect(calls).toEqual([
    { type: 'tool_call_start', call: { id: expect.any(String), name: 'calculator', parameters: { expression: '6 * 7' } } },
    { type: 'tool_call_end', call: { id: expect.any(String), output: { result: 42 } } }
  ])
  expect(textOf(tokens)).toBe('6 * 7 = 42.')
})

test('a tool that fails says so, and the answer too', async ({ asAlice }) => {
  const { message } = await data(await asAlice('/v1/chat', chat('4 divided by 0', { stream: false })))

  expect(message.content).toBe("I can't work out 4 / 0: division by zero.")
  expect(message.metadata.tool_calls).toMatchObject([{ name: 'calculator', error: { code: 'division_by_zero', message: 'division by zero' } }])
})

test('the plain form answers under the request id of the caller and names the agent', async ({ asAlice }) => {
  const res = await asAlice('/v1/chat', chat('two plus six', { stream: false, session_id: 's', request_id: 'req_mine' }))
  const body = await res.json()

  expect(body).toMatchObject({
    object: 'message',
    type: 'chat.completed',
    request: { id: 'req_mine' },
    data: {
      message: { role: 'assistant', content: '2 + 6 = 8.', artifacts: null, metadata: { session_id: 's', agent_id: 'analyst' } },
      user_id: 'alice',
      session_id: 's',
      request_id: 'req_mine'
    }
  })
})

test('the plain form makes a session, but none for a greeting', async ({ asAlice }) => {
  const greeting = await data(await asAlice('/v1/chat', chat('Hello!', { stream: false })))
  const other = await data(await asAlice('/v1/chat', chat('Tell me more', { stream: false })))

  expect(greeting).toMatchObject({ session_id: null, request_id: null })
  expect(greeting.message.content).toContain('no LLM is configured')
  expect(other.session_id).toMatch(/^sess_/)
})

test('without the header the user of the body counts, and after that "0"', async ({ core }) => {
  const headers = { 'x-muxi-client-key': core.userKey }
  const send = async (body: object) => await data(await fetch(`${core.url}/v1/chat`, { method: 'POST', headers, body: JSON.stringify(body) }))

  expect((await send({ message: 'x', stream: false, user_id: 'Bob@X.org' })).user_id).toBe('bob@x.org')
  expect((await send({ message: 'x', stream: false })).user_id).toBe('0')
})

test('a named agent answers without routing', async ({ asAlice }) => {
  const tokens = await tokensOf(await asAlice('/v1/chat', chat('Do you have data for me?', { agent_id: 'greeter' })))

  expect(tokens.some(({ stage }) => stage === 'agent_selection')).toBe(false)
  expect(tokens.at(-1)?.agent_used).toBe('greeter')
})

test('an unknown agent is no error: the plain form promises a retry, the stream lets another answer', async ({ asAlice }) => {
  const plain = await asAlice('/v1/chat', chat('Hi', { agent_id: 'eve', stream: false }))
  const tokens = await tokensOf(await asAlice('/v1/chat', chat('Hi', { agent_id: 'eve' })))

  expect(plain.status).toBe(200)
  expect((await data(plain)).message.metadata).toMatchObject({ escalated: true, request_id: expect.any(String) })
  expect(tokens.at(-1)).toMatchObject({ agent_used: 'greeter', status: 'success' })
})

test('a chat that asks for async mode is refused', async ({ asAlice }) => {
  expect((await asAlice('/v1/chat', chat('x', { mode: 'async' }))).status).toBe(501)
})

test('a control block sets the number and the pace of the words', async ({ asAlice }) => {
  const began = performance.now()
  const tokens = await tokensOf(await asAlice('/v1/chat', chat('[fake: tokens=4 delay_ms=20]')))

  expect(tokens.filter(({ type }) => type === 'content').map(({ content }) => content)).toEqual(['w1', ' w2', ' w3', ' w4'])
  expect(performance.now() - began).toBeGreaterThan(50)
})

test('a failing model is an apology with 200', async ({ core, asAlice }) => {
  const tokens = await tokensOf(await asAlice('/v1/chat', chat('[fake: status=500]', { request_id: 'req_1' })))

  expect(tokens.at(-1)).toMatchObject({ type: 'completed', status: 'error', content: expect.stringContaining('apologize') })
  expect(core.requests.get('req_1')?.status).toBe('completed')
})

test('a model that breaks half-way gives the whole text at the end', async ({ asAlice }) => {
  const tokens = await tokensOf(await asAlice('/v1/chat', chat('[fake: tokens=5 cut_after=3]')))

  expect(textOf(tokens)).toBe('w1 w2 w3')
  expect(tokens.at(-1)).toMatchObject({ content: 'w1 w2 w3 w4 w5', stream_discontinuity: true, status: 'success' })
})

test('a slow model is bridged by a comment each second', async ({ asAlice }) => {
  const res = await asAlice('/v1/chat', chat('[fake: tokens=1 hang_ms=1200]'))

  expect((await res.text()).match(/^: keepalive$/gm)).toHaveLength(2)
})

test('a client that leaves makes the request cancelled at once; what it said stays', async ({ core, asAlice }) => {
  const leaving = new AbortController()
  const res = await asAlice('/v1/chat', { ...chat('[fake: tokens=1000 delay_ms=5]', { request_id: 'req_1', session_id: 's' }), signal: leaving.signal })
  await res.body?.getReader().read()
  leaving.abort()

  await expect.poll(() => core.requests.get('req_1')?.status, { timeout: 500, interval: 5 }).toBe('cancelled')
  await expect.poll(() => core.calls.at(-1)?.aborted).toBe(true)
  const { messages } = (await (await asAlice('/v1/sessions/s/messages')).json() as { data: { messages: { metadata: object }[] } }).data
  expect(messages.map(({ metadata }) => metadata)).toMatchObject([{ role: 'user' }])
})

test('a chat can be cancelled until it answers, by its user only', async ({ core, asAlice }) => {
  const chatting = asAlice('/v1/chat', chat('[fake: hang_ms=5000]', { request_id: 'req_1' }))
  await expect.poll(() => core.requests.get('req_1')?.status).toBe('processing')
  const others = await asAlice('/v1/requests/req_1', { method: 'DELETE', headers: { 'x-muxi-user-id': 'bob' } })
  const cancelled = await asAlice('/v1/requests/req_1', { method: 'DELETE' })
  const tokens = await tokensOf(await chatting)
  const again = await asAlice('/v1/requests/req_1', { method: 'DELETE' })

  expect(others.status).toBe(403)
  expect(await cancelled.json()).toMatchObject({ data: { cancellation: 'cooperative' } })
  expect(tokens.at(-1)?.type).toBe('cancelled')
  expect(core.requests.get('req_1')?.status).toBe('cancelled')
  expect(await again.json()).toMatchObject({ error: { code: 'OPERATION_FAILED' } })
})

test('a chat that already answers runs to its end when cancelled, as with the real Core', async ({ core, asAlice }) => {
  const res = await asAlice('/v1/chat', chat('[fake: tokens=10 delay_ms=20]', { request_id: 'req_1' }))
  await expect.poll(() => core.requests.get('req_1')?.progress).toBe('Generating response')
  const cancelled = await asAlice('/v1/requests/req_1', { method: 'DELETE' })

  expect(cancelled.status).toBe(200)
  expect((await tokensOf(res)).at(-1)).toMatchObject({ type: 'completed', status: 'success' })
})

test('an agent counts its conversations, messages and users', async ({ core, asAlice }) => {
  for (const session of ['s', 's', 't']) await (await asAlice('/v1/chat', chat('data', { session_id: session }))).text()

  expect(core.agents.get('analyst')?.stats).toEqual({ conversations: 2, total_messages: 6, active_users: 1 })
})
