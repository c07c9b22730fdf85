import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { describe, expect } from 'vitest'
import { buildApp } from '../../app.ts'
import { as, configFor, Lines, test as base } from '../app.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const chat = { method: 'POST', url: '/api/v1/chat/stream', payload: { content: 'Hi' } } as const

interface Two { a: FastifyInstance, b: FastifyInstance, at: string, statusOf: (app: FastifyInstance, key: string) => Promise<number>, asked: () => number }

/** Two instances on one Redis, the second on a port of its own. */
const test = base.extend<{ ofSecond: Record<string, string>, redis: OwnRedis, two: Two }>({
  ofSecond: {},
  redis: async ({}, use) => {
    const redis = await OwnRedis.start()
    await use(redis)
    await redis.kill()
  },
  two: async ({ core, redis, settings, ofSecond }, use) => {
    const [a, b] = await Promise.all([{}, ofSecond].map(async (own) => {
      const app = await buildApp(configFor(core, { MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}`, MUXI_API_SECRET: 'a-secret-of-at-least-thirty-two-characters', ...settings, ...own }), new Lines())
      await app.ready()
      await app.core.check()
      return app
    })) as [FastifyInstance, FastifyInstance]
    const at = await b.listen({ host: '127.0.0.1', port: 0 })
    // Both must have heard of each other's news once, or their first look at it would be taken for a gap.
    await sleep(100)
    await use({
      a,
      b,
      at,
      statusOf: async (app, key) => (await app.inject({ url: '/api/v1/conversations/ada', headers: bearer(key) })).statusCode,
      asked: () => core.calls.filter(({ path }) => path === '/v1/auth/introspect').length
    })
    await Promise.all([a.close(), b.close()])
  }
})

/** A stream that the Core leaves silent, begun; gives the rest of it and how long that took to end. */
async function silent (at: string, key: string): Promise<{ rest: Promise<{ text: string, ms: number }> }> {
  const answer = await fetch(`${at}${chat.url}`, { method: 'POST', headers: { ...bearer(key), 'content-type': 'application/json' }, body: JSON.stringify(chat.payload) })
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = (await reader.read()).value ?? ''
  const began = performance.now()
  const rest = (async () => {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) text += piece.value
    return { text, ms: performance.now() - began }
  })()
  return { rest }
}

describe.skipIf(skipped(redisMissing()))('keys at two instances on one Redis', () => {
  test('a key revoked at one is refused by the other within five seconds, and its running stream there ends', async ({ core, two: { a, b, at, statusOf } }) => {
    core.keys.set('stolen-key', { scope: 'user' })
    core.fail({ path: '/v1/chat', silent: true })
    const before = [await statusOf(a, 'stolen-key'), await statusOf(b, 'stolen-key')]
    const { rest } = await silent(at, 'stolen-key')
    await a.inject({ method: 'POST', url: '/api/v1/auth/revocations', headers: as('admin'), payload: { key: 'stolen-key' } })
    const { text, ms } = await rest

    expect(before).toEqual([200, 200])
    expect(ms).toBeLessThan(5_000)
    expect(text).toContain('event: error\ndata: {"error":{"code":"unauthorized"')
    expect([await statusOf(a, 'stolen-key'), await statusOf(b, 'stolen-key')]).toEqual([401, 401])
  })

  test('an instance that has never seen a revoked key refuses it at once, whatever the Core says', async ({ core, two: { a, b, statusOf, asked } }) => {
    core.keys.set('stolen-key', { scope: 'user' })
    await a.inject({ method: 'POST', url: '/api/v1/auth/revocations', headers: as('admin'), payload: { key: 'stolen-key' } })
    const before = asked()

    expect([await statusOf(b, 'stolen-key'), asked() - before]).toEqual([401, 0])
  })

  test('one verdict is for both: the second asks the Core nothing', async ({ core, two: { a, b, statusOf, asked } }) => {
    core.keys.set('shared-key', { scope: 'user' })
    const before = asked()
    const statuses = [await statusOf(a, 'shared-key'), await statusOf(b, 'shared-key'), await statusOf(a, 'unknown-key'), await statusOf(b, 'unknown-key')]

    expect(statuses).toEqual([200, 200, 401, 401])
    expect(asked() - before).toBe(2)
  })

  test('a ticket opens one stream at all instances together', async ({ two: { a, b } }) => {
    const { ticket } = (await a.inject({ method: 'POST', url: '/api/v1/stream-tickets', headers: as('user'), payload: {} })).json<{ ticket: string }>()
    const statuses = await Promise.all(Array.from({ length: 10 }, async (_, i) => (await (i % 2 === 0 ? a : b).inject({ ...chat, url: `${chat.url}?ticket=${ticket}` })).statusCode))

    expect(statuses.toSorted()).toEqual([200, ...Array.from({ length: 9 }, () => 401)])
  })

  describe('of which the second would not ask for an hour', () => {
    test.override({ settings: { MUXI_API_KEY_CACHE_MS: '500' }, ofSecond: { MUXI_API_KEY_CACHE_MS: '3600000' } })

    test('the Core\'s no to one reaches the other within five seconds, and ends its stream', async ({ core, two: { a, b, at, statusOf } }) => {
      core.keys.set('fading-key', { scope: 'user' })
      core.fail({ path: '/v1/chat', silent: true })
      await Promise.all([statusOf(a, 'fading-key'), statusOf(b, 'fading-key')])
      const { rest } = await silent(at, 'fading-key')
      core.keys.delete('fading-key')
      await expect.poll(async () => await statusOf(a, 'fading-key'), { timeout: 5_000 }).toBe(401)
      const { text, ms } = await rest

      expect(ms).toBeLessThan(5_000)
      expect(text).toContain('event: error\ndata: {"error":{"code":"unauthorized"')
      expect(await statusOf(b, 'fading-key')).toBe(401)
    })
  })

  test('a Redis that dies and comes back empty refuses no good key and forgives none: what is remembered is asked anew', async ({ core, redis, two: { a, b, statusOf, asked } }) => {
    for (const key of ['good-key', 'fading-key', 'stolen-key']) core.keys.set(key, { scope: 'user' })
    const all = async (key: string) => [await statusOf(a, key), await statusOf(b, key)]
    const good = [...await all('good-key'), ...await all('fading-key')]
    await a.inject({ method: 'POST', url: '/api/v1/auth/revocations', headers: as('admin'), payload: { key: 'stolen-key' } })
    await expect.poll(async () => await all('stolen-key')).toEqual([401, 401])
    await redis.kill()
    good.push(...await all('good-key'))
    await redis.start()
    const before = asked()
    core.keys.delete('fading-key')

    await expect.poll(async () => await all('fading-key'), { timeout: 5_000 }).toEqual([401, 401])
    expect([...good, ...await all('good-key')]).toEqual(Array.from({ length: 8 }, () => 200))
    expect(await all('stolen-key')).toEqual([401, 401])
    expect(asked() - before).toBeLessThanOrEqual(4)
  })

  test('while Redis is away the Core is asked, by each instance for itself', async ({ core, redis, two: { a, b, statusOf, asked } }) => {
    core.keys.set('good-key', { scope: 'user' })
    await redis.kill()
    const before = asked()

    expect([await statusOf(a, 'good-key'), await statusOf(b, 'good-key'), await statusOf(a, 'bad-key')]).toEqual([200, 200, 401])
    expect(asked() - before).toBe(3)
  })

  describe('with a Core that is away, too', () => {
    test.override({ settings: { MUXI_API_KEY_CACHE_MS: '1500' } })

    test('a key is served while its verdict is fresh, and no longer', async ({ core, redis, two: { a } }) => {
      core.keys.set('good-key', { scope: 'user' })
      const ticket = async () => await a.inject({ method: 'POST', url: '/api/v1/stream-tickets', headers: bearer('good-key'), payload: {} })
      const before = await ticket()
      await redis.kill()
      await core.down()
      const fresh = await ticket()
      await sleep(3_000)
      const later = await ticket()
      await core.up()

      expect([before.statusCode, fresh.statusCode, later.statusCode]).toEqual([201, 201, 503])
      expect(later.headers).toMatchObject({ 'retry-after': expect.any(String) })
      expect(later.headers).not.toHaveProperty('x-auth-stale')
    })
  })

  describe('with three failed attempts a minute', () => {
    test.override({ settings: { MUXI_API_KEY_ATTEMPTS: '3' } })

    test('attempts are counted over both, by key and by address', async ({ two: { a, b } }) => {
      const guess = async (i: number, key: string, remoteAddress: string) => (await (i % 2 === 0 ? a : b).inject({ url: '/api/v1/agents', headers: bearer(key), remoteAddress })).statusCode
      const statuses: number[] = []
      for (let i = 0; i < 6; i++) statuses.push(await guess(i, 'one-key', `203.0.113.${i}`))
      for (let i = 0; i < 4; i++) await guess(i, `guess-${i}`, '198.51.100.1')
      const events = (await b.inject({ url: '/api/v1/system/audit?event=address_blocked', headers: as('admin') })).json<{ events: { address: string }[] }>()

      expect(statuses).toEqual([401, 401, 401, 429, 429, 429])
      expect(JSON.stringify(events).match(/198\.51\.100\.1/g)).toHaveLength(1)
    })
  })
})
