import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { createServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import { describe, expect } from 'vitest'
import { buildApp } from '../../app.ts'
import { as, configFor, Lines, test as base } from '../app.ts'
import { Tail } from '../plugins/events/tail.ts'
import { numbers, say, settings, upTo } from './faults-redis.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'

interface Opened { app: FastifyInstance, url: string, lines: Lines }

/** `open` starts an instance in front of a Redis by its URL. */
const test = base.extend<{ redis: OwnRedis, open: (redisUrl: string) => Promise<Opened> }>({
  redis: async ({}, use) => {
    const redis = await OwnRedis.start()
    await use(redis)
    await redis.kill()
  },
  open: async ({ core }, use) => {
    const apps: FastifyInstance[] = []
    await use(async (redisUrl) => {
      const lines = new Lines()
      const app = await buildApp(configFor(core, { ...settings, MUXI_API_REDIS_URL: redisUrl }), lines)
      apps.push(app)
      await app.ready()
      await app.core.check()
      return { app, url: await app.listen({ host: '127.0.0.1', port: 0 }), lines }
    })
    for (const app of apps) await app.close()
  }
})

const streamOf = (url: string, query = '') => `${url}/api/v1/logs/stream?service=test${query}`
const first = 'the-first-password-of-redis'
const second = 'the-second-password-of-redis'

describe.skipIf(skipped(redisMissing()))('an instance', () => {
  test('whose Redis has another password by now is degraded and says why, without the secret, and goes on when it is let in', async ({ redis, open }) => {
    const admin = new Redis(redis.port, '127.0.0.1')
    await admin.call('ACL', 'SETUSER', 'default', 'resetpass', `>${first}`)
    const { app, url, lines } = await open(`redis://:${first}@127.0.0.1:${redis.port}`)
    const tail = await Tail.open(streamOf(url), as('admin'))
    say({ app }, 0, 10)
    await tail.until((one) => numbers(one).length === 10)
    await admin.call('ACL', 'SETUSER', 'default', 'resetpass', `>${second}`)
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await expect.poll(() => JSON.stringify(app.health.report())).toMatch(/WRONGPASS|NOAUTH/)
    const report = app.health.report()
    const read = await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    say({ app }, 10, 20)
    await expect.poll(() => lines.all.some(({ message }) => message === 'events cannot be published: they are held')).toBe(true)
    await admin.call('ACL', 'SETUSER', 'default', 'resetpass', `>${first}`)
    await tail.until((one) => numbers(one).length === 20)
    const told = JSON.stringify(lines.all) + JSON.stringify(report)
    tail.close()
    admin.disconnect()

    expect(report.status).toBe('degraded')
    expect(read.statusCode).toBe(200)
    expect(numbers(tail)).toEqual(upTo(20))
    expect(tail.of('gap')).toEqual([])
    for (const secret of [first, second]) expect(told).not.toContain(secret)
    expect(lines.all).toContainEqual(expect.objectContaining({ message: 'redis went away' }))
  })

  test.for(['cert', 'expired-cert'])('whose Redis shows a certificate that is not good (%s) is degraded, says so, and serves', async (name, { redis, open }) => {
    const file = (part: string) => readFileSync(new URL(`../fixtures/tls/${part}.pem`, import.meta.url))
    const front = createServer({ cert: file(name), key: file(name.replace('cert', 'key')) }, (socket) => { socket.on('error', () => {}).pipe(connect(redis.port, '127.0.0.1')).on('error', () => {}).pipe(socket) }).listen(0, '127.0.0.1')
    front.on('tlsClientError', () => {})
    await once(front, 'listening')
    const { app, url, lines } = await open(`rediss://127.0.0.1:${(front.address() as AddressInfo).port}`)
    const report = app.health.report()
    const read = await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    const stream = await fetch(streamOf(url), { headers: as('admin') })
    front.close()

    expect(report.status).toBe('degraded')
    expect(JSON.stringify(report)).toMatch(/CERT/)
    expect([read.statusCode, stream.status]).toEqual([200, 503])
    expect(lines.all).toContainEqual(expect.objectContaining({ message: 'redis does not answer: this instance works alone until it does', reason: expect.stringMatching(/CERT/) }))
  })

  test('that starts while Redis is away refuses streams with a time to come back, holds what is published, and has it when Redis is there', async ({ redis, open }) => {
    await redis.kill()
    const { app, url } = await open(`redis://127.0.0.1:${redis.port}`)
    say({ app }, 0, 10)
    const [read, ready, list] = await Promise.all(['/api/v1/agents', '/health/ready', '/api/v1/logs/trace'].map(async (path) => await app.inject({ url: path, headers: as('admin') })))
    const refused = await Promise.all(['logs', 'traces'].map(async (topic) => await fetch(`${url}/api/v1/${topic}/stream`, { headers: as('admin') })))
    await redis.start()
    await expect.poll(() => app.health.report().status).toBe('ready')
    const tail = await Tail.open(streamOf(url, `&from=${new Date(0).toISOString()}`), as('admin'))
    await tail.until((one) => numbers(one).length === 10)
    say({ app }, 10, 20)
    await tail.until((one) => numbers(one).length === 20)
    tail.close()

    expect([read!.statusCode, ready!.statusCode, list!.statusCode]).toEqual([200, 200, 503])
    for (const res of refused) {
      expect([res.status, res.headers.get('retry-after'), await res.json()]).toMatchObject([503, '1', { error: { code: 'state_unavailable' } }])
    }
    expect(numbers(tail)).toEqual(upTo(20))
    expect(tail.of('gap')).toEqual([])
    await expect.poll(() => app.connections.count()).toBe(0)
  })
})
