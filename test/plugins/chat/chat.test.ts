import { describe, expect } from 'vitest'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { as, test as base } from '../../app.ts'
import { eventsIn, reading, textOf } from '../sse/events.ts'

interface Fixtures {
  /** the answer to a message, plain */
  say: (content: string, rest?: object, path?: string) => Promise<{ statusCode: number, body: Record<string, any> }>
  /** the whole stream that answers a message */
  stream: (content: string, rest?: object, path?: string) => Promise<LightMyRequestResponse>
  /** an answer that is read from a real port as it comes */
  listen: (content: string, leaving?: AbortSignal) => Promise<ReturnType<typeof reading>>
  /** what no handler caught */
  unhandled: unknown[]
}

const test = base.extend<Fixtures>({
  say: async ({ app }, use) => {
    await use(async (content, rest = {}, path = '/api/v1/chat') => {
      const res = await app.inject({ method: 'POST', url: path, headers: as('user'), payload: { content, ...rest } })
      return { statusCode: res.statusCode, body: res.json<Record<string, any>>() }
    })
  },
  stream: async ({ app }, use) => {
    await use(async (content, rest = {}, path = '/api/v1/chat/stream') => await app.inject({ method: 'POST', url: path, headers: as('user'), payload: { content, ...rest } }))
  },
  listen: async ({ url }, use) => {
    await use(async (content, leaving) => {
      const began = performance.now()
      const res = await fetch(`${url}/api/v1/chat/stream`, {
        method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: JSON.stringify({ content }), signal: leaving
      })
      expect(res.status).toBe(200)
      return reading(res, began)
    })
  },
  unhandled: async ({}, use) => {
    const reasons: unknown[] = []
    const note = (reason: unknown) => { reasons.push(reason) }
    process.on('unhandledRejection', note)
    await use(reasons)
    process.off('unhandledRejection', note)
  }
})

const streamsOpen = async (app: FastifyInstance) => /^muxi_api_sse_streams\{kind="chat_stream"\} (\d+)$/m.exec(await app.metrics.registry.metrics())?.[1]

describe('a plain chat', () => {
  test('is answered by the agent that fits', async ({ say, core }) => {
    const { statusCode, body } = await say('What is 6 times 7?', { user_id: 'u42', session_id: 's-1' })

    expect(statusCode).toBe(200)
    expect(body).toEqual({
      id: expect.stringMatching(/^msg_[\w-]{16}$/),
      agent_id: 'analyst',
      user_id: 'u42',
      session_id: 's-1',
      user_message: { role: 'user', content: 'What is 6 times 7?' },
      agent_response: { role: 'assistant', content: '6 * 7 = 42.', tool_calls: [{ id: expect.any(String), name: 'calculator', parameters: { expression: '6 * 7' }, output: { result: 42 } }] },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      routing_confidence: expect.any(Number)
    })
    expect(core.requests.get(body.id)).toMatchObject({ user_id: 'u42', session_id: 's-1', status: 'completed' })
  })

  test('names the session that the Core made, and none where it made none', async ({ say }) => {
    expect((await say('Tell me more')).body.session_id).toMatch(/^sess_/)
    expect((await say('Hello')).body.session_id).toBeUndefined()
  })

  test('shows a tool that failed', async ({ say }) => {
    const { body } = await say('What is 1 / 0?')

    expect(body.agent_response.tool_calls).toMatchObject([{ name: 'calculator', error: { code: 'division_by_zero' } }])
    expect(body.agent_response.tool_calls[0]).not.toHaveProperty('output')
  })

  test('takes the text that the Core says counts', async ({ say }) => {
    expect((await say('[fake: tokens=5 cut_after=3]')).body.agent_response.content).toBe('w1 w2 w3 w4 w5')
  })

  test('fails as core_error when the agent fails', async ({ say }) => {
    const { statusCode, body } = await say('[fake: status=500]')

    expect(statusCode).toBe(502)
    expect(body.error).toMatchObject({ code: 'core_error', message: 'the agent could not answer' })
    expect(JSON.stringify(body)).not.toContain('apologize')
  })

  test('with one agent goes to that agent', async ({ say }) => {
    const { body } = await say('What is 6 times 7?', {}, '/api/v1/agents/greeter/chat')

    expect(body).toMatchObject({ agent_id: 'greeter', agent_response: { content: '6 * 7 = 42.' } })
  })

  test('with an agent that nobody knows is not_found, and no chat', async ({ say, stream, core }) => {
    for (const path of ['/api/v1/agents/nobody/chat', '/api/v1/agents/nobody/chat/stream']) {
      const res = await stream('Hi', {}, path)
      expect(res.statusCode).toBe(404)
      expect(res.json()).toMatchObject({ error: { code: 'not_found', message: 'no agent nobody' } })
    }
    expect(core.requests.size).toBe(0)
  })

  test('survives frames that cannot be read', async ({ say, core }) => {
    core.fail({ malformed: true })
    const { body } = await say('[fake: tokens=5]')

    expect(body).toMatchObject({ agent_id: 'analyst', agent_response: { content: 'w1 w2 w3 w4 w5' } })
  })
})

