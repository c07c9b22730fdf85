import { describe, expect } from 'vitest'
import { as, sharedWith } from '../../app.ts'
import { SocketPeer } from './peer.ts'

const test = sharedWith({})
const slow = 'Count [fake: tokens=6 hang_ms=60000]'
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

describe('a chat over the socket', () => {
  test('is answered piece by piece under its id', async ({ url }) => {
    const peer = await SocketPeer.open(url)
    peer.send('chat', 'req_1', { content: 'What is 6 times 7?', user_id: 'u42', session_id: 's-1' })
    const end = await peer.next('chat_end', 'req_1')

    expect(peer.frames.map(({ type }) => type)).toEqual(['chat_start', 'chat_tool_start', 'chat_tool_end', ...peer.of('chat_content').map(() => 'chat_content'), 'chat_end'])
    expect(peer.of('chat_content').map(({ data }) => data.content).join('')).toBe('6 * 7 = 42.')
    expect(peer.frames.every(({ id }) => id === 'req_1')).toBe(true)
    expect(peer.frames[0]!.data).toMatchObject({ message_id: end.data.message_id, agent_id: 'analyst' })
    expect(end.data).toEqual({ message_id: expect.stringMatching(/^msg_/), agent_id: 'analyst', session_id: 's-1' })
    peer.close()
  })

  test('goes to the agent that is named, for the user that the upgrade named', async ({ url, core }) => {
    const peer = await SocketPeer.open(url, { headers: { ...as('user'), 'x-muxi-user-id': 'u7' } })
    peer.send('chat', 'a', { content: 'Hello', agent_id: 'greeter' })
    const end = await peer.next('chat_end', 'a')
    const call = core.calls.findLast(({ path }) => path === '/v1/chat')!
    peer.close()

    expect(end.data.agent_id).toBe('greeter')
    expect(call.body).toMatchObject({ agent_id: 'greeter' })
    expect(call.user).toBe('u7')
  })

  test('several run at once, told apart by their ids, beside a ping', async ({ url }) => {
    const peer = await SocketPeer.open(url)
    for (let at = 0; at < 8; at++) peer.send('chat', `chat_${at}`, { content: `What is ${at} times 7?` })
    peer.send('ping', 'p1')
    await peer.next('pong', 'p1')
    const answers: string[] = []
    for (let at = 0; at < 8; at++) {
      await peer.next('chat_end', `chat_${at}`)
      answers.push(peer.of('chat_content', `chat_${at}`).map(({ data }) => data.content).join(''))
    }
    peer.close()

    expect(answers).toEqual(Array.from({ length: 8 }, (_, at) => `${at} * 7 = ${at * 7}.`))
  })

  test('takes attachments of more than a frame has otherwise', async ({ url, core }) => {
    const peer = await SocketPeer.open(url)
    const data = Buffer.concat([Buffer.from(png, 'base64'), Buffer.alloc(2_000_000)]).toString('base64')
    peer.send('chat', 'big', { content: 'What is on this photo?', attachments: [{ type: 'image/png', name: 'photo.png', data }] })
    await peer.next('chat_end', 'big', 15_000)
    peer.close()

    expect((core.calls.findLast(({ path }) => path === '/v1/chat')!.body as { files: unknown[] }).files).toHaveLength(1)
  })

  test('that is large has the socket for itself among the large ones', async ({ url }) => {
    const peer = await SocketPeer.open(url)
    const data = Buffer.concat([Buffer.from(png, 'base64'), Buffer.alloc(100_000)]).toString('base64')
    const attachments = [{ type: 'image/png', name: 'photo.png', data }]
    peer.send('chat', 'one', { content: slow, attachments })
    peer.send('chat', 'two', { content: 'Hello', attachments })
    peer.send('chat', 'three', { content: 'Hello' })
    const failure = await peer.next('error', 'two')
    await peer.next('chat_end', 'three')
    peer.close()

    expect(failure.data).toMatchObject({ code: 'conflict', message: expect.stringContaining('65536 bytes') })
  })

  test('that is cancelled ends at the Core, and is told so', async ({ url, core }) => {
    const peer = await SocketPeer.open(url)
    peer.send('chat', 'slow', { content: 'Count [fake: tokens=200 delay_ms=50]' })
    const start = await peer.next('chat_content', 'slow')
    peer.send('chat_cancel', 'slow')
    const end = await peer.next('chat_end', 'slow')
    const count = peer.frames.length
    await expect.poll(() => core.calls.findLast(({ path }) => path === '/v1/chat')?.aborted).toBe(true)
    peer.send('chat', 'slow', { content: 'Hello' })
    await expect.poll(() => peer.of('chat_end', 'slow').length).toBe(2)
    peer.close()

    expect(start.data.content).not.toBe('')
    expect(end.data).toEqual({ message_id: peer.of('chat_start')[0]!.data.message_id, cancelled: true })
    expect(peer.frames.slice(count).every(({ type }) => type.startsWith('chat_'))).toBe(true)
  })

  test('ends at the Core when its socket closes', async ({ url, core }) => {
    const peer = await SocketPeer.open(url)
    peer.send('chat', 'slow', { content: slow })
    await peer.next('chat_start', 'slow')
    const call = core.calls.findLast(({ path }) => path === '/v1/chat')!
    peer.close()

    await expect.poll(() => call.aborted).toBe(true)
  })

  test('what cannot be done is an error under its id, as any caller is told', async ({ url, lines }) => {
    const peer = await SocketPeer.open(url)
    peer.send('chat', 'who', { content: 'Hello', agent_id: 'nobody' })
    peer.send('chat', 'what', { content: '' })
    peer.send('chat_cancel', 'never')
    const [who, what, never] = [await peer.next('error', 'who'), await peer.next('error', 'what'), await peer.next('error', 'never')]
    peer.close()

    expect(who.data).toMatchObject({ code: 'not_found', message: 'no agent nobody' })
    expect(what.data).toMatchObject({ code: 'bad_request', message: 'frame.data.content must NOT have fewer than 1 characters', details: { field: 'frame.data.content' } })
    expect(never.data).toMatchObject({ code: 'not_found' })
    for (const { data } of [who, what, never]) expect(lines.of(data.request_id)).toHaveLength(1)
  })

  test('an id that is at work, and a seventeenth chat, are refused', async ({ url }) => {
    const peer = await SocketPeer.open(url)
    for (let at = 0; at < 16; at++) peer.send('chat', `chat_${at}`, { content: slow })
    peer.send('chat', 'chat_0', { content: 'Hello' })
    peer.send('chat', 'chat_16', { content: 'Hello' })
    const [twice, more] = [await peer.next('error', 'chat_0'), await peer.next('error', 'chat_16')]
    peer.close()

    expect([twice.data.code, more.data.code]).toEqual(['conflict', 'rate_limited'])
    expect(more.data.details).toEqual({ limit: 16, retry_after: 1 })
  })

  test('has a line, a metric and a span of its own, of protocol ws', async ({ url, app, lines }) => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const spans: { name: string, traceId: string, parentSpanId?: string, spanId: string }[] = []
    const { tap } = app
    const before = tap.span
    tap.span = (span) => { spans.push(span) }
    const peer = await SocketPeer.open(url)
    peer.raw(JSON.stringify({ type: 'chat', id: 'a', traceparent: `00-${traceId}-00f067aa0ba902b7-01`, data: { content: 'Hello' } }))
    await peer.next('chat_end', 'a')
    await expect.poll(() => spans.filter((span) => span.traceId === traceId).map(({ name }) => name)).toContain('ws.chat')
    tap.span = before
    peer.close()
    const chat = spans.find((span) => span.name === 'ws.chat' && span.traceId === traceId)!
    const line = lines.all.findLast(({ protocol, operationId }) => protocol === 'ws' && operationId === 'chat_send')

    expect(chat).toMatchObject({ traceId, parentSpanId: '00f067aa0ba902b7' })
    expect(spans.find((span) => span.name === 'http.chat_send' && span.traceId === traceId)).toMatchObject({ parentSpanId: chat.spanId })
    expect(line).toMatchObject({ traceId, statusCode: 200, requestId: expect.stringMatching(/^req_.+\.\d+$/), caller: 'user' })
    expect(await app.metrics.registry.metrics()).toMatch(/http_server_request_duration_seconds_count\{[^}]*operation="chat_send",protocol="ws"\} \d/)
  })
})

test('each chat over a socket is a call of its key', async ({ url, app, core }) => {
  const { config } = app
  app.config = { ...config, api: { ...config.api, rate_limit: 3 } }
  core.keys.set('sk-limited', { scope: 'user' })
  const peer = await SocketPeer.open(url, { headers: { 'x-api-key': 'sk-limited' } })
  for (const id of ['a', 'b', 'c']) {
    peer.send('chat', id, { content: 'Hello' })
    await expect.poll(() => peer.frames.filter((frame) => frame.id === id && ['chat_end', 'error'].includes(frame.type)).length).toBe(1)
  }
  app.config = config
  peer.close()

  expect(peer.of('chat_end').map(({ id }) => id)).toEqual(['a', 'b'])
  expect(peer.of('error', 'c')[0]!.data).toMatchObject({ code: 'rate_limited', details: { limit: 3 } })
})
