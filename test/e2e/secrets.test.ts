import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { describe, expect, test as base } from 'vitest'
import { startEmbeddedCore, type EmbeddedCore } from '../../core/embedded/index.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped, temporary } from './processes.ts'
import { contentsOf, Search, Searched } from './searched.ts'
import { bearer, Traffic } from './secrets-traffic.ts'

interface Day { server: Searched, core: EmbeddedCore, redis: OwnRedis, traffic: Traffic, folder: string, metrics: string, search: Search }

/**
 * One server, one day of traffic, then the search of all that it has written and of what it holds. A snapshot has V8's strings, not
 * the bytes of buffers; those and freed memory, which may hold old bytes until they are used anew, are not searched: no program in
 * JavaScript can clear them.
 */
const test = base.extend<{ day: Day }>({
  day: [async ({}, use) => {
    await using folder = await temporary()
    const core = await startEmbeddedCore()
    const redis = await OwnRedis.start()
    const server = await Searched.start(folder.path, {
      MUXI_CORE_URI: core.url,
      MUXI_CORE_ADMIN_KEY: core.adminKey,
      MUXI_CORE_CLIENT_KEY: core.userKey,
      MUXI_CORE_BREAKER_OPEN_MS: '1000',
      MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      MUXI_API_SECRET: 'a-secret-of-at-least-thirty-two-characters',
      MUXI_API_USER_TOKENS_SECRET: 'a-secret-for-user-tokens-of-32-characters',
      MUXI_API_AUDIT_FILE: 'audit.log',
      MUXI_API_LOG_LEVEL: 'trace',
      MUXI_API_KEY_ATTEMPTS: '1000'
    })
    const traffic = new Traffic(server.url, core)
    await traffic.run()
    const { text: metrics } = await traffic.call('/metrics', { headers: bearer(traffic.key('reading the metrics', 'admin')) })
    await traffic.ended()
    await server.collect()
    await use({ server, core, redis, traffic, folder: folder.path, metrics, search: new Search(traffic.secrets) })
    await traffic.agent.destroy()
    await server.stop()
    await redis.kill()
    await core.close()
  }, { scope: 'file' }]
})

describe.skipIf(skipped(redisMissing()))('after a day of traffic', { timeout: 120_000 }, () => {
  test('every kind of answer was given, and hundreds of keys were shown', async ({ day: { traffic } }) => {
    expect(traffic.secrets.size).toBeGreaterThan(200)
    expect(Object.keys(traffic.statuses).map(Number)).toEqual(expect.arrayContaining([200, 201, 400, 401, 403, 404, 503]))
  })

  test('no caller\'s key is in the log, in the audit file or in the metrics', async ({ day: { server, folder, metrics, search } }) => {
    const audit = await readFile(join(folder, 'audit.log'), 'utf8')

    expect([server.log, audit, metrics].map((text) => text.split('\n').length > 50)).toEqual([true, true, true])
    expect([server.log, audit, metrics].map((text) => [...search.in(text)])).toEqual([[], [], []])
  })

  test('none is in Redis, which one that was planted there is', async ({ day: { redis, search, traffic } }) => {
    const { names, text } = await contentsOf(redis.port)
    const client = new Redis(redis.port, '127.0.0.1')
    await client.rpush('planted', JSON.stringify({ key: traffic.secrets.get('user 0') }))
    const planted = await contentsOf(redis.port)
    client.disconnect()

    expect(names.length).toBeGreaterThan(100)
    expect([...search.in(text)]).toEqual([])
    expect([...search.in(planted.text)]).toEqual(['user 0'])
  })

  test('none is in the heap, where the server\'s own two are', async ({ day: { server, core, search } }) => {
    const own = new Search(new Map([['admin', core.adminKey], ['client', core.userKey]]))

    expect([...await server.heap(search)]).toEqual([])
    expect(await server.heap(own)).toEqual(new Set(['admin', 'client']))
  })

  test('one that a running stream needs is found, and gone after its end', async ({ day: { server, core, traffic } }) => {
    const key = traffic.key('planted', 'user')
    const search = new Search(traffic.secrets)
    const leave = new AbortController()
    const heal = core.fail({ path: '/v1/chat', silent: true })
    const stream = traffic.call('/api/v1/chat/stream', { headers: bearer(key), body: { content: 'Hi' }, signal: leave.signal }).catch(() => {})
    await sleep(500)
    const during = await server.heap(search)
    leave.abort()
    await stream
    heal()
    await server.collect()

    expect([...during]).toEqual(['planted'])
    expect([...await server.heap(search)]).toEqual([])
  })
})
