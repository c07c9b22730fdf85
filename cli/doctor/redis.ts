import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import type { Config } from '../../config.ts'
import { isLoopback } from '../addresses.ts'
import { type Check, check, failed, type Finding, ok, patienceMs, since, skewWords, warning, wordsOf } from './check.ts'

const [warnMs, failMs] = [2_000, 30_000]
const oldest = 6

/** Redis, where instances share their state through one. */
export async function checkRedis ({ redis_url: url, redis_prefix: prefix, secret }: Config['api']): Promise<Check[]> {
  if (url === undefined) return [await check('redis', 'Redis', () => ok('unset: this instance is alone'))]
  const own = await Promise.all([check('redis_secret', 'shared secret', () => secretOf(secret)), check('redis_tls', 'Redis in transit', () => transit(new URL(url)))])
  const redis = new Redis(url, { lazyConnect: true, connectTimeout: patienceMs - 500, commandTimeout: patienceMs - 500, maxRetriesPerRequest: 0, enableOfflineQueue: false, retryStrategy: () => null })
  let fault: Error | undefined
  redis.on('error', (error: Error) => { fault ??= error })
  try {
    const reached = await check('redis', 'Redis', async () => await reach(redis, new URL(url).host, () => fault))
    if (reached.status === 'failed') return [reached, ...own]
    return [reached, ...await Promise.all([
      check('redis_version', 'Redis version', async () => await version(redis)),
      check('redis_write', 'Redis rights', async () => await write(redis, prefix)),
      check('redis_clock', 'Redis clock', async () => await clock(redis))
    ]), ...own]
  } finally {
    redis.disconnect()
  }
}

function secretOf (secret: string | undefined): Finding {
  return secret === undefined
    ? failed('unset: with Redis the server does not start', 'set api.secret (MUXI_API_SECRET) to the same 32 characters or more on each instance')
    : ok('set; it must be the same on each instance')
}

function transit ({ protocol, hostname }: URL): Finding {
  if (protocol === 'rediss:') return ok('TLS')
  return isLoopback(hostname) ? ok('clear text, on this machine alone') : warning('clear text: its password and all limits can be read and changed on the way', 'write rediss:// in api.redis_url, unless the network is yours alone')
}

async function reach (redis: Redis, host: string, fault: () => Error | undefined): Promise<Finding> {
  try {
    await redis.connect()
    const started = performance.now()
    await redis.ping()
    return ok(`${host} answers in ${since(started)} ms`)
  } catch (error) {
    return failed(`${host}: ${wordsOf(fault() ?? error)}`, 'start Redis, or set api.redis_url (MUXI_API_REDIS_URL); without it each instance counts and keeps for itself')
  }
}

async function version (redis: Redis): Promise<Finding> {
  try {
    const told = /^redis_version:(\S+)/m.exec(await redis.info('server'))?.[1] ?? ''
    return Number.parseInt(told, 10) >= oldest ? ok(told) : failed(told === '' ? 'not told' : told, `use Redis ${oldest} or later`)
  } catch (error) {
    return warning(`not told: ${wordsOf(error)}`, `let this user call INFO, or see for yourself that it is Redis ${oldest} or later`)
  }
}

/** As the server does it: a value with an end, and a script. */
async function write (redis: Redis, prefix: string): Promise<Finding> {
  const key = `${prefix}{doctor:${randomUUID()}}`
  try {
    await redis.set(key, 'here', 'PX', 10_000)
    const read = await redis.eval("return redis.call('GET', KEYS[1])", 1, key)
    await redis.del(key)
    return read === 'here' ? ok(`reads, writes and runs scripts under ${prefix}`) : failed('what was written was not there', 'api.redis_url must name the one that takes writes, no replica')
  } catch (error) {
    return failed(wordsOf(error), `give this user all commands on keys ${prefix}* (ACL: ~${prefix}* +@all), on the Redis that takes writes`)
  }
}

async function clock (redis: Redis): Promise<Finding> {
  const before = Date.now()
  const [seconds, micros] = (await redis.time()).map(Number)
  return judgeClock(seconds! * 1_000 + micros! / 1_000 - (before + Date.now()) / 2)
}

/** What a clock of Redis that is so many ms away means. */
export function judgeClock (skew: number): Finding {
  if (Math.abs(skew) <= warnMs) return ok('agrees within 2 s')
  return (Math.abs(skew) > failMs ? failed : warning)(`Redis is ${skewWords(skew)}`, 'let both keep time by NTP: limits and records end by the clock')
}
