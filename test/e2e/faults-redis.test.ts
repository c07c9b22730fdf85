// What goes wrong with Redis, and where it is shown:
//
// killed, comes back empty                                 here; scripts alone: cluster-redis.test.ts; set back to an old state: oracle/
// frozen                                                   here; oracle/
// connections whose other end is gone without a word       here; cluster-redis.test.ts
// failover, replies that say "not now"                     faults-redis-replies.test.ts
// scripts forgotten, memory full, answers that are lost    faults-redis-replies.test.ts
// one event published at two instances                     here; plugins/cluster/topics-suite.ts
// what is not read yet is kept no more                     here; test/plugins/events/{stream,feed}.test.ts
// a password that was changed, a certificate               faults-redis-access.test.ts
// away when an instance starts                             faults-redis-access.test.ts; keys-redis.test.ts
// an instance of three that is killed                      oracle/
import { describe, expect } from 'vitest'
import { as } from '../app.ts'
import { metric } from '../faults/server.ts'
import { numbers, say, test, upTo } from './faults-redis.ts'
import { redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'

describe.skipIf(skipped(redisMissing()))('two instances whose Redis', () => {
  test('was killed and comes back empty tell each client so once, and go on with what was published meanwhile', async ({ two: [a, b], redis }) => {
    const tails = [await a.follow(), await b.follow(), await b.follow()]
    say(a, 0, 10)
    for (const tail of tails) await tail.until((one) => numbers(one).length === 10)
    await redis.kill()
    for (const { app } of [a, b]) await expect.poll(() => app.health.report().status).toBe('degraded')
    say(a, 10, 20)
    await redis.start()
    const began = performance.now()
    for (const tail of tails) await tail.until((one) => numbers(one).length === 20)
    const ms = performance.now() - began
    say(b, 20, 30)
    for (const tail of tails) await tail.until((one) => numbers(one).length === 30)

    for (const tail of tails) {
      expect(numbers(tail)).toEqual(upTo(30))
      expect(tail.of('gap').map(({ data }) => data.reason)).toEqual(['epoch'])
    }
    expect(ms).toBeLessThan(5_000)
  })

  test('is frozen answer what needs no Redis, say so, hold what is published, and miss nothing', async ({ two: [a, b], redis }) => {
    const tails = [await a.follow(), await b.follow()]
    say(a, 0, 10)
    for (const tail of tails) await tail.until((one) => numbers(one).length === 10)
    redis.freeze()
    const reads: { statusCode: number, ms: number }[] = []
    for (let i = 0; i < 40; i++) {
      const began = performance.now()
      say(a, 10 + i * 25, 35 + i * 25)
      const { statusCode } = await b.app.inject({ url: '/api/v1/agents', headers: as('admin') })
      reads.push({ statusCode, ms: performance.now() - began })
      await new Promise((resolve) => { setTimeout(resolve, 150) })
    }
    for (const { app } of [a, b]) await expect.poll(() => app.health.report().status).toBe('degraded')
    const ready = await a.app.inject('/health/ready')
    redis.thaw()
    for (const tail of tails) await tail.until((one) => numbers(one).length === 1_010)

    for (const tail of tails) {
      expect(numbers(tail)).toEqual(upTo(1_010))
      expect(tail.of('gap')).toEqual([])
    }
    expect(reads.filter(({ statusCode }) => statusCode !== 200)).toEqual([])
    expect(Math.max(...reads.map(({ ms }) => ms))).toBeLessThan(5_000)
    expect(ready.statusCode).toBe(200)
    expect(await metric(a.app, 'muxi_api_events_lost_total')).toBe(0)
    await expect.poll(() => a.app.health.report().status).toBe('ready')
  })

  test('cannot be reached over the connections that are there, and nobody says so, make new ones and miss nothing', async ({ two: [a, b] }) => {
    const tail = await b.follow()
    say(a, 0, 10)
    await tail.until((one) => numbers(one).length === 10)
    b.relay.silence()
    say(a, 10, 60)
    say(b, 60, 70)
    const began = performance.now()
    await tail.until((one) => numbers(one).length === 70)
    const ms = performance.now() - began

    expect(numbers(tail).slice(0, 60)).toEqual(upTo(60))
    expect(new Set(numbers(tail))).toEqual(new Set(upTo(70)))
    expect(tail.of('gap')).toEqual([])
    expect(ms).toBeLessThan(10_000)
  })

  test('is away for too long give up the oldest, count them, and say so', async ({ two: [a, b], redis }) => {
    const tail = await b.follow()
    await redis.kill()
    await expect.poll(() => a.app.health.report().status).toBe('degraded')
    for (let i = 0; i < 30_000; i += 500) {
      say(a, i, i + 500)
      await new Promise((resolve) => { setImmediate(resolve) })
    }
    const lost = await metric(a.app, 'muxi_api_events_lost_total', 'logs')
    await redis.start()
    await tail.until((one) => numbers(one).at(-1) === 29_999)
    const got = numbers(tail)

    expect(lost).toBeGreaterThanOrEqual(10_000)
    expect(lost).toBeLessThan(15_000)
    expect(got).toEqual([...got].sort((x, y) => x - y))
    await expect.poll(() => a.lines.all).toContainEqual(expect.objectContaining({ message: 'events were given up while they could not be published', topic: 'logs', events: lost }))
  })

  test('takes the same event at both publish it once', async ({ two: [a, b] }) => {
    const tails = await Promise.all([a, b].map(async (instance) => await instance.follow('traces')))
    const span = (name: string) => ({ timestamp: new Date().toISOString(), traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', name, duration: 1, status: 'ok' as const, service: 'test' })
    for (let i = 0; i < 50; i++) for (const { app } of [a, b]) app.events.publish('traces', span(`span ${i}`), { once: `span ${i}` })
    for (const { app } of [a, b]) app.events.publish('traces', span('end'))
    for (const tail of tails) await tail.until(({ seen }) => seen.filter(({ data }) => data.name === 'end').length === 2)

    for (const tail of tails) expect(tail.of('trace').map(({ data }) => data.name).filter((name) => name !== 'end').sort()).toEqual(Array.from({ length: 50 }, (_, i) => `span ${i}`).sort())
  })

  test('keeps less than one of them has missed tell its clients how much', async ({ two: [a, b] }) => {
    const [near, far] = [await a.follow(), await b.follow()]
    say(a, 0, 10)
    await far.until((one) => numbers(one).length === 10)
    b.relay.silence()
    for (let i = 10; i < 3_010; i += 500) {
      say(a, i, i + 500)
      await near.until((one) => numbers(one).length === i + 500)
    }
    await far.until((one) => numbers(one).at(-1) === 3_009)
    const got = numbers(far)
    const [gap, ...more] = far.of('gap').map(({ data }) => data)

    expect(more).toEqual([])
    expect(gap).toMatchObject({ reason: 'trimmed' })
    expect(got).toEqual([...upTo(10), ...upTo(3_010).slice(-(got.length - 10))])
    expect(got.length - 10).toBeLessThanOrEqual(1_000)
    // The count is of all events, those that its filter leaves out as well.
    expect(gap!.count).toBeGreaterThanOrEqual(3_010 - got.length)
  })
})
