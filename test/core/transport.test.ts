import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo, LookupFunction } from 'node:net'
import { describe, expect } from 'vitest'
import { admin, collected, failureOf, test, user } from './client.ts'

/** A server at an address of loopback; they share a port, as Cores behind one name do. */
async function listeningAt (host: string, port: number, answer: string): Promise<Server> {
  const server = createServer((req, res) => { res.end(JSON.stringify({ success: true, data: { answer } })) })
  await once(server.listen(port, host), 'listening')
  return server
}

describe('the breaker', () => {
  test('opens after five calls that fail, and the Core is asked no more', async ({ core, connect, seen }) => {
    core.fail({ drop: true })
    const client = connect({ MUXI_CORE_RETRIES: '0' })
    for (let n = 0; n < 5; n++) await failureOf(client.post('/agents', {}, { caller: admin }))
    const failures = [await failureOf(client.get('/agents', { caller: admin })), await failureOf(client.stream('/chat', {}, { caller: user })), await failureOf(client.accessOf('some-key', 'introspection'))]

    expect(failures.map(({ code, retryAfter }) => `${code} ${retryAfter}`)).toEqual(Array(3).fill('core_unavailable 10'))
    expect(core.calls).toHaveLength(5)
    expect(seen).toMatchObject({ breaker: ['primary open'], refused: 3 })
    expect(seen.calls).toHaveLength(5)
  })

  test('opens for streams that do not begin and streams that are cut', async ({ core, client, seen }) => {
    core.fail({ drop: true, times: 3 })
    core.fail({ cutAfter: 1, times: 2 })
    for (let n = 0; n < 3; n++) await failureOf(client.stream('/chat', { message: 'x' }, { caller: user }))
    for (let n = 0; n < 2; n++) await collected(await client.stream('/chat', { message: 'x' }, { caller: user }))

    expect(seen.away).toHaveLength(5)
    expect(seen.breaker).toEqual(['primary open'])
  })

  test.for([502, 503, 504])('opens for %i, as a gateway says it', async (status, { core, client, seen }) => {
    core.fail({ status })
    for (let n = 0; n < 6; n++) await failureOf(client.get('/agents', { caller: admin }))

    expect(core.calls).toHaveLength(5)
    expect(seen.breaker).toEqual(['primary open'])
  })

  test.for([400, 401, 404, 409, 429, 500])('stays closed for %i', async (status, { core, client, seen }) => {
    core.fail({ status })
    for (let n = 0; n < 8; n++) await failureOf(client.get('/agents', { caller: admin }))

    expect(core.calls).toHaveLength(8)
    expect(seen.breaker).toEqual([])
  })

  test('stays closed for callers who leave', async ({ core, client, seen }) => {
    core.fail({ delayMs: 60_000 })
    const leaving = new AbortController()
    const calls = Array.from({ length: 8 }, async () => await failureOf(client.get('/agents', { caller: admin, signal: leaving.signal })))
    await expect.poll(() => core.calls.length).toBe(8)
    leaving.abort(new Error('gone'))
    await Promise.all(calls)

    expect(seen.breaker).toEqual([])
  })

  test('closes with the one call that tries', async ({ core, connect, seen }) => {
    const heal = core.fail({ status: 502 })
    const client = connect({ MUXI_CORE_BREAKER_OPEN_MS: '300' })
    for (let n = 0; n < 5; n++) await failureOf(client.get('/agents', { caller: admin }))
    heal()
    core.fail({ delayMs: 100, times: 1 })
    await new Promise((resolve) => { setTimeout(resolve, 400) })
    const answers = await Promise.allSettled(Array.from({ length: 10 }, async () => await client.get('/agents', { caller: admin })))
    await client.get('/agents', { caller: admin })

    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(seen.breaker).toEqual(['primary open', 'primary half_open', 'primary closed'])
  })

  test('closes after the time that the Core named', async ({ core, connect, seen }) => {
    core.fail({ status: 503, headers: { 'retry-after': '1' }, times: 5 })
    const client = connect()
    for (let n = 0; n < 5; n++) await failureOf(client.get('/agents', { caller: admin }))
    await new Promise((resolve) => { setTimeout(resolve, 1_050) })
    await client.get('/agents', { caller: admin })

    expect(seen.breaker.at(-1)).toBe('primary closed')
  })
})

describe('retries', () => {
  test('end with the budget: a Core that fails is not asked three times as much', async ({ core, connect, seen }) => {
    core.fail({ drop: true })
    const client = connect({ MUXI_CORE_BREAKER_FAILURES: '0' })
    await Promise.all(Array.from({ length: 50 }, async () => await failureOf(client.get('/agents', { caller: admin }))))

    expect(core.calls).toHaveLength(60)
    expect(seen.retries.filter((outcome) => outcome === 'made')).toHaveLength(10)
    expect(client.transport).toMatchObject({ retries: { made: 10, denied: 50 } })
  })

  test('keep within the time of the call', async ({ core, connect }) => {
    core.fail({ drop: true })
    const began = performance.now()
    await failureOf(connect({ MUXI_CORE_TIMEOUT_MS: '100', MUXI_CORE_RETRIES: '10' }).get('/agents', { caller: admin }))

    expect(performance.now() - began).toBeLessThan(600)
  })
})

