import { setTimeout as sleep } from 'node:timers/promises'
import { expect, vi } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as, test as base } from '../app.ts'
import { Tail } from '../plugins/events/tail.ts'

const heartbeatMs = 200
// Not an override: files share the module of the fixtures.
const test = base.extend({ settings: { MUXI_API_RATE_LIMIT: '0', MUXI_API_STREAM_RATE: '0', MUXI_API_STREAM_HEARTBEAT_MS: String(heartbeatMs), MUXI_API_STREAMS_PER_CALLER: '2000' } })

const logs = (url: string, query = '') => `${url}/api/v1/logs/stream?service=test${query}`
const lookMs = 50
const hourMs = 3_600_000

function say (app: FastifyInstance, message: string, timestamp = new Date().toISOString()): void {
  app.events.publish('logs', { timestamp, level: 'info', message, service: 'test' })
}

/** How often what the instances share was looked at from now on; it takes as long as over a busy network. */
function looksOf ({ cluster }: FastifyInstance): () => number {
  let count = 0
  const { look } = cluster
  cluster.look = async (...args) => {
    count++
    await sleep(lookMs)
    return await look(...args)
  }
  return () => count
}

/** An id from which each of many goes on. */
async function idOfOne (app: FastifyInstance, url: string): Promise<string> {
  const tail = await Tail.open(logs(url), as('admin'))
  say(app, 'first')
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()
  return tail.seen[0]!.id
}

test.for([['who are new', ''], ['who come back', 'id'], ['who come back from a history that was lost', 'lost'], ['who ask for what is kept', 'from']] as const)('of a thousand %s at the same moment each gets every event, and what the instances share is looked at a few times', { timeout: 120_000 }, async ([, how], { app, url }) => {
  const id = await idOfOne(app, url)
  for (let i = 0; i < 20; i++) say(app, `missed ${i}`)
  await expect.poll(async () => (await app.cluster.look('logs', { from: -100, most: 100 })).entries.filter(({ item }) => item.text.includes('missed')).length).toBe(20)
  const looks = looksOf(app)
  const began = performance.now()
  const query = { '': '', id: `&lastEventId=${id}`, lost: '&lastEventId=another00000.5.abcdefgh', from: `&from=${new Date(0).toISOString()}` }[how]
  const tails = await Promise.all(Array.from({ length: 1_000 }, async () => await Tail.open(logs(url, query), as('admin'))))
  const [looked, ms] = [looks(), performance.now() - began]
  say(app, 'live')
  const others = await app.inject({ url: '/health/ready' })
  for (const tail of tails) await tail.until(({ seen }) => seen.at(-1)?.data.message === 'live')
  for (const tail of tails) tail.close()
  await expect.poll(() => app.connections.count()).toBe(0)

  const missed = Array.from({ length: 20 }, (_, i) => `missed ${i}`)
  const expected = { '': ['live'], id: [...missed, 'live'], lost: ['live'], from: ['first', ...missed, 'live'] }[how]
  expect(new Set(tails.map((tail) => JSON.stringify([tail.status, tail.of('gap').map(({ data }) => data.reason), tail.messages()]))))
    .toEqual(new Set([JSON.stringify([200, how === 'lost' ? ['epoch'] : [], expected])]))
  expect(others.statusCode).toBe(200)
  // One at a time: those that come meanwhile share the next. The streams look by themselves, too, twice a second.
  expect(looked).toBeLessThan(10 + 2 * ms / lookMs)
})

test('one stream too many is refused with a time to come back, and all that are there stay', async ({ app, url }) => {
  app.config = { ...app.config, api: { ...app.config.api, streams_per_caller: 200 } }
  const tails = await Promise.all(Array.from({ length: 200 }, async () => await Tail.open(logs(url), as('admin'))))
  const refused = await Promise.all(Array.from({ length: 20 }, async () => await fetch(logs(url), { headers: as('admin') })))
  say(app, 'on')
  for (const tail of tails) await tail.until(({ seen }) => seen.length === 1)
  tails.pop()!.close()
  await expect.poll(() => app.connections.count()).toBe(199)
  const next = await Tail.open(logs(url), as('admin'))
  for (const tail of [...tails, next]) tail.close()

  expect(new Set(refused.map(({ status, headers }) => `${status} ${headers.get('retry-after')} ${headers.get('content-type')}`))).toEqual(new Set(['429 30 application/json; charset=utf-8']))
  expect(tails.every(({ seen }) => seen.every(({ event }) => event === 'log'))).toBe(true)
  expect(next.status).toBe(200)
})

test('events whose clocks are an hour off keep their place, and ids go up', async ({ app, url }) => {
  const tail = await Tail.open(logs(url), as('admin'))
  const at = (ms: number) => new Date(Date.now() + ms).toISOString()
  say(app, 'now')
  say(app, 'ahead', at(hourMs))
  say(app, 'back', at(-hourMs))
  say(app, 'now again')
  await tail.until(({ seen }) => seen.length === 4)
  tail.close()
  const again = await Tail.open(logs(url), { ...as('admin'), 'last-event-id': tail.seen[1]!.id })
  await again.until(({ seen }) => seen.length === 2)
  again.close()
  const numbers = tail.seen.map(({ id }) => Number(id.split('.')[1]))

  expect(tail.messages()).toEqual(['now', 'ahead', 'back', 'now again'])
  expect(numbers).toEqual(numbers.map((_, i) => numbers[0]! + i))
  expect(again.messages()).toEqual(['back', 'now again'])
})

test.for([['ahead', hourMs], ['back', -hourMs]] as const)('a clock that steps an hour %s ends no stream, and neither events nor signs of life wait for it', async ([, step], { app, url }) => {
  app.config = { ...app.config, api: { ...app.config.api, stream_life_ms: hourMs / 2, stream_stall_ms: hourMs / 2 } }
  const tail = await Tail.open(logs(url), as('admin'))
  say(app, 'before')
  await tail.until(({ seen }) => seen.length === 1)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + step })
  try {
    say(app, 'after')
    await tail.until(({ seen }) => seen.length === 2)
    const signs = () => tail.text.split(/^:$/m).length
    const before = signs()
    await tail.until(() => signs() > before + 2)
    const again = await Tail.open(logs(url), { ...as('admin'), 'last-event-id': tail.seen[0]!.id })
    await again.until(({ seen }) => seen.length === 1)
    again.close()
    const order = app.connections.list().map(({ id }) => id)

    expect(again.messages()).toEqual(['after'])
    expect(order).toEqual([...order].sort())
    expect(tail.ended).toBe(false)
  } finally {
    vi.useRealTimers()
    tail.close()
  }
  expect(tail.messages()).toEqual(['before', 'after'])
})
