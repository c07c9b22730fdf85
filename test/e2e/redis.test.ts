import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import { describe, expect } from 'vitest'
import { buildApp } from '../../app.ts'
import { as, configFor, keys, Lines, test as base } from '../app.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'

const secret = 'a-secret-of-at-least-thirty-two-characters'

const test = base.extend<{ redis: OwnRedis, two: { a: FastifyInstance, b: FastifyInstance, lines: Lines } }>({
  redis: async ({}, use) => {
    const redis = await OwnRedis.start()
    await use(redis)
    await redis.kill()
  },
  two: async ({ core, redis, settings }, use) => {
    const lines = new Lines()
    const [a, b] = await Promise.all([0, 1].map(async () => {
      const app = await buildApp(configFor(core, { MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}`, MUXI_API_SECRET: secret, ...settings }), lines)
      await app.ready()
      await app.core.check()
      return app
    }))
    await use({ a: a!, b: b!, lines })
    await Promise.all([a!.close(), b!.close()])
  }
})
const ada = { id: 'ada', description: 'Counts', model: { provider: 'p', model: 'm' } }

describe.skipIf(skipped(redisMissing()))('two instances on one Redis', () => {
  test('fifty POSTs with one key at both are one effect, and one answer for who comes later', async ({ two: { a, b }, core }) => {
    const send = async (app: FastifyInstance) => await app.inject({ method: 'POST', url: '/api/v1/agents', headers: { ...as('admin'), 'idempotency-key': 'k1' }, payload: ada })
    const answers = await Promise.all(Array.from({ length: 50 }, async (_, i) => await send(i % 2 === 0 ? a : b)))
    const later = await send(b)

    expect(core.calls.filter(({ method, path }) => method === 'POST' && path === '/v1/agents')).toHaveLength(1)
    expect(answers.every(({ statusCode }) => statusCode === 201 || statusCode === 409)).toBe(true)
    expect([later.statusCode, later.headers['idempotent-replayed']]).toEqual([201, 'true'])
  })

  test('what is in Redis holds no key and no text of a caller', async ({ two: { a }, redis }) => {
    await a.inject({ method: 'POST', url: '/api/v1/agents', headers: { ...as('admin'), 'idempotency-key': 'k1' }, payload: { ...ada, description: 'Knows a-text-of-a-caller' } })
    await a.inject({ method: 'POST', url: '/api/v1/chat/stream', headers: { ...as('user'), 'idempotency-key': 'k2' }, payload: { content: 'a-text-of-a-caller' } })
    const client = new Redis(redis.port, '127.0.0.1')
    const names = await client.keys('*')
    const dumps = await Promise.all(names.map(async (name) => `${name} ${(await client.dumpBuffer(name))?.toString('latin1') ?? ''}`))
    client.disconnect()

    expect(names.length).toBeGreaterThan(3)
    expect(names.every((name) => name.startsWith('muxi:'))).toBe(true)
    for (const text of ['sk_muxi_', 'a-text-of-a-caller', keys.user, keys.admin]) expect(dumps.join('\n')).not.toContain(text)
  })

  test('a stream that broke off at one goes on at the other', async ({ two: { a, b }, core }) => {
    const url = await a.listen({ host: '127.0.0.1', port: 0 })
    const body = JSON.stringify({ content: '[fake: tokens=40 delay_ms=25]' })
    const headers = { ...as('user'), 'content-type': 'application/json', 'idempotency-key': 'k1' }
    const leave = new AbortController()
    const first = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers, body, signal: leave.signal })
    let text = ''
    for await (const chunk of first.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      if (text.includes(':7\n')) break
    }
    leave.abort()
    const lastId = [...text.slice(0, text.lastIndexOf('\n\n')).matchAll(/^id: (.*)$/gm)].at(-1)![1]!
    const rest = await b.inject({ method: 'POST', url: '/api/v1/chat/stream', headers: { ...headers, 'last-event-id': lastId }, payload: body })

    const numbers = [...rest.body.matchAll(/^id: msg_[\w-]+:(\d+)$/gm)].map(([, number]) => Number(number))
    const from = Number(lastId.split(':')[1]) + 1
    expect(numbers).toEqual(Array.from({ length: 42 - from }, (_, i) => from + i))
    expect(rest.body).toContain('event: message_end')
    expect(core.calls.filter(({ path }) => path === '/v1/chat')).toHaveLength(1)
  })

  describe('with a limit of 200', () => {
    test.override({ settings: { MUXI_API_RATE_LIMIT: '200' } })

    test('both together let through what one would, within ten percent', async ({ two: { a, b } }) => {
      let through = 0
      for (let i = 0; i < 10; i++) {
        const answers = await Promise.all(Array.from({ length: 40 }, async (_, j) => await (j % 2 === 0 ? a : b).inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: {} })))
        through += answers.filter(({ statusCode }) => statusCode !== 429).length
        for (const { statusCode, headers } of answers) if (statusCode === 429) expect(headers).toMatchObject({ 'retry-after': expect.any(String), ratelimit: expect.stringMatching(/r=0/), 'x-ratelimit-remaining': '0' })
      }

      expect(through).toBeGreaterThanOrEqual(180)
      expect(through).toBeLessThanOrEqual(200)
    })
  })

  test('usage is of both', async ({ two: { a, b } }) => {
    for (const app of [a, b]) await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: { content: 'What is 2 plus 2?', user_id: app === a ? 'u1' : 'u2' } })

    await expect.poll(async () => (await a.inject({ url: '/api/v1/system/usage', headers: as('admin') })).json(), { timeout: 5_000 })
      .toMatchObject({ endpoints: { 'POST /chat': 2 }, agent_usage: { analyst: 2 }, user_count: 2 })
  })

  test('while Redis is away calls go on, promises are refused, and all comes back by itself', async ({ two: { a, b, lines }, redis }) => {
    await redis.kill()
    await expect.poll(() => a.health.report()).toMatchObject({ status: 'degraded' })
    const read = await a.inject({ url: '/api/v1/agents', headers: as('admin') })
    const chat = await b.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: { content: 'hello' } })
    const promised = await a.inject({ method: 'POST', url: '/api/v1/agents', headers: { ...as('admin'), 'idempotency-key': 'k1' }, payload: ada })
    const ready = await a.inject('/health/ready')
    await redis.start()
    await expect.poll(() => a.health.report().status, { timeout: 5_000 }).toBe('ready')
    const again = await a.inject({ method: 'POST', url: '/api/v1/agents', headers: { ...as('admin'), 'idempotency-key': 'k1' }, payload: ada })

    expect([read.statusCode, chat.statusCode, ready.statusCode]).toEqual([200, 200, 200])
    expect(read.headers).toHaveProperty('x-ratelimit-remaining')
    expect(promised.json()).toMatchObject({ error: { code: 'state_unavailable' } })
    expect(promised.headers['retry-after']).toBe('1')
    expect(again.statusCode).toBe(201)
    expect(lines.all.filter(({ message }) => message === 'redis went away')).toHaveLength(2)
  })

  test('an instance that starts while Redis is away serves, and joins when it is back', async ({ core, redis }) => {
    await redis.kill()
    const lines = new Lines()
    const app = await buildApp(configFor(core, { MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}`, MUXI_API_SECRET: secret }), lines)
    await app.ready()
    const read = await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    await redis.start()
    await expect.poll(() => app.health.report().status, { timeout: 5_000 }).toBe('ready')
    await sleep(0)

    expect(read.statusCode).toBe(200)
    expect(lines.all).toContainEqual(expect.objectContaining({ message: 'redis does not answer: this instance works alone until it does' }))
    await app.close()
  })

  test('without a secret the start is refused', async ({ core, redis }) => {
    await expect(buildApp(configFor(core, { MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}` }), new Lines())).rejects.toThrow('set api.secret (MUXI_API_SECRET)')
  })
})
