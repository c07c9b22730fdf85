import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import { buildApp } from '../../app.ts'
import { as, configFor, Lines, test as base } from '../app.ts'
import { Tail } from '../plugins/events/tail.ts'
import { OwnRedis } from './own-redis.ts'
import { RedisRelay } from './redis-relay.ts'

/** One instance, with a way of its own to the Redis that both share. */
export interface Instance { app: FastifyInstance, url: string, lines: Lines, relay: RedisRelay, follow: (topic?: 'logs' | 'traces') => Promise<Tail> }

interface Fixtures { redis: OwnRedis, client: Redis, two: [Instance, Instance] }

export const settings = {
  MUXI_API_SECRET: 'a-secret-of-at-least-thirty-two-characters',
  MUXI_API_STREAM_RATE: '0',
  MUXI_API_STREAM_HEARTBEAT_MS: '200',
  MUXI_API_EVENTS_HISTORY: '1000'
}

/** Two instances in this process, each behind a relay, and a client of the test's own. */
export const test = base.extend<Fixtures>({
  redis: async ({}, use) => {
    const redis = await OwnRedis.start()
    await use(redis)
    await redis.kill()
  },
  client: async ({ redis }, use) => {
    const client = new Redis(redis.port, '127.0.0.1')
    client.on('error', () => {})
    await use(client)
    client.disconnect()
  },
  two: async ({ core, redis }, use) => {
    const one = async (): Promise<Instance> => {
      const [lines, relay] = [new Lines(), await RedisRelay.start(redis.port)]
      const app = await buildApp(configFor(core, { ...settings, MUXI_API_REDIS_URL: `redis://127.0.0.1:${relay.port}` }), lines)
      await app.ready()
      await app.core.check()
      const url = await app.listen({ host: '127.0.0.1', port: 0 })
      return { app, url, lines, relay, follow: async (topic = 'logs') => await Tail.open(`${url}/api/v1/${topic}/stream?service=test`, as('admin')) }
    }
    const two: [Instance, Instance] = [await one(), await one()]
    await use(two)
    for (const { app, relay } of two) {
      await app.close()
      await relay.close()
    }
  }
})

/** Publishes events with these numbers. */
export function say ({ app }: Pick<Instance, 'app'>, from: number, to: number): void {
  for (let i = from; i < to; i++) app.events.publish('logs', { timestamp: new Date().toISOString(), level: 'info', message: String(i), service: 'test' })
}

/** The numbers that a client has seen, in its order. */
export function numbers ({ seen }: Tail): number[] {
  return seen.filter(({ event }) => event === 'log').map(({ data }) => Number(data.message))
}

export const upTo = (end: number) => Array.from({ length: end }, (_, i) => i)
