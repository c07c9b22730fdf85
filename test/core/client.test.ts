import { once } from 'node:events'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { describe, expect } from 'vitest'
import { bodyOf, type ApiError } from '../../errors.ts'
import { admin, collected, failureOf, listening, test, user } from './client.ts'

const token = { key: '', access: 'user', digest: 't' } as const
const tokenOfAdmin = { key: '', access: 'admin', digest: 't' } as const

describe('an answer that cannot be used', () => {
  test.for(['html', 'half', 'json', 'empty', 'wrong-envelope', 'endless'] as const)('%s is core_error, and nothing of it is shown', async (garbage, { core, connect }) => {
    core.fail({ garbage })
    const failure = await failureOf(connect({ MUXI_CORE_MAX_ANSWER: '100000' }).get('/agents', { caller: admin }))

    expect(failure).toMatchObject({ code: 'core_error', statusCode: 502 })
    expect(JSON.stringify(bodyOf(failure as ApiError, 'r'))).toMatch(/^\{"error":\{"code":"core_error","message":"the MUXI Core (gave an answer that cannot be used|sent an answer that is too large)","request_id":"r"\}\}$/)
  })

  test('an endless one is left at once', async ({ core, connect }) => {
    core.fail({ garbage: 'endless' })
    await failureOf(connect({ MUXI_CORE_MAX_ANSWER: '100000' }).get('/agents', { caller: admin }))

    await expect.poll(() => core.calls[0]?.aborted).toBe(true)
  })

  test('a chat that is no stream is core_error, endless or not', async ({ core, client }) => {
    for (const garbage of ['html', 'empty', 'endless'] as const) {
      core.fail({ garbage, times: 1 })
      expect((await failureOf(client.stream('/chat', { message: 'x' }, { caller: user }))).code).toBe('core_error')
    }
  })

  test('bytes that are no HTTP are core_error', async ({ connect }) => {
    const server = createTcpServer((socket) => { socket.on('error', () => {}).end('SSH-2.0-OpenSSH_9.6\r\n') })
    const failure = await failureOf(connect({}, await listening(server)).get('/agents', { caller: admin }))
    server.close()

    expect(failure.code).toBe('core_error')
  })

  test('the message of a 500 is not passed on', async ({ core, client }) => {
    core.fail({ status: 500, body: '{"success":false,"error":{"code":"INTERNAL_ERROR","message":"INSERT INTO users VALUES (1)"},"data":{}}', headers: { 'content-type': 'application/json' } })
    const failure = await failureOf(client.post('/agents', {}, { caller: admin }))

    expect(failure.code).toBe('core_error')
    expect(JSON.stringify(bodyOf(failure as ApiError, 'r'))).not.toContain('INSERT')
  })
})

describe('repeating', () => {
  test('a GET is sent again after a reset', async ({ core, client }) => {
    core.fail({ drop: true, times: 2 })

    expect(await client.get('/agents', { caller: admin })).toMatchObject({ count: 2 })
    expect(core.calls).toHaveLength(3)
  })

  test('a GET is not sent for ever', async ({ core, client, seen }) => {
    core.fail({ drop: true })

    expect(await failureOf(client.get('/agents', { caller: admin }))).toMatchObject({ code: 'core_unavailable', retryAfter: 1 })
    expect(core.calls).toHaveLength(3)
    expect(seen.away).toEqual(['core_unavailable'])
  })

  test('POST, PATCH, DELETE and a chat are not sent again once bytes have left', async ({ core, client }) => {
    core.fail({ drop: true })
    const failures = await Promise.all([
      client.post('/agents', {}, { caller: admin }),
      client.patch('/agents/greeter', {}, { caller: admin }),
      client.delete('/agents/greeter', { caller: admin }),
      client.stream('/chat', { message: 'x' }, { caller: user })
    ].map(failureOf))

    expect(failures.map(({ code }) => code)).toEqual(Array(4).fill('core_unavailable'))
    expect(core.calls).toHaveLength(4)
    expect(core.agents.has('greeter')).toBe(true)
  })

  test('a POST is sent when a refused connection opens again', async ({ core, client }) => {
    const { create, chat } = { create: { id: 'ada', description: 'Counts', model: { provider: 'p', model: 'm' } }, chat: { message: '[fake: tokens=2]' } }
    await core.down()
    const created = client.post('/agents', create, { caller: admin })
    const tokens = client.stream('/chat', chat, { caller: user })
    await core.up()

    expect(await created).toMatchObject({ id: 'ada' })
    expect((await collected(await tokens)).items.at(-1)).toMatchObject({ type: 'completed', content: 'w1 w2' })
    expect(core.calls).toHaveLength(2)
  })

  test('a Core that is away is core_unavailable, and its address stays inside', async ({ core, client }) => {
    await core.down()
    const failure = await failureOf(client.get('/agents', { caller: admin }))

    expect(failure).toMatchObject({ code: 'core_unavailable', statusCode: 503, retryAfter: 1, message: 'the MUXI Core cannot be reached' })
    expect(failure.cause).toMatchObject({ code: 'ECONNREFUSED' })
  })
})

