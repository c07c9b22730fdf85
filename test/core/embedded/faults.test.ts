import { describe, expect } from 'vitest'
import { test, textOf, tokensOf } from './core.ts'

const chat = (message: string, rest: object = {}) => ({ method: 'POST', body: { message, ...rest } })

test('a fault strikes as often as it says and only where it says', async ({ core, asAdmin }) => {
  core.fail({ method: 'get', path: '/v1/agents', status: 503, body: 'busy', headers: { 'retry-after': '7' }, times: 1 })
  const other = await asAdmin('/v1/agents/greeter')
  const first = await asAdmin('/v1/agents')
  const second = await asAdmin('/v1/agents')

  expect([other.status, first.status, second.status]).toEqual([200, 503, 200])
  expect(first.headers.get('retry-after')).toBe('7')
  expect(await first.text()).toBe('busy')
})

test('a fault can be taken back, one by one or all at once', async ({ core, asAdmin }) => {
  const remove = core.fail({ path: /^\/v1\/agents/, status: 500 })
  core.fail({ path: '/v1/a*', status: 502 })
  const statuses = [(await asAdmin('/v1/agents')).status]
  remove()
  statuses.push((await asAdmin('/v1/agents')).status)
  core.heal()
  statuses.push((await asAdmin('/v1/agents')).status)

  expect(statuses).toEqual([500, 502, 200])
})

test('a delay holds the answer back, and another fault may follow it', async ({ core, asAdmin }) => {
  core.fail({ delayMs: 40 })
  core.fail({ status: 500 })
  const began = performance.now()
  const res = await asAdmin('/v1/agents')

  expect(performance.now() - began).toBeGreaterThan(35)
  expect(res.status).toBe(500)
})

test('a dropped request has no answer, and nobody left', async ({ core, asAdmin }) => {
  core.fail({ drop: true })

  await expect(asAdmin('/v1/agents')).rejects.toThrow('fetch failed')
  expect(core.calls).toMatchObject([{ path: '/v1/agents', aborted: false }])
})

test('garbage comes as 200 and is of the kind that was asked for', async ({ core, asAdmin }) => {
  const got: Record<string, string> = {}
  for (const garbage of ['html', 'half', 'json', 'empty', 'wrong-envelope'] as const) {
    core.fail({ garbage, times: 1 })
    const res = await asAdmin('/v1/agents')
    expect(res.status).toBe(200)
    got[garbage] = await res.text()
  }

  expect(got.html).toContain('<html>')
  expect(() => JSON.parse(got.half ?? '')).toThrow()
  expect(JSON.parse(got.json ?? '')).not.toHaveProperty('data')
  expect(got.empty).toBe('')
  expect(JSON.parse(got['wrong-envelope'] ?? '')).toMatchObject({ success: 'maybe', data: 'text' })
})

test('an endless body never ends, until the client leaves', async ({ core, asAdmin }) => {
  core.fail({ garbage: 'endless' })
  const leaving = new AbortController()
  const res = await asAdmin('/v1/agents', { signal: leaving.signal })
  let bytes = 0
  for await (const chunk of res.body ?? []) {
    bytes += chunk.length
    if (bytes > 5_000_000) break
  }
  leaving.abort()

  expect(bytes).toBeGreaterThan(5_000_000)
  await expect.poll(() => core.calls[0]?.aborted).toBe(true)
})

test('a chat stream can be cut after some content', async ({ core, asAlice }) => {
  core.fail({ cutAfter: 2 })
  const res = await asAlice('/v1/chat', chat('[fake: tokens=5]', { request_id: 'req_1' }))
  const decoder = new TextDecoder()
  let text = ''
  const reading = (async () => { for await (const chunk of res.body ?? []) text += decoder.decode(chunk) })()

  await expect(reading).rejects.toThrow('terminated')
  expect(text.match(/"type":"content"/g)).toHaveLength(2)
  expect(core.calls[0]?.aborted).toBe(false)
  expect(core.requests.get('req_1')?.status).toBe('cancelled')
})

test('malformed frames stand between the good ones, which stay whole', async ({ core, asAlice }) => {
  core.fail({ malformed: true })
  const res = await asAlice('/v1/chat', chat('[fake: tokens=5]'))
  const copy = res.clone()
  const raw = await copy.text()
  const good = (await tokensOf(res)).filter(({ request_id: id }) => id !== undefined)

  expect(raw).toContain('data: [1,2]\n\n')
  expect(raw).toContain('}\\n\\n\n\n')
  expect(raw).toContain('\r\n\r\n')
  expect(textOf(good)).toBe('w1 w2 w3 w4 w5')
})

test('a silent stream gives its headers and not a byte more', async ({ core, asAlice }) => {
  core.fail({ silent: true })
  const leaving = new AbortController()
  const res = await asAlice('/v1/chat', { ...chat('x', { request_id: 'req_1' }), signal: leaving.signal })
  const first = res.body?.getReader().read().then(() => 'a byte', () => 'nothing')
  const winner = await Promise.race([first, new Promise((resolve) => setTimeout(resolve, 50, 'nothing'))])
  leaving.abort()

  expect(res.status).toBe(200)
  expect(winner).toBe('nothing')
  await expect.poll(() => core.requests.get('req_1')?.status).toBe('cancelled')
})

test('a Core that is down refuses connections and cuts streams, and comes back at the same port', async ({ core, asAlice, asAdmin }) => {
  const res = await asAlice('/v1/chat', chat('[fake: tokens=1000 delay_ms=5]'))
  const reading = res.text()
  await core.down()

  await expect(reading).rejects.toThrow('terminated')
  await expect(asAdmin('/v1/agents')).rejects.toThrow('fetch failed')
  expect(core.calls[0]?.aborted).toBe(false)
  await core.up()
  expect((await asAdmin('/v1/agents')).status).toBe(200)
})

describe('over HTTP', () => {
  test('faults and calls can be reached with the admin key, and leave no trace themselves', async ({ core, asAdmin, asAlice }) => {
    const added = await asAdmin('/__faults', { method: 'POST', body: { path: '/v1/agents', status: 503 } })
    const struck = await asAdmin('/v1/agents')
    await asAdmin('/__faults', { method: 'DELETE' })
    const healed = await asAdmin('/v1/agents')
    const { calls } = await (await asAdmin('/__calls')).json() as { calls: object[] }

    expect([added.status, struck.status, healed.status]).toEqual([201, 503, 200])
    expect(calls).toMatchObject([{ path: '/v1/agents', status: 503 }, { path: '/v1/agents', status: 200 }])
    expect((await asAlice('/__calls')).status).toBe(401)
    expect(core.calls).toHaveLength(2)
  })

  test('a fault must have exactly one effect', async ({ asAdmin }) => {
    for (const body of [{}, { drop: true, delayMs: 5 }, { garbage: 'nonsense' }]) {
      expect((await asAdmin('/__faults', { method: 'POST', body })).status).toBe(422)
    }
  })

  test('the Core goes away for a while and comes back', async ({ asAdmin, core }) => {
    await asAdmin('/__down', { method: 'POST', body: { ms: 100 } })

    await expect.poll(async () => await fetch(`${core.url}/v1/health`).then(() => 'up', () => 'down'), { interval: 5 }).toBe('down')
    await expect.poll(async () => await fetch(`${core.url}/v1/health`).then(() => 'up', () => 'down')).toBe('up')
  })
})
