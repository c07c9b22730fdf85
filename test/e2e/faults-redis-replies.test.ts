import { Redis } from 'ioredis'
import { describe, expect } from 'vitest'
import { as } from '../app.ts'
import { metric } from '../faults/server.ts'
import { numbers, say, test, upTo } from './faults-redis.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'
import { appends, looks } from './redis-relay.ts'

const notNow = [
  'READONLY You can\'t write against a read only replica.', 'LOADING Redis is loading the dataset in memory', 'NOSCRIPT No matching script. Please use EVAL.', 'OOM command not allowed when used memory > \'maxmemory\'.',
  'MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to \'no\'.', 'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  'TRYAGAIN Multiple keys request during rehashing of slot', 'CLUSTERDOWN The cluster is down', 'NOREPLICAS Not enough good replicas to write.', 'ERR something that nobody foresaw'
]

describe.skipIf(skipped(redisMissing()))('two instances whose Redis', () => {
  test.for(notNow)('says "%s" try again, and lose nothing', async (reply, { two: [a, b] }) => {
    const tails = [await a.follow(), await b.follow()]
    for (const { relay } of [a, b]) {
      relay.refuse(reply, appends, 2)
      relay.refuse(reply, looks, 2)
    }
    for (let i = 0; i < 30; i += 10) {
      say(a, i, i + 10)
      await tails[1]!.until((one) => numbers(one).length === i + 10)
    }
    await tails[0]!.until((one) => numbers(one).length === 30)

    for (const tail of tails) {
      expect(numbers(tail)).toEqual(upTo(30))
      expect(tail.of('gap')).toEqual([])
    }
    expect(a.relay.refused).toBeGreaterThanOrEqual(4)
    expect(await metric(a.app, 'muxi_api_events_lost_total')).toBe(0)
    // A script that is sent again as text was no failure.
    if (!reply.startsWith('NOSCRIPT')) expect(a.lines.all.map(({ message }) => message)).toEqual(expect.arrayContaining(['events cannot be published: they are held', 'events are published again']))
  })

  test('forgets its scripts again and again run on', async ({ two: [a, b], client }) => {
    const tails = [await a.follow(), await b.follow()]
    for (let i = 0; i < 200; i += 10) {
      await client.script('FLUSH')
      say(i % 20 === 0 ? a : b, i, i + 10)
      for (const tail of tails) await tail.until((one) => numbers(one).length === i + 10)
    }

    for (const tail of tails) {
      expect(numbers(tail)).toEqual(upTo(200))
      expect(tail.of('gap')).toEqual([])
    }
  })

  test('has no memory left go on', async ({ two: [a, b], client }) => {
    const tails = [await a.follow(), await b.follow()]
    await client.config('SET', 'maxmemory', '1')
    say(a, 0, 50)
    const read = await a.app.inject({ url: '/api/v1/agents', headers: as('admin') })
    // Scripts that begin by taking things away are let through, so that nothing has to wait; it would be held otherwise.
    await client.config('SET', 'maxmemory', '0')
    for (const tail of tails) await tail.until((one) => numbers(one).length === 50)

    expect(read.statusCode).toBe(200)
    for (const tail of tails) {
      expect(numbers(tail)).toEqual(upTo(50))
      expect(tail.of('gap')).toEqual([])
    }
  })

  test('has taken what it did not answer to publish it once', async ({ two: [a, b] }) => {
    const tail = await b.follow()
    a.relay.loseAnswer(appends)
    say(a, 0, 10)
    await tail.until((one) => numbers(one).length === 10)
    say(a, 10, 20)
    await tail.until((one) => numbers(one).includes(19))

    expect(a.relay.refused).toBe(1)
    expect(numbers(tail)).toEqual(upTo(20))
  })

  test.for([['has everything', 10], ['lags behind', 20]] as const)('becomes a replica go over to the new master, which %s, and miss nothing in silence', async ([, end], { two: [a, b], redis, client }) => {
    const next = await OwnRedis.start()
    const other = new Redis(next.port, '127.0.0.1')
    try {
      const tails = [await a.follow(), await b.follow()]
      say(a, 0, 10)
      for (const tail of tails) await tail.until((one) => numbers(one).length === 10)
      await other.replicaof('127.0.0.1', redis.port)
      await expect.poll(async () => await other.info('replication')).toContain('master_link_status:up')
      await client.set('last', 'write')
      expect(await client.wait(1, 5_000)).toBe(1)
      await other.call('REPLICAOF', 'NO', 'ONE')
      // What comes now the new master will not have.
      say(b, 10, end)
      for (const tail of tails) await tail.until((one) => numbers(one).length === end)
      await client.replicaof('127.0.0.1', next.port)
      for (const { relay } of [a, b]) relay.lead(next.port)
      say(a, end, end + 10)
      for (const tail of tails) await tail.until((one) => numbers(one).length === end + 10)

      for (const tail of tails) {
        expect(numbers(tail)).toEqual(upTo(end + 10))
        expect(tail.of('gap').length).toBe(end === 10 ? 0 : 1)
      }
    } finally {
      other.disconnect()
      await next.kill()
    }
  })
})
