import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import type { Cluster } from '../../plugins/cluster/cluster.ts'
import { createRedisCluster } from '../../plugins/cluster/redis.ts'
import { clusterSuite } from '../plugins/cluster/suite.ts'
import { all, batch, found, keep, topicSuite } from '../plugins/cluster/topics-suite.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'

interface Opened { a: Cluster, b: Cluster, redis: OwnRedis, client: Redis, close: () => Promise<void> }

const patience = { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: 1_500, socketTimeout: 2_000, retryStrategy: () => 50 }

/** Two instances with a client each, as the server makes them, and a client of the test's own. */
async function open (): Promise<Opened> {
  const redis = await OwnRedis.start()
  const clients = Array.from({ length: 3 }, () => new Redis(redis.port, '127.0.0.1', patience))
  for (const client of clients) client.on('error', () => {})
  await Promise.all(clients.map(async (client) => { await new Promise<void>((resolve) => { client.once('ready', resolve) }) }))
  const [a, b] = clients.slice(0, 2).map((client) => createRedisCluster(client, 'test:'))
  const close = async () => {
    await Promise.all([a!.close(), b!.close()])
    for (const client of clients) client.disconnect()
    await redis.kill()
  }
  return { a: a!, b: b!, redis, client: clients[2]!, close }
}

const it = test.extend<{ opened: Opened }>({
  opened: async ({}, use) => {
    const opened = await open()
    await use(opened)
    await opened.close()
  }
})