describe('time', () => {
  test('an answer that takes too long is core_timeout, and is not asked for again', async ({ core, connect }) => {
    core.fail({ delayMs: 60_000 })
    const client = connect({ MUXI_CORE_TIMEOUT_MS: '150' })

    expect(await failureOf(client.get('/agents', { caller: admin }))).toMatchObject({ code: 'core_timeout', statusCode: 504 })
    expect(core.calls).toHaveLength(1)
    await expect.poll(() => core.calls[0]?.aborted).toBe(true)
  })

  test('an answer that drips is core_timeout, too', async ({ serve, connect }) => {
    const url = await serve((req, res) => { setInterval(() => res.write(' '), 20).unref() })

    expect((await failureOf(connect({ MUXI_CORE_TIMEOUT_MS: '150' }, url).get('/agents', { caller: admin }))).code).toBe('core_timeout')
  })

  test('a chat whose headers do not come is core_timeout', async ({ core, connect }) => {
    core.fail({ delayMs: 60_000 })

    expect((await failureOf(connect({ MUXI_CORE_TIMEOUT_MS: '150' }).stream('/chat', { message: 'x' }, { caller: user }))).code).toBe('core_timeout')
  })

  test('a stream that falls silent is core_timeout', async ({ core, connect }) => {
    core.fail({ silent: true })
    const stream = await connect({ MUXI_CORE_IDLE_TIMEOUT_MS: '1000' }).stream('/chat', { message: 'x' }, { caller: user })

    expect(await collected(stream)).toMatchObject({ items: [], error: { code: 'core_timeout', message: 'the MUXI Core went silent' } })
    await expect.poll(() => core.calls[0]?.aborted).toBe(true)
  })
})

describe('a caller that leaves', () => {
  test('ends the Core\'s request', async ({ core, client }) => {
    core.fail({ delayMs: 60_000 })
    const leaving = new AbortController()
    const calls = [client.get('/agents', { caller: admin, signal: leaving.signal }), client.post('/agents', {}, { caller: admin, signal: leaving.signal })].map(failureOf)
    await expect.poll(() => core.calls.length).toBe(2)
    leaving.abort(new Error('gone'))

    expect((await Promise.all(calls)).every(({ code }) => code === 'request_timeout')).toBe(true)
    await expect.poll(() => core.calls.every(({ aborted }) => aborted)).toBe(true)
  })

  test('ends the Core\'s chat', async ({ core, client }) => {
    const leaving = new AbortController()
    const stream = await client.stream('/chat', { message: '[fake: tokens=1000 delay_ms=20]', request_id: 'msg_1' }, { caller: user, signal: leaving.signal })
    const reading = collected(stream)
    await expect.poll(() => core.requests.get('msg_1')?.progress).toBe('Generating response')
    leaving.abort(new Error('gone'))

    expect((await reading).error).toBeInstanceOf(Error)
    await expect.poll(() => core.requests.get('msg_1')?.status, { timeout: 1_000 }).toBe('cancelled')
  })

  test('so does a reader that stops', async ({ core, client }) => {
    for await (const { type } of await client.stream('/chat', { message: '[fake: tokens=1000 delay_ms=20]', request_id: 'msg_1' }, { caller: user })) {
      if (type === 'content') break
    }

    await expect.poll(() => core.requests.get('msg_1')?.status, { timeout: 1_000 }).toBe('cancelled')
  })

  test('before its call was sent, sends nothing', async ({ serve, connect }) => {
    let received = 0
    const url = await serve((req, res) => {
      received++
      setTimeout(() => res.end('{"success":true,"data":{}}'), 50)
    })
    const client = connect({ MUXI_CORE_POOL: '1' }, url)
    const leaving = new AbortController()
    const first = client.get('/agents', { caller: admin })
    const waiting = failureOf(client.post('/agents', {}, { caller: admin, signal: leaving.signal }))
    leaving.abort(new Error('gone'))
    await waiting
    await first
    await client.get('/agents', { caller: admin })

    expect(received).toBe(2)
  })
})

