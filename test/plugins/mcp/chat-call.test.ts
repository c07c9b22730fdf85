import { afterEach, describe, expect, vi } from 'vitest'
import { heartbeatMs } from '../../../plugins/mcp/chat-call.ts'
import { as, test } from '../../app.ts'
import { eras, messageOf, messagesIn, speak } from './speak.ts'

const progress = { meta: { progressToken: 'p1' } }
const slow = { content: 'Count [fake: tokens=6 hang_ms=60000]' }

afterEach(() => { vi.useRealTimers() })

describe.for(eras)('in the %s era', (era) => {
  test('a chat tells its answer piece by piece, and answers the same as without', async ({ app }) => {
    const quiet = await speak(app, 'tools/call', { name: 'chat_send', arguments: { content: 'What is 6 times 7?' } }, { era, level: 'user' })
    const { before, result } = await speak(app, 'tools/call', { name: 'chat_send', arguments: { content: 'What is 6 times 7?' } }, { era, level: 'user', ...progress })

    expect(before.map(({ method }) => method)).toEqual(before.map(() => 'notifications/progress'))
    expect(before.map(({ params }) => params!.message).join('')).toBe('6 * 7 = 42.')
    expect(before.map(({ params }) => params!.progress)).toEqual(before.map((_, index) => index + 1))
    expect(before.length).toBeGreaterThan(1)
    expect(new Set(before.map(({ params }) => params!.progressToken))).toEqual(new Set(['p1']))
    expect(Object.keys(result!.structuredContent!).sort()).toEqual(Object.keys(quiet.result!.structuredContent!).sort())
    expect(result!.structuredContent).toMatchObject({ agent_id: 'analyst', agent_response: { content: '6 * 7 = 42.', tool_calls: [{ name: 'calculator' }] } })
  })

  test('so does a chat with one agent', async ({ app }) => {
    const { before, result } = await speak(app, 'tools/call', { name: 'agent_chat_send', arguments: { agent_id: 'greeter', content: 'Hello' } }, { era, level: 'user', ...progress })

    expect(before.map(({ params }) => params!.message).join('')).toBe((result!.structuredContent as { agent_response: { content: string } }).agent_response.content)
  })

  test('a call whose caller asks for no progress hears of none', async ({ app }) => {
    const { before } = await speak(app, 'tools/call', { name: 'chat_send', arguments: { content: 'Hello' } }, { era, level: 'user' })

    expect(before).toEqual([])
  })

  test('another tool answers a caller who asks for progress as well', async ({ app }) => {
    const { before, result } = await speak(app, 'tools/call', { name: 'agent_get', arguments: { agent_id: 'greeter' } }, { era, ...progress })

    expect(before).toEqual([])
    expect(result!.structuredContent).toMatchObject({ id: 'greeter' })
  })

  test('who closes the connection cancels the chat at the Core', async ({ url, core }) => {
    const leaving = new AbortController()
    const { method, headers, payload, url: path } = messageOf('tools/call', { name: 'chat_send', arguments: slow }, { era, level: 'user', ...progress })
    const said = fetch(`${url}${path}`, { method, headers, body: payload, signal: leaving.signal }).then(async (res) => await res.text()).catch(() => 'left')
    await expect.poll(() => [...core.requests.values()].map(({ status }) => status)).toEqual(['processing'])
    leaving.abort()

    await expect.poll(() => [...core.requests.values()].map(({ status }) => status)).toEqual(['cancelled'])
    expect(await said).toBe('left')
  })
})

test('a silent chat gives a sign of life every ten seconds', async ({ url, core }) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const leaving = new AbortController()
  const { method, headers, payload, url: path } = messageOf('tools/call', { name: 'chat_send', arguments: slow }, { level: 'user', ...progress })
  let text = ''
  const reading = fetch(`${url}${path}`, { method, headers, body: payload, signal: leaving.signal }).then(async ({ body }) => {
    for await (const chunk of body!) text += Buffer.from(chunk).toString()
  }).catch(() => {})
  await expect.poll(() => core.requests.size).toBe(1)
  const counts = () => messagesIn(text).map(({ params }) => params!.progress)
  const heard = counts().length
  vi.advanceTimersByTime(2 * heartbeatMs)
  await expect.poll(() => counts().length).toBeGreaterThan(heard)
  vi.advanceTimersByTime(3 * heartbeatMs)

  await expect.poll(() => counts().length).toBeGreaterThan(heard + 2)
  expect(counts()).toEqual(counts().map((_, index) => index + 1))
  leaving.abort()
  await reading
})

describe('in a session', () => {
  const headers = { ...as('user'), host: 'localhost', accept: 'application/json, text/event-stream', 'content-type': 'application/json' }
  const open = async (url: string) => {
    const res = await fetch(`${url}/mcp`, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } } }) })
    await res.text()
    return { ...headers, 'mcp-session-id': res.headers.get('mcp-session-id')!, 'mcp-protocol-version': '2025-11-25' }
  }

  test('a chat tells its answer piece by piece', async ({ url }) => {
    const own = await open(url)
    const res = await fetch(`${url}/mcp`, { method: 'POST', headers: own, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'chat_send', arguments: { content: 'What is 6 times 7?' }, _meta: { progressToken: 7 } } }) })
    const messages = messagesIn(await res.text())

    expect(messages.slice(0, -1).map(({ params }) => params!.message).join('')).toBe('6 * 7 = 42.')
    expect(messages.at(-1)).toMatchObject({ id: 1, result: { structuredContent: { agent_id: 'analyst' } } })
  })

  test('who cancels it cancels the chat at the Core, and hears no answer', async ({ url, core }) => {
    const own = await open(url)
    const said = fetch(`${url}/mcp`, { method: 'POST', headers: own, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'chat_send', arguments: slow, _meta: { progressToken: 7 } } }) }).then(async (res) => await res.text())
    await expect.poll(() => [...core.requests.values()].map(({ status }) => status)).toEqual(['processing'])
    await fetch(`${url}/mcp`, { method: 'POST', headers: own, body: JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }) })

    await expect.poll(() => [...core.requests.values()].map(({ status }) => status), { timeout: 5_000 }).toEqual(['cancelled'])
    expect(messagesIn(await said).filter(({ result }) => result !== undefined)).toEqual([])
  })
})