describe.skipIf(skipped(redisMissing()))('a real Redis', () => {
  clusterSuite('redis', open)
  topicSuite('redis', open)

  it('a Redis that was killed and comes back empty is another epoch, whose first number is 1', async ({ opened: { a, b, redis } }) => {
    const before = await a.append('logs', batch('b1', 'x', 'y'), keep)
    await redis.kill()
    await expect.poll(async () => await a.look('logs', all).then(() => 'there', () => 'away'), { timeout: 2_000 }).toBe('away')
    await redis.start()
    const after = await expect.poll(async () => await a.append('logs', batch('b2', 'z'), keep), { timeout: 5_000 }).toMatchObject({ seq: 1 })
      .then(async () => await b.look('logs', all))

    expect(after.epoch).not.toBe(before.epoch)
    expect(found(after)).toEqual([[1, 'z']])
  })

  for (const [what, lose] of Object.entries({
    'the epoch and the number were lost': async (client: Redis) => await client.del('test:{topic:logs}:meta'),
    'the epoch was lost': async (client: Redis) => await client.hdel('test:{topic:logs}:meta', 'e'),
    'the number was lost': async (client: Redis) => await client.hdel('test:{topic:logs}:meta', 'n'),
    'the number is of an older time than the items': async (client: Redis) => await client.hset('test:{topic:logs}:meta', 'n', 2),
    'the newest items were lost': async (client: Redis) => await client.xdel('test:{topic:logs}:stream', '3-0')
  })) {
    for (const first of ['append', 'look'] as const) {
      it(`where ${what}, another epoch begins without the items that were there, at the next ${first}`, async ({ opened: { a, b, client } }) => {
        const before = await a.append('logs', batch('b1', 'x', 'y', 'z'), keep)
        expect(await lose(client)).toBeLessThan(2)
        const look = first === 'look' ? await a.look('logs', all) : undefined
        const head = await b.append('logs', batch('b1', 'anew'), keep)

        expect(look ?? { ...head, entries: [] }).toMatchObject({ epoch: head.epoch, entries: [] })
        expect(head).toEqual({ epoch: expect.not.stringMatching(before.epoch) as string, seq: 1 })
        expect(found(await a.look('logs', all))).toEqual([[1, 'anew']])
      })
    }
  }

  it('items that were lost together are no other epoch: their numbers tell', async ({ opened: { a, b, client } }) => {
    const before = await a.append('logs', batch('b1', 'x', 'y'), keep)
    await client.del('test:{topic:logs}:stream')
    const look = await b.look('logs', all)

    expect(look).toEqual({ ...before, first: 3, entries: [] })
    expect(await b.append('logs', batch('b2', 'z'), keep)).toEqual({ ...before, seq: 3 })
  })

  it('two processes see one order of what both append', async ({ opened: { a, b } }) => {
    const appending = [a, b].map(async (cluster, i) => {
      for (let j = 0; j < 200; j++) await cluster.append('logs', batch(`${i} ${j}`, `${i} ${j}`), { most: 1_000, ttlMs: 60_000 })
    })
    await Promise.all(appending)
    const [one, two] = await Promise.all([a, b].map(async (cluster) => found(await cluster.look('logs', all))))

    expect(one).toEqual(two)
    for (const i of [0, 1]) expect(one!.filter(([, text]) => text.startsWith(`${i} `)).map(([, text]) => text)).toEqual(Array.from({ length: 200 }, (_, j) => `${i} ${j}`))
  })

  it('wakes go on after the connection of the subscriber was lost, and the loss itself wakes', async ({ opened: { a, b, client } }) => {
    let woken = 0
    b.onAppend('logs', () => { woken++ })
    await expect.poll(() => woken).toBe(1)
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await expect.poll(() => woken, { timeout: 3_000 }).toBe(2)
    await a.append('logs', batch('b1', 'x', 'y'), keep)

    await expect.poll(() => woken).toBe(3)
  })

  it('wakes go on after Redis was away, also for who began to listen meanwhile', async ({ opened: { a, b, redis } }) => {
    const woken = { early: 0, late: 0 }
    b.onAppend('logs', () => { woken.early++ })
    await expect.poll(() => woken.early).toBe(1)
    await redis.kill()
    await expect.poll(async () => await b.members().then(() => 'there', () => 'away'), { timeout: 2_000 }).toBe('away')
    b.onAppend('traces', () => { woken.late++ })
    await redis.start()
    await expect.poll(() => woken, { timeout: 5_000 }).toEqual({ early: 2, late: 1 })
    await expect.poll(async () => await a.append('traces', batch('b1', 'x'), keep).then(({ seq }) => seq, () => 0), { timeout: 2_000 }).toBe(1)

    await expect.poll(() => woken).toEqual({ early: 2, late: 2 })
  })

  it('who begins to listen while Redis is away does not wait, and is woken when it is there', async ({ opened: { b, redis } }) => {
    await redis.kill()
    let woken = 0
    b.onAppend('logs', () => { woken++ })
    await redis.start()

    await expect.poll(() => woken, { timeout: 5_000 }).toBe(1)
  })

  it('where the other end of connections is gone without a word, they are made anew, for commands and for wakes', async ({ opened: { a, redis } }) => {
    const [near, far]: Socket[][] = [[], []]
    const relay = createServer((socket) => {
      near!.push(socket)
      const other = connect(redis.port, '127.0.0.1')
      far!.push(other)
      for (const end of [socket, other]) end.on('error', () => {})
      socket.pipe(other).pipe(socket)
    }).listen(0, '127.0.0.1')
    await once(relay, 'listening')
    const client = new Redis((relay.address() as AddressInfo).port, '127.0.0.1', patience)
    client.on('error', () => {})
    await once(client, 'ready')
    const c = createRedisCluster(client, 'test:')
    let woken = 0
    c.onAppend('logs', () => { woken++ })
    await expect.poll(() => woken).toBe(1)
    for (const socket of near!) socket.unpipe()
    for (const socket of far!) socket.unpipe()
    await expect(c.look('logs', all)).rejects.toThrow()

    await expect.poll(async () => await c.look('logs', all).then(({ seq }) => seq, () => -1), { timeout: 5_000 }).toBe(0)
    await expect.poll(() => woken, { timeout: 10_000 }).toBe(2)
    await a.append('logs', batch('b1', 'x'), keep)
    await expect.poll(() => woken).toBe(3)

    await c.close()
    client.disconnect()
    for (const socket of [...near!, ...far!]) socket.destroy()
    relay.close()
  }, 30_000)

  it('all that Redis keeps of a topic ends by itself, its epoch long after its items', async ({ opened: { a, client } }) => {
    await a.append('logs', batch('b1', 'x'), keep)
    const ttls = await Promise.all(['stream', 'taken', 'meta'].map(async (part) => await client.pttl(`test:{topic:logs}:${part}`)))

    expect(ttls.map((ms) => Math.ceil(ms / 60_000))).toEqual([1, 10, 30 * 24 * 60])
  })

  it('an instance that was not heard of for 15 s, or has closed, is forgotten with what it said, and so is the list when nobody is there', async ({ opened: { a, b, client } }) => {
    await Promise.all([a.introduce(() => 'a'), b.introduce(() => 'b')])
    const before = await a.introductions()
    const soon = await client.zscore('test:{instances}', b.id)
    // As if its last heartbeat were older.
    await client.zadd('test:{instances}', 1, b.id)
    const members = await a.members()
    const said = await client.hkeys('test:{instances}:introductions')
    await b.members()
    const silent = await a.introductions()
    await b.close()
    await a.close()

    expect(before).toEqual(new Map([[a.id, 'a'], [b.id, 'b']]))
    expect(Number(soon) - Date.now()).toBeLessThanOrEqual(15_000)
    expect([members, said]).toEqual([[a.id], [a.id]])
    expect(silent).toEqual(new Map([[a.id, 'a']]))
    expect(await client.keys('test:{instances}*')).toEqual([])
  })

  it('a heartbeat keeps the list for no longer than it counts', async ({ opened: { a, client } }) => {
    await a.introduce(() => 'a')

    for (const key of ['test:{instances}', 'test:{instances}:introductions']) expect(await client.pttl(key)).toBeLessThanOrEqual(15_000)
  })

  it('an instance that has closed is no member, and its subscriber is gone', async ({ opened: { a, b, client } }) => {
    b.onAppend('logs', () => {})
    await expect.poll(async () => String(await client.call('CLIENT', 'LIST', 'TYPE', 'pubsub'))).toContain('sub=1')
    await expect.poll(async () => (await a.members()).length).toBe(2)
    await b.close()

    expect(await a.members()).toEqual([a.id])
    await expect.poll(async () => await client.call('CLIENT', 'LIST', 'TYPE', 'pubsub')).toBe('')
  })
})
