import type { Redis } from 'ioredis'
import type { Cluster, Entry, Head } from './cluster.ts'
import { newEpoch } from './epoch.ts'
import { createWakes } from './redis-wakes.ts'

/** How long a topic is known that was looked at, and never appended to. */
const lookedAtMs = 3_600_000

/** The start of every script. KEYS meta, stream, taken · ARGV the epoch to begin when the present one does not hold, ttl or '', … */
const prelude = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local function id(number) return string.format('%.0f-0', number) end

  -- The epoch, and the number of the last item. A past without its epoch, or whose last item has another number than was noted, is none.
  local function head()
    local meta = redis.call('HMGET', KEYS[1], 'e', 'n', 'life')
    local life = tonumber(meta[3] or ${30 * 86_400_000})
    local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
    if redis.call('PTTL', KEYS[1]) < life / 2 then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', life)) end
    if meta[1] and meta[2] and (not last or last[1] == meta[2] .. '-0') then return meta[1], tonumber(meta[2]) end
    redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
    -- Who only looks leaves no trace for long.
    redis.call('HSET', KEYS[1], 'e', ARGV[1], 'n', 0, 'life', ${lookedAtMs})
    redis.call('PEXPIRE', KEYS[1], ${lookedAtMs})
    return ARGV[1], 0
  end

  -- Takes away what is too old. Numbers have no hole, so that the oldest that may stay is found by halving, and tells how many stay.
  local function drop(n)
    local ttl = tonumber(redis.call('HGET', KEYS[1], 'ttl') or 0)
    local function old(number)
      local entry = redis.call('XRANGE', KEYS[2], id(number), '+', 'COUNT', 1)[1]
      return entry and tonumber(entry[2][2]) <= now - ttl
    end
    local low, high = n - redis.call('XLEN', KEYS[2]) + 1, n + 1
    if low == high or not old(low) then return end
    while low < high do
      local middle = math.floor((low + high) / 2)
      if old(middle) then low = middle + 1 else high = middle end
    end
    if low > n then redis.call('DEL', KEYS[2]) else redis.call('XTRIM', KEYS[2], 'MAXLEN', n + 1 - low) end
  end`

const scripts = {
  // ARGV fresh epoch, batch, most, ttl, life or '', channel, nonce, text, once, …; a name is noted after what it stands for, so that a script that fails half-way is not taken for done
  muxiAppend: `${prelude}
    local epoch, n = head()
    redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - 600000)
    if redis.call('ZSCORE', KEYS[3], ARGV[2]) then return {epoch, n} end
    local before = n
    for i = 7, #ARGV, 3 do
      local once = ARGV[i + 2]
      if once == '' or not redis.call('ZSCORE', KEYS[3], once) then
        n = n + 1
        redis.call('XADD', KEYS[2], id(n), 'at', string.format('%.0f', now), 'v', ARGV[i], 't', ARGV[i + 1])
        if once ~= '' then redis.call('ZADD', KEYS[3], now, once) end
      end
    end
    redis.call('HSET', KEYS[1], 'n', string.format('%.0f', n), 'ttl', ARGV[4])
    local life = ARGV[5] ~= '' and ARGV[5] or '${30 * 86_400_000}'
    redis.call('HSET', KEYS[1], 'life', life)
    redis.call('PEXPIRE', KEYS[1], life)
    redis.call('ZADD', KEYS[3], now, ARGV[2])
    redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -50001)
    redis.call('PEXPIRE', KEYS[3], math.min(600000, tonumber(life)))
    if n == before then return {epoch, n} end
    redis.call('XTRIM', KEYS[2], 'MAXLEN', ARGV[3])
    drop(n)
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
    redis.pcall('PUBLISH', ARGV[6], n)
    return {epoch, n}`,
  // ARGV fresh epoch, from, most
  muxiLook: `${prelude}
    local epoch, n = head()
    drop(n)
    local first = n - redis.call('XLEN', KEYS[2]) + 1
    local from, most = tonumber(ARGV[2]), tonumber(ARGV[3])
    if from < 0 then from = n + 1 - math.min(-from, most) end
    if from > n then return {epoch, n, first, {}} end
    return {epoch, n, first, redis.call('XRANGE', KEYS[2], id(math.max(from, first)), '+', 'COUNT', most)}`,
  // ARGV fresh epoch, epoch, channel
  muxiRenewEpoch: `${prelude}
    local epoch, n = head()
    if epoch ~= ARGV[2] then return {epoch, n} end
    redis.call('HSET', KEYS[1], 'e', ARGV[1])
    redis.pcall('PUBLISH', ARGV[3], n)
    return {ARGV[1], n}`
}
type Scripts = { [Name in keyof typeof scripts]: (keys: number, ...args: (string | number)[]) => Promise<unknown> }
type Topics = Pick<Cluster, 'append' | 'look' | 'renew' | 'onAppend' | 'close'>

/** Topics as streams, which hold; pub/sub only wakes. `at` gives the keys and channels of a topic. */
export function createRedisTopics (client: Redis, at: (key: string, part: string) => string): Topics {
  for (const [name, lua] of Object.entries(scripts)) client.defineCommand(name, { lua })
  const redis = client as Redis & Scripts
  const keys = (topic: string) => [3, ...[':meta', ':stream', ':taken'].map((part) => at(`topic:${topic}`, part))] as [number, string, string, string]
  const channel = (topic: string) => at(`topic:${topic}`, ':wake')
  const head = ([epoch, seq]: [string, number]): Head => ({ epoch, seq })
  const wakes = createWakes(client)

  return {
    append: async (topic, { id, items }, { most, ttlMs, lifeMs }) => {
      const args = items.flatMap(({ nonce, text, once }) => [nonce, text, once === undefined ? '' : `once ${once}`])
      return head(await redis.muxiAppend(...keys(topic), newEpoch(), `batch ${id}`, most, Math.ceil(ttlMs), lifeMs === undefined ? '' : Math.ceil(lifeMs), channel(topic), ...args) as [string, number])
    },
    look: async (topic, { from, most }) => {
      const [epoch, seq, first, found] = await redis.muxiLook(...keys(topic), newEpoch(), from, most) as [string, number, number, [string, string[]][]]
      // The fields of an entry keep their order: at, v, t.
      const entries = found.map(([id, fields]): Entry => ({ seq: Number.parseInt(id), item: { nonce: fields[3]!, text: fields[5]! } }))
      return { epoch, seq, first, entries }
    },
    renew: async (topic, epoch) => head(await redis.muxiRenewEpoch(...keys(topic), newEpoch(), epoch, channel(topic)) as [string, number]),
    onAppend: (topic, wake) => wakes.add(channel(topic), wake),
    close: wakes.close
  }
}
