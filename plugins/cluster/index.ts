import { hkdfSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyRedis from '@fastify/redis'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import { ApiError } from '../../errors.ts'
import type { Cluster } from './cluster.ts'
import { createDigests, type Digests } from './digest.ts'
import { createMemoryCluster } from './memory.ts'
import { createRedisCluster } from './redis.ts'
import { createSeal, openSeal, type Seal } from './seal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    cluster: Cluster
    /** A key of 32 bytes for one purpose, derived from the deployment's secret (HKDF-SHA-256). */
    secretFor: (purpose: string) => Buffer
    /** Names keys, the same at all instances. */
    digests: Digests
    /** What shared texts pass through on their way to the cluster and back. */
    seal: Seal
    /** A seal of one's own, with a key of 32 bytes. */
    sealWith: (key: Buffer) => Seal
  }
}

const patienceMs = 2_000

/** Holds what instances share: in memory for one, in Redis for many; chosen here and nowhere else. */
export default fp(async (app) => {
  const { redis_url: url, redis_prefix: prefix, secret } = app.config.api
  const root = secret ?? randomBytes(32)
  app.decorate('secretFor', (purpose) => Buffer.from(hkdfSync('sha256', root, '', purpose, 32)))

  app.decorate('digests', createDigests(app.secretFor('key digests')))
  app.decorate('sealWith', createSeal)

  if (url === undefined) {
    const memory = createMemoryCluster()
    app.decorate('cluster', memory)
    app.decorate('seal', openSeal)
    app.addHook('onClose', memory.close)
    nameIn(app)
    return
  }
  if (secret === undefined) throw new Error('instances that share Redis must share a secret: set api.secret (MUXI_API_SECRET) to the same 32 characters or more on each')

  const client = new Redis(url, {
    // Nothing waits for a Redis that is away: who calls knows what to do instead.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 1_500,
    connectTimeout: 2_000,
    // A connection whose other end is gone without a word (a host, a firewall's memory) is made anew; by itself it would hang for a quarter of an hour.
    socketTimeout: 3_000,
    // What was the master is a replica by now, and would say so for ever: under the same name there is another, for who comes anew.
    reconnectOnError: ({ message }) => /\b(?:READONLY|MASTERDOWN)\b/.test(message),
    retryStrategy: (attempt) => Math.min(1_000, 50 * 2 ** attempt) * (0.5 + Math.random() / 2)
  })
  let reason: string | undefined = 'not connected yet'
  let isThere = false
  client.on('ready', () => {
    isThere = true
    reason = undefined
    app.log.info('redis is there')
  })
  client.on('error', (error: Error & { code?: string }) => { reason = error.code ?? error.message })
  client.on('close', () => {
    // A call that was on its way may have told of the reason before.
    if (isThere) app.log.warn('redis went away')
    isThere = false
    reason ??= 'connection lost'
  })
  await Promise.race([once(client, 'ready').catch(() => {}), sleep(patienceMs)])
  if (reason !== undefined) app.log.warn({ reason }, 'redis does not answer: this instance works alone until it does')

  // The package would wait for a Redis that is away until the start times out; to it the client is always ready.
  await app.register(fastifyRedis, { client: new Proxy(client, { get: (target, name) => name === 'status' ? 'ready' : Reflect.get(target, name, target) as unknown }) })
  const cluster = createRedisCluster(client, prefix)
  app.decorate('cluster', explained(cluster))
  app.decorate('seal', createSeal(app.secretFor('records')))
  nameIn(app)
  app.health.add('redis', () => reason, { optional: true })
  app.addHook('onClose', async () => {
    await cluster.close().catch(() => {})
    client.disconnect()
  })
}, { name: 'cluster', dependencies: ['health', 'telemetry'] })

/** Tells in every answer which instance gave it: for who counts them, or comes back to the same one. */
function nameIn (app: FastifyInstance): void {
  const { id } = app.cluster
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-muxi-instance', id)
    done()
  })
}

/** The same cluster, whose failures are those of a caller's request. */
function explained (cluster: Cluster): Cluster {
  return new Proxy(cluster, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name)
      // What is answered at once cannot fail later.
      return typeof member !== 'function' || name === 'onAppend'
        ? member
        : async (...args: unknown[]) => {
          try {
            return await (member as (...args: unknown[]) => Promise<unknown>)(...args)
          } catch (cause) {
            throw new ApiError('state_unavailable', 'what the instances share cannot be reached', { cause, retryAfter: 1 })
          }
        }
    }
  })
}