describe('the verdict on a key', () => {
  test('is waited for 2 s, over both questions of a probe', async ({ core, connect }) => {
    core.fail({ delayMs: 1_500 })
    const began = performance.now()
    const failure = await failureOf(connect().accessOf('some-key', 'probing'))

    expect(failure).toMatchObject({ code: 'core_unavailable', retryAfter: 1 })
    expect(performance.now() - began).toBeGreaterThan(1_900)
    expect(performance.now() - began).toBeLessThan(3_000)
  })

  test('is not asked for again before the time that a 429 names, and others wait as long', async ({ core, client }) => {
    core.fail({ path: '/v1/auth/introspect', status: 429, headers: { 'retry-after': '30' } })
    const failures = [await failureOf(client.accessOf('one-key', 'introspection')), await failureOf(client.accessOf('other-key', 'introspection'))]

    expect(failures.map(({ code, retryAfter }) => `${code} ${retryAfter}`)).toEqual(['core_unavailable 30', 'core_unavailable 30'])
    expect(core.calls).toHaveLength(1)
  })

  test('is at most 64 KiB', async ({ serve, connect }) => {
    const url = await serve((req, res) => { res.end(JSON.stringify({ active: true, scope: 'user', more: 'x'.repeat(70_000) })) })

    expect((await failureOf(connect({}, url).accessOf('some-key', 'introspection'))).code).toBe('core_error')
  })

  test('is not looked for elsewhere, and the key not sent there', async ({ serve, connect }) => {
    let elsewhere = 0
    const other = await serve((req, res) => {
      elsewhere++
      res.end('{"active":true,"scope":"admin"}')
    })
    const url = await serve((req, res) => { res.writeHead(307, { location: `${other}/v1/auth/introspect` }).end() })

    expect((await failureOf(connect({}, url).accessOf('some-key', 'introspection'))).code).toBe('core_error')
    expect(elsewhere).toBe(0)
  })
})

test('a caller is told the Retry-After of a 429 and of a 503, in seconds or as a date', async ({ core, client }) => {
  const soon = new Date(Date.now() + 60_000).toUTCString()
  for (const [status, value] of [[429, '17'], [503, '18'], [429, soon], [429, 'soon']] as const) core.fail({ status, headers: { 'retry-after': value }, times: 1 })
  const told: (number | undefined)[] = []
  for (let n = 0; n < 4; n++) told.push((await failureOf(client.get('/agents', { caller: admin }))).retryAfter)

  expect(told).toEqual([17, 18, expect.toSatisfy((seconds: number) => seconds > 55 && seconds <= 60), 2])
})

test('a changed address is taken within the life of a connection, by streams and calls that go on without a pause', async ({ connect }) => {
  const before = await listeningAt('127.0.0.1', 0, 'before')
  const { port } = before.address() as AddressInfo
  const after = await listeningAt('127.0.0.2', port, 'after')
  let address = '127.0.0.1'
  const lookup: LookupFunction = (name, options, callback) => {
    if (options.all === true) callback(null, [{ address, family: 4 }])
    else callback(null, address, 4)
  }
  const client = connect({ MUXI_CORE_CONNECTION_LIFE_MS: '400', MUXI_CORE_POOL: '1' }, `http://core.test:${port}`, lookup)
  const ask = async () => (await client.get<{ answer: string }>('/agents', { caller: admin })).answer
  const first = await ask()
  address = '127.0.0.2'
  const kept = await ask()
  await expect.poll(ask, { interval: 20 }).toBe('after')
  for (const server of [before, after]) {
    server.closeAllConnections()
    server.close()
  }

  expect([first, kept]).toEqual(['before', 'before'])
})

test('a stream goes on when its connection is past its life', async ({ connect }) => {
  const client = connect({ MUXI_CORE_CONNECTION_LIFE_MS: '50' })
  const reading = collected(await client.stream('/chat', { message: '[fake: tokens=5 delay_ms=50]' }, { caller: user }))
  for (let n = 0; n < 5; n++) {
    await client.get('/agents', { caller: admin })
    await new Promise((resolve) => { setTimeout(resolve, 40) })
  }

  expect((await reading).items.at(-1)).toMatchObject({ type: 'completed', content: 'w1 w2 w3 w4 w5' })
  await expect.poll(() => client.transport.current.use.running).toBe(0)
})