describe('a streamed chat', () => {
  test('is a start, pieces and an end, numbered from 0', async ({ stream }) => {
    const res = await stream('[fake: tokens=5]')
    const events = eventsIn(res.payload)
    const id = String(events[0]?.data.id)

    expect(res.headers).toMatchObject({ 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache,no-transform', 'x-accel-buffering': 'no' })
    expect(res.payload).toMatch(/^retry: 3000\n\n/)
    expect(events.map(({ event }) => event)).toEqual(['message_start', ...Array(5).fill('content'), 'message_end'])
    expect(events.map((event) => event.id)).toEqual(events.map((_, at) => `${id}:${at}`))
    expect(id).toMatch(/^msg_/)
    expect(events[0]?.data).toMatchObject({ agent_id: 'analyst', routing_confidence: expect.any(Number) })
    expect(events.slice(1, -1).map(({ data }) => data.content)).toEqual(['w1', ' w2', ' w3', ' w4', ' w5'])
    expect(events.at(-1)?.data).toEqual({ id, agent_id: 'analyst' })
  })

  test('shows the tools that are called', async ({ stream }) => {
    const events = eventsIn((await stream('What is 6 times 7?')).payload)

    expect(events.slice(0, 4).map(({ event }) => event)).toEqual(['message_start', 'tool_call_start', 'tool_call_end', 'content'])
    expect(events[1]?.data).toEqual({ id: events[2]?.data.id, name: 'calculator', parameters: { expression: '6 * 7' } })
    expect(events[2]?.data).toMatchObject({ output: { result: 42 } })
    expect(textOf(events)).toBe('6 * 7 = 42.')
  })

  test('takes back what the Core takes back', async ({ stream }) => {
    const events = eventsIn((await stream('[fake: tokens=5 cut_after=3]')).payload)

    expect(events.map(({ event, data }) => event === 'content' ? [data.content, data.replace] : event)).toEqual([
      'message_start', ['w1', undefined], [' w2', undefined], [' w3', undefined], ['w1 w2 w3 w4 w5', true], 'message_end'
    ])
  })

  test('carries any text unchanged', async ({ stream }) => {
    const text = 'Zoë\u2028用户🦊"\\n\u0085end'
    const events = eventsIn((await stream(`${text} event: admin`)).payload)

    expect(textOf(events)).toContain(text)
    expect(events.some(({ event }) => event === 'admin')).toBe(false)
  })

  test('that fails later ends with one error event', async ({ stream, core }) => {
    core.fail({ cutAfter: 2 })
    const cut = eventsIn((await stream('[fake: tokens=5]')).payload)
    const failed = eventsIn((await stream('[fake: status=500]')).payload)

    expect(cut.map(({ event }) => event)).toEqual(['message_start', 'content', 'content', 'error'])
    expect(cut.at(-1)).toMatchObject({ id: undefined, data: { error: { code: 'core_unavailable', request_id: expect.any(String) } } })
    expect(failed.map(({ event }) => event)).toEqual(['message_start', 'error'])
    expect(failed.at(-1)?.data).toMatchObject({ error: { code: 'core_error', message: 'the agent could not answer', details: { message_id: failed[0]?.data.id } } })
  })

  test.for([
    [{ status: 500, body: 'INSERT INTO users' }, 502, 'core_error'], [{ status: 503, headers: { 'retry-after': '9' } }, 503, 'core_unavailable'], [{ drop: true }, 503, 'core_unavailable'],
    [{ garbage: 'html' }, 502, 'core_error'], [{ garbage: 'endless' }, 502, 'core_error']
  ] as const)('that fails before its first event is an ordinary error: %j', async ([fault, status, code], { stream, core }) => {
    core.fail({ ...fault, path: '/v1/chat' })
    const res = await stream('Hi')

    expect(res.statusCode).toBe(status)
    expect(res.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(res.json()).toMatchObject({ error: { code } })
    expect(res.payload).not.toContain('INSERT')
  })
})

describe('what a client accepts', () => {
  test.for(['application/json', 'text/plain, application/json;q=0.9', 'text/event-stream;q=0', '*/*, text/event-stream;q=0.000', 'text/event-streams'])('%j is not a stream', async (accept, { app, core }) => {
    const res = await app.inject({ method: 'POST', url: '/api/v1/chat/stream', headers: { ...as('user'), accept }, payload: { content: 'Hi' } })

    expect(res.statusCode).toBe(406)
    expect(core.requests.size).toBe(0)
  })

  test.for(['text/event-stream', '*/*', 'text/*', '', 'application/json, text/event-stream;q=0.5', 'Text/Event-Stream; charset=utf-8'])('%j is', async (accept, { app }) => {
    const res = await app.inject({ method: 'POST', url: '/api/v1/chat/stream', headers: { ...as('user'), accept }, payload: { content: 'Hi' } })

    expect(res.statusCode).toBe(200)
  })
})

describe('on a real port', () => {
  test('words arrive as they come, each once', async ({ listen, core }) => {
    const { events, ended } = await listen('[fake: tokens=40 delay_ms=25]')
    await ended
    const pieces = events.filter(({ event }) => event === 'content')

    expect(pieces.map(({ data }) => data.content)).toEqual(Array.from({ length: 40 }, (_, at) => at === 0 ? 'w1' : ` w${at + 1}`))
    expect(events.at(-1)!.at - pieces[0]!.at).toBeGreaterThan(500)
    expect(new Set(pieces.map(({ at }) => Math.round(at / 25))).size).toBeGreaterThan(20)
    expect(events.map(({ id }) => id?.split(':')[1])).toEqual(events.map((_, at) => String(at)))
    expect(core.requests.size).toBe(1)
  })

  test('a start comes within about a second, whatever the Core does', async ({ listen, core }) => {
    core.fail({ silent: true })
    const leaving = new AbortController()
    const { events, ended } = await listen('Hi', leaving.signal)
    await expect.poll(() => events.length).toBe(1)
    leaving.abort()

    expect(events[0]).toMatchObject({ event: 'message_start', data: { id: expect.any(String) } })
    expect(events[0]!.at).toBeLessThan(1_500)
    await expect(ended).rejects.toThrow()
  })

  test('a Core that is killed is an error event and an end, and the next chat works once it is back', async ({ listen, say, core, app, unhandled }) => {
    const { events, ended } = await listen('[fake: tokens=1000 delay_ms=10]')
    await expect.poll(() => events.length).toBeGreaterThan(3)
    await core.down()
    await ended
    const during = await say('Hi')
    await core.up()

    expect(events.at(-1)).toMatchObject({ event: 'error', data: { error: { code: 'core_unavailable' } } })
    expect(events.filter(({ event }) => event === 'error')).toHaveLength(1)
    expect(during).toMatchObject({ statusCode: 503, body: { error: { code: 'core_unavailable' } } })
    expect((await say('Hi')).statusCode).toBe(200)
    await expect.poll(() => app.core.state).toBe('up')
    expect(await streamsOpen(app)).toBe('0')
    expect(unhandled).toEqual([])
  })

  test('a user is made known to a Core once, and again to one that was away', async ({ say, core, app }) => {
    const introduced = () => core.calls.filter(({ path }) => path === '/v1/users/resolve').length
    for (const content of ['Hi', 'Hi again']) await say(content, { user_id: 'u42' })
    const before = introduced()
    await core.down()
    await app.core.check()
    await core.up()
    await expect.poll(() => app.core.state).toBe('up')
    await say('Hi once more', { user_id: 'u42' })

    expect([before, introduced()]).toEqual([1, 2])
  })

  test('a client that leaves ends the Core\'s request within a second, and leaves nothing open', async ({ listen, core, app, lines, unhandled }) => {
    const leaving = new AbortController()
    const chats = await Promise.all(Array.from({ length: 10 }, async () => await listen('[fake: tokens=1000 delay_ms=10]', leaving.signal)))
    await expect.poll(() => chats.every(({ events }) => events.length > 2)).toBe(true)
    expect(await streamsOpen(app)).toBe('10')
    leaving.abort()
    const left = await Promise.allSettled(chats.map(async ({ ended }) => { await ended }))

    expect(left.every(({ status }) => status === 'rejected')).toBe(true)
    await expect.poll(() => [...core.requests.values()].map(({ status }) => status), { timeout: 1_000 }).toEqual(Array(10).fill('cancelled'))
    expect(await streamsOpen(app)).toBe('0')
    await expect.poll(() => lines.all.filter(({ aborted }) => aborted === true).length).toBe(10)
    expect(lines.all.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
    expect(unhandled).toEqual([])
  })

  test('a client that leaves a plain chat ends the Core\'s request, too', async ({ url, core, lines, unhandled }) => {
    const leaving = new AbortController()
    const chat = fetch(`${url}/api/v1/chat`, {
      method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: '{"content":"[fake: hang_ms=60000]"}', signal: leaving.signal
    })
    await expect.poll(() => core.requests.size).toBe(1)
    leaving.abort()

    await expect(chat).rejects.toThrow()
    await expect.poll(() => [...core.requests.values()][0]?.status, { timeout: 1_000 }).toBe('cancelled')
    await expect.poll(() => lines.all.filter(({ aborted }) => aborted === true).length).toBe(1)
    expect(lines.all.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
    expect(unhandled).toEqual([])
  })

  test('a client that leaves before the Core has begun leaves nothing behind', async ({ url, core, app, lines, unhandled }) => {
    core.fail({ path: '/v1/chat', delayMs: 60_000 })
    const leaving = new AbortController()
    const chat = fetch(`${url}/api/v1/chat/stream`, {
      method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: '{"content":"Hi"}', signal: leaving.signal
    })
    await expect.poll(() => core.calls.some(({ path }) => path === '/v1/chat')).toBe(true)
    leaving.abort()

    await expect(chat).rejects.toThrow()
    await expect.poll(() => core.calls.find(({ path }) => path === '/v1/chat')?.aborted, { timeout: 1_000 }).toBe(true)
    await expect.poll(() => lines.all.filter(({ aborted }) => aborted === true).length).toBe(1)
    expect(lines.all.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
    expect(await streamsOpen(app)).toBe('0')
    expect(unhandled).toEqual([])
  })

  test('an answer leaves no trace of having been left at the Core', async ({ listen, core }) => {
    for (let count = 0; count < 5; count++) await (await listen('Hi')).ended

    expect(core.calls.filter(({ path }) => path === '/v1/chat').map(({ aborted, status }) => [aborted, status])).toEqual(Array(5).fill([false, 200]))
  })
})

describe('with an idle time-out of a second', () => {
  test.override({ settings: { MUXI_CORE_IDLE_TIMEOUT_MS: '1000' } })

  test('a Core that falls silent is core_timeout', async ({ stream, say, core }) => {
    core.fail({ silent: true })
    const [streamed, plain] = await Promise.all([stream('Hi'), say('Hi')])

    expect(eventsIn(streamed.payload).at(-1)).toMatchObject({ event: 'error', data: { error: { code: 'core_timeout' } } })
    expect(plain).toMatchObject({ statusCode: 504, body: { error: { code: 'core_timeout' } } })
  })
})

describe('attachments', () => {
  const png = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(20)]).toString('base64')
  const photo = { type: 'image/png', name: 'photo.png', data: png }

  test('reach the Core as files', async ({ say, core }) => {
    const { statusCode, body } = await say('Look', { attachments: [photo, { ...photo, name: 'Zoë.png' }] })

    expect(statusCode).toBe(200)
    expect(body.agent_response.content).toContain('(with photo.png, Zoë.png)')
    expect(core.calls.at(-1)?.body).toMatchObject({
      files: [{ filename: 'photo.png', content_type: 'image/png', content: png, size: 28 }, { filename: 'Zoë.png', content_type: 'image/png', content: png, size: 28 }]
    })
  })

  test.for([
    [{ ...photo, data: '%%%%' }, 400, 'bad_request'],
    [{ ...photo, type: 'image/jpeg' }, 415, 'unsupported_media_type'],
    [{ ...photo, type: 'text/html' }, 400, 'bad_request'],
    [{ ...photo, name: '../photo.png' }, 400, 'bad_request'],
    [{ ...photo, extra: 1 }, 400, 'bad_request']
  ] as const)('that are not what they say are refused before the Core hears of them: %j', async ([attachment, status, code], { say, core }) => {
    const { statusCode, body } = await say('Look', { attachments: [attachment] })

    expect([statusCode, body.error.code]).toEqual([status, code])
    expect(core.requests.size).toBe(0)
  })

  test('may be as large as 10 MiB', async ({ say, core }) => {
    const bytes = Buffer.alloc(10 * 1_048_576 + 1)
    bytes.set(Buffer.from('89504e470d0a1a0a', 'hex'))
    const fits = await say('Look', { attachments: [{ ...photo, data: bytes.subarray(0, -1).toString('base64') }] })
    const tooLarge = await say('Look', { attachments: [{ ...photo, data: bytes.toString('base64') }] })

    expect(fits.statusCode).toBe(200)
    expect([tooLarge.statusCode, tooLarge.body.error.code]).toEqual([413, 'payload_too_large'])
    expect(core.requests.size).toBe(1)
  })
})

describe('without the server\'s own keys', () => {
  test.override({ settings: { MUXI_CORE_ADMIN_KEY: '', MUXI_CORE_CLIENT_KEY: '' } })

  test('what needs one names it', async ({ app, say }) => {
    const asAdmin = await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('admin'), payload: { content: 'Hi' } })
    const withAgent = await say('Hi', {}, '/api/v1/agents/greeter/chat')

    expect((await say('Hi')).statusCode).toBe(200)
    expect([asAdmin.statusCode, asAdmin.json<any>().error.message]).toEqual([501, 'this needs the server\'s own Core key: set MUXI_CORE_CLIENT_KEY'])
    expect([withAgent.statusCode, withAgent.body.error.message]).toEqual([501, 'this needs the server\'s own Core key: set MUXI_CORE_ADMIN_KEY'])
  })
})

describe('in front of the real Core', () => {
  test.override({ offers: 'real' })

  test('a chat says what that Core says', async ({ say }) => {
    const { body } = await say('What is 6 times 7?')

    expect(body).toMatchObject({ agent_id: 'analyst', agent_response: { role: 'assistant', content: '6 * 7 = 42.' } })
    expect(body).not.toHaveProperty('routing_confidence')
    expect(body.agent_response).not.toHaveProperty('tool_calls')
  })
})