describe('keys', () => {
  test('401 for the caller\'s own key is unauthorized, for the server\'s key core_error', async ({ core, client }) => {
    core.keys.clear()

    expect((await failureOf(client.get('/agents', { caller: admin }))).code).toBe('unauthorized')
    expect((await failureOf(client.get('/agents', { caller: user }))).code).toBe('core_error')
    expect((await failureOf(client.stream('/chat', { message: 'x' }, { caller: user }))).code).toBe('unauthorized')
    expect((await failureOf(client.stream('/chat', { message: 'x' }, { caller: admin }))).code).toBe('core_error')
  })

  test('an unset key that is needed is named', async ({ connect }) => {
    const client = connect({ MUXI_CORE_ADMIN_KEY: '', MUXI_CORE_CLIENT_KEY: '' })
    const failures = await Promise.all([
      client.get('/agents', { caller: user }),
      client.get('/agents', { caller: tokenOfAdmin }),
      client.stream('/chat', {}, { caller: admin }),
      client.get('/sessions', { caller: token })
    ].map(failureOf))

    expect(failures.map(({ code, message }) => `${code}: ${message}`)).toEqual(['ADMIN', 'ADMIN', 'CLIENT', 'CLIENT'].map((level) =>
      `not_implemented: this needs the server's own Core key: set MUXI_CORE_${level}_KEY`))
  })

  test('the caller\'s own key goes where the Core takes that kind, the server\'s elsewhere', async ({ serve, connect }) => {
    const got: string[] = []
    const url = await serve(({ headers }, res) => {
      got.push(headers['x-muxi-admin-key'] === undefined ? `client ${String(headers['x-muxi-client-key'])}` : `admin ${String(headers['x-muxi-admin-key'])}`)
      res.end('{"success":true,"data":{}}')
    })
    const client = connect({ MUXI_CORE_ADMIN_KEY: 'server-admin', MUXI_CORE_CLIENT_KEY: 'server-client' }, url)
    const [ownAdmin, ownUser] = [{ ...admin, key: 'own-admin' }, { ...user, key: 'own-user' }]
    for (const caller of [ownAdmin, ownUser, token]) for (const path of ['/agents', '/sessions', '/memories']) await client.get(path, { caller })

    expect(got).toEqual([
      'admin own-admin', 'client server-client', 'admin own-admin',
      'admin server-admin', 'client own-user', 'client own-user',
      'admin server-admin', 'client server-client', 'client server-client'
    ])
  })

  test('the user is named by the call alone, in any script', async ({ core, client }) => {
    await client.get('/agents', { caller: admin })
    await client.get('/sessions', { caller: user, user: 'Zoë Łukasz 用户' })
    const said = core.calls.map(({ user: name }) => name === undefined ? undefined : Buffer.from(name, 'latin1').toString())

    expect(said).toEqual([undefined, 'Zoë Łukasz 用户'])
  })
})

