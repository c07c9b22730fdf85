import { randomBytes, randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { Cluster, Expect, Lock } from './cluster.ts'
import { createRedisTopics } from './redis-topics.ts'

/** What must not be torn apart by another instance, as scripts. Every key of one script has one hash tag, so that Redis Cluster keeps them together. */
const scripts = {
  // KEYS value · ARGV value, ttl, expects, expected
  muxiSet: `
    if ARGV[3] == '1' then
      local now = redis.call('GET', KEYS[1])
      if ARGV[4] == '' and now or ARGV[4] ~= '' and now ~= string.sub(ARGV[4], 2) then return 0 end
    end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1`,
  // KEYS value · ARGV expects, expected
  muxiDelete: `
    if ARGV[1] == '1' and redis.call('GET', KEYS[1]) ~= string.sub(ARGV[2], 2) then return 0 end
    return redis.call('DEL', KEYS[1])`,
  // KEYS counter · ARGV units, window
  muxiAdd: `
    local total = redis.call('INCRBY', KEYS[1], ARGV[1])
    local left = redis.call('PTTL', KEYS[1])
    if left < 0 then
      redis.call('PEXPIRE', KEYS[1], ARGV[2])
      left = tonumber(ARGV[2])
    end
    return {total, left}`,
  // KEYS list, number · ARGV item, most, ttl
  muxiPush: `
    redis.call('RPUSH', KEYS[1], ARGV[1])
    redis.call('LTRIM', KEYS[1], -ARGV[2], -1)
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    local next = redis.call('INCR', KEYS[2])
    redis.call('PEXPIRE', KEYS[2], ARGV[3])
    return next`,
  // KEYS list, number · ARGV from
  muxiList: `
    local next = tonumber(redis.call('GET', KEYS[2]) or 0)
    local first = next - redis.call('LLEN', KEYS[1])
    return {next, redis.call('LRANGE', KEYS[1], math.max(0, ARGV[1] - first), -1)}`,
  // KEYS counters · ARGV ttl, name, units, …
  muxiIncrement: `
    for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
    redis.call('PEXPIRE', KEYS[1], ARGV[1])`,
  // KEYS members · ARGV member, ttl
  muxiNote: `
    redis.call('PFADD', KEYS[1], ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
  // KEYS lock, fence · ARGV holder, ttl, life of the fence. It is a time where nobody held the lock lately: one that was forgotten, or lost, is still followed by a higher one.
  muxiLock: `
    if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local fence = math.max(now, tonumber(redis.call('GET', KEYS[2]) or 0) + 1)
    redis.call('SET', KEYS[2], string.format('%.0f', fence), 'PX', ARGV[3])
    return fence`,
  // KEYS members, introductions · ARGV instance, ttl, introduction where there is another; the clock is Redis's own, so that all agree
  muxiHere: `
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
    if ARGV[3] then redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
    for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
      redis.call('ZREM', KEYS[1], gone)
      redis.call('HDEL', KEYS[2], gone)
    end
    for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[2]) end
    return redis.call('ZRANGE', KEYS[1], 0, -1)`,
  // KEYS members, introductions · ARGV instance
  muxiLeave: `
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[2], ARGV[1])`,
  // KEYS lock · ARGV holder, ttl
  muxiRenew: `
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])`
}
const aliveMs = 15_000
/** How long a fence is remembered after its holder. */
const fenceMs = 3_600_000
type Scripts = { [Name in keyof typeof scripts]: (keys: number, ...args: (string | number)[]) => Promise<unknown> }

/** Everything in Redis under a prefix, shared by all instances. Fails at once while Redis is away: callers know what to do instead. */
export function createRedisCluster (client: Redis, prefix: string): Cluster {
  for (const [name, lua] of Object.entries(scripts)) client.defineCommand(name, { lua })
  const redis = client as Redis & Scripts
  const at = (key: string, part = '') => `${prefix}{${key}}${part}`
  // A value is marked, so that the empty text and "there is none" differ.
  const expected = (expect: Expect | undefined) => [expect === undefined ? 0 : 1, expect?.value === undefined ? '' : `=${expect.value}`] as const

  const id = randomBytes(4).toString('hex')
  const [roll, introductions] = [at('instances'), at('instances', ':introductions')]
  let size = 1
  let facts: (() => string) | undefined
  const here = async (...introduction: string[]) => {
    const members = await redis.muxiHere(2, roll, introductions, id, aliveMs, ...introduction) as string[]
    size = members.length
    return members
  }
  /** With what there is to say: who only wants to know the others need not find that out. */
  const beat = async () => await here(...facts === undefined ? [] : [facts()])
  const report = () => { beat().catch(() => {}) }
  const { close: closeTopics, ...topics } = createRedisTopics(client, at)
  client.on('ready', report)
  const pulse = setInterval(report, aliveMs / 3)
  pulse.unref()
  if (client.status === 'ready') report()

  return {
    kind: 'redis',
    get size () { return size },
    id,
    members: async () => await here(),
    introduce: async (own) => {
      facts = own
      await beat()
    },
    introductions: async () => {
      const members = await beat()
      const said = await redis.hmget(introductions, ...members)
      return new Map(members.flatMap((member, i) => said[i] === null || said[i] === undefined ? [] : [[member, said[i]]]))
    },
    ...topics,
    get: async (key) => await redis.get(at(key)) ?? undefined,
    set: async (key, value, ttlMs, expect) => await redis.muxiSet(1, at(key), value, Math.ceil(ttlMs), ...expected(expect)) === 1,
    keep: async (key, value, ttlMs) => { await redis.set(at(key), value, 'PX', Math.ceil(ttlMs)) },
    delete: async (key, expect) => {
      if (expect !== undefined && expect.value === undefined) return false
      return await redis.muxiDelete(1, at(key), ...expected(expect)) === 1
    },
    add: async (key, units, windowMs) => {
      const [total, endsInMs] = await redis.muxiAdd(1, at(key), units, windowMs) as [number, number]
      return { total, endsInMs }
    },
    push: async (key, item, { most, ttlMs }) => await redis.muxiPush(2, at(key), at(key, ':next'), item, most, ttlMs) as number,
    list: async (key, from = 0) => {
      const [next, items] = await redis.muxiList(2, at(key), at(key, ':next'), from) as [number, string[]]
      return { items, next }
    },
    increment: async (key, by, ttlMs) => { await redis.muxiIncrement(1, at(key), ttlMs, ...Object.entries(by).flat()) },
    sums: async (keys) => {
      const sums: Record<string, number> = {}
      for (const counts of await Promise.all(keys.map(async (key) => await redis.hgetall(at(key))))) {
        for (const [name, units] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + Number(units)
      }
      return sums
    },
    note: async (key, member, ttlMs) => { await redis.muxiNote(1, at(key), member, ttlMs) },
    noted: async (keys) => keys.length === 0 ? 0 : await redis.pfcount(...keys.map((key) => at(key))),
    lock: async (name, ttlMs): Promise<Lock | undefined> => {
      const key = at(`lock:${name}`)
      const holder = randomUUID()
      const fence = await redis.muxiLock(2, key, at(`lock:${name}`, ':fence'), holder, ttlMs, ttlMs + fenceMs) as number
      if (fence === 0) return undefined
      return {
        fence,
        renew: async (ms) => await redis.muxiRenew(1, key, holder, ms) === 1,
        release: async () => { await redis.muxiDelete(1, key, 1, `=${holder}`) }
      }
    },
    close: async () => {
      clearInterval(pulse)
      await closeTopics()
      if (client.status === 'ready') await redis.muxiLeave(2, roll, introductions, id)
    }
  }
}