describe('a prefix', () => {
  test.override({ options: { prefix: '/api/my-formation' } })

  test('in the address stands before every path', async ({ core, client }) => {
    await client.ping()
    await client.document()
    await client.get('/agents/greeter', { caller: admin })
    await client.accessOf('some-key-of-a-user', 'introspection')
    await collected(await client.stream('/chat', { message: 'x' }, { caller: user }))

    expect(core.url).toMatch(/\/api\/my-formation$/)
    expect(core.calls.map(({ path, status }) => `${path} ${status}`)).toEqual(
      ['v1/health', 'openapi.json', 'v1/agents/greeter', 'v1/auth/introspect', 'v1/chat'].map((path) => `/api/my-formation/${path} 200`))
  })
})

test('every exchange is observed once, by method, first segment and status', async ({ core, client, seen }) => {
  await client.get('/agents/greeter', { caller: admin })
  await failureOf(client.delete('/agents/nobody', { caller: admin }))
  await collected(await client.stream('/chat', { message: 'x' }, { caller: user }))
  await core.down()
  await failureOf(client.post('/agents', {}, { caller: admin }))

  expect(seen.calls.map(({ method, route, status }) => `${method} ${route} ${status}`)).toEqual(['GET agents 200', 'DELETE agents 404', 'POST chat 200', 'POST agents 0'])
  expect(seen.calls.every(({ seconds }) => seconds >= 0 && seconds < 10)).toBe(true)
})

test('frames that cannot be read are counted, and the good ones come through', async ({ core, client, seen }) => {
  core.fail({ malformed: true })
  const { items } = await collected(await client.stream('/chat', { message: '[fake: tokens=5]' }, { caller: user }))

  expect(items.filter(({ type }) => type === 'content').map(({ content }) => content).join('')).toBe('w1 w2 w3 w4 w5')
  expect(seen.malformed).toBeGreaterThan(1)
})

test('a stream that is cut is core_unavailable after what came', async ({ core, client, seen }) => {
  core.fail({ cutAfter: 2 })
  const { items, error } = await collected(await client.stream('/chat', { message: '[fake: tokens=5]' }, { caller: user }))

  expect(items.filter(({ type }) => type === 'content')).toHaveLength(2)
  expect(error).toMatchObject({ code: 'core_unavailable' })
  expect(seen.away).toEqual(['core_unavailable'])
})

test('a Core that answers and then holds the stream open does not hold the caller for long', async ({ serve, connect }) => {
  let closed = false
  const url = await serve((req, res) => {
    res.on('close', () => { closed = true })
    res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"token":{"type":"completed","content":"all"}}\n\n')
  })
  const began = performance.now()
  const { items, error } = await collected(await connect({}, url).stream('/chat', {}, { caller: user }))

  expect(items).toHaveLength(1)
  expect(error).toBeUndefined()
  expect(performance.now() - began).toBeLessThan(2_000)
  await expect.poll(() => closed).toBe(true)
})

test('streams do not take the connections of calls', async ({ core, connect }) => {
  const client = connect({ MUXI_CORE_POOL: '1' })
  const leaving = new AbortController()
  const streams = await Promise.all(Array.from({ length: 5 }, async () => await client.stream('/chat', { message: '[fake: hang_ms=60000]' }, { caller: user, signal: leaving.signal })))
  const readings = streams.map(collected)

  expect(await client.get('/agents', { caller: admin })).toMatchObject({ count: 2 })
  leaving.abort()
  await Promise.all(readings)
  expect(core.calls).toHaveLength(6)
})

test('a connection that the Core closes while idle costs no call', async ({ connect }) => {
  const sockets: Socket[] = []
  const server = createTcpServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {}).on('data', () => { socket.write('HTTP/1.1 200 OK\r\ncontent-length: 26\r\n\r\n{"success":true,"data":{}}') })
  })
  const client = connect({}, await listening(server))
  await client.post('/agents', {}, { caller: admin })
  sockets[0]!.end()
  await once(sockets[0]!, 'close')
  const answer = await client.post('/agents', {}, { caller: admin })
  server.close()
  for (const socket of sockets) socket.destroy()

  expect(answer).toEqual({})
})
