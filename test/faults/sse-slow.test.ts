import { once } from 'node:events'
import { connect } from 'node:http2'
import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as, test as base } from '../app.ts'
import { Tail } from '../plugins/events/tail.ts'
import { tls } from './server.ts'
import { endsOf, Reader } from './stream-reader.ts'

const mebibyte = 1_048_576
/** More than the kernels take for one connection: what is beyond must wait in the server, or be left out. */
const long = 'x'.repeat(8_000)

const test = base.extend<{ streams: string }>({
  streams: async ({ url }, use) => { await use(`${url}/api/v1/logs/stream?service=test`) }
})
const settings = { MUXI_API_RATE_LIMIT: '0', MUXI_API_STREAM_RATE: '0', MUXI_API_STREAM_HEARTBEAT_MS: '200' }
test.override({ settings })

function say (app: FastifyInstance, from: number, to: number, text = ''): void {
  for (let i = from; i < to; i++) app.events.publish('logs', { timestamp: new Date().toISOString(), level: 'info', message: `${i} ${text}`, service: 'test' })
}

/** Events in portions, as fast as somebody who reads can follow. */
async function sayAll (app: FastifyInstance, follower: Tail, total: number, each: () => void = () => {}): Promise<void> {
  for (let i = 0; i < total; i += 200) {
    say(app, i, i + 200, long)
    await follower.until(({ seen }) => numberOf(seen.at(-1)?.data) === i + 199)
    each()
  }
}

const numberOf = (data: Record<string, unknown> | undefined) => data === undefined ? -1 : Number.parseInt(String(data.message))
const numbers = ({ seen }: Pick<Reader, 'seen'>) => seen.filter(({ event }) => event === 'log').map(({ data }) => numberOf(data))
const upTo = (end: number, from = 0) => Array.from({ length: end - from }, (_, i) => from + i)
const set = (app: FastifyInstance, settings: object) => { app.config = { ...app.config, api: { ...app.config.api, ...settings } } }

test('a client that never reads costs less than a mebibyte, and nobody else an event', async ({ app, streams }) => {
  const endOf = endsOf(app)
  const [quick, slow] = [await Tail.open(streams, as('admin')), await Reader.open(streams)]
  let most = 0
  await sayAll(app, quick, 3_000, () => { most = Math.max(most, endOf(slow).writableLength) })
  quick.close()
  slow.close()

  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThan(mebibyte)
  expect(numbers(quick)).toEqual(upTo(3_000))
  expect(quick.of('gap')).toEqual([])
})

test('a client that takes nothing for too long is cut at once, and its last words do not wait for it', async ({ app, streams }) => {
  const endOf = endsOf(app)
  set(app, { stream_stall_ms: 1_000 })
  const [quick, slow] = [await Tail.open(streams, as('admin')), await Reader.open(streams)]
  const end = endOf(slow)
  await sayAll(app, quick, 2_000)
  await expect.poll(() => app.connections.count('log_stream')).toBe(1)
  const left = end.destroyed
  slow.read()
  await slow.until(({ ended }) => ended)
  quick.close()

  expect(left).toBe(true)
  expect(slow.seen.filter(({ event }) => event === 'end')).toEqual([])
})

test.for([['an admin closes it', 'closed'], ['its server stops', 'shutdown']] as const)('a client that takes nothing goes at once when %s', async ([, reason], { app, streams }) => {
  const endOf = endsOf(app)
  const [quick, slow] = [await Tail.open(streams, as('admin')), await Reader.open(streams)]
  const end = endOf(slow)
  await sayAll(app, quick, 2_000)
  quick.close()
  await expect.poll(() => app.connections.list()).toHaveLength(1)
  const waiting = end.writableLength
  if (reason === 'closed') await app.connections.close(app.connections.list()[0]!.id)
  else await app.connections.drain(0)
  await expect.poll(() => end.destroyed).toBe(true)
  slow.close()

  expect(waiting).toBeGreaterThan(0)
})

test('a client that reads on after a pause is told exactly what it has missed, and misses nothing else', async ({ app, streams }) => {
  const [quick, slow] = [await Tail.open(streams, as('admin')), await Reader.open(streams)]
  await sayAll(app, quick, 3_000)
  slow.read()
  await slow.until(({ seen }) => numberOf(seen.at(-1)?.data) === 2_999)
  say(app, 3_000, 3_010)
  await slow.until(({ seen }) => numberOf(seen.at(-1)?.data) === 3_009)
  quick.close()
  slow.close()
  let next = 0
  for (const { event, data } of slow.seen) {
    if (event === 'log') expect(numberOf(data)).toBe(next++)
    else next += Number(data.count)
  }

  expect(next).toBe(3_010)
  expect(slow.seen.filter(({ event }) => event === 'gap').map(({ data }) => data.reason)).toEqual(['slow'])
})

test('a client that is further behind than the settings allowed when the server started is told so', async ({ app, streams }) => {
  const [quick, slow] = [await Tail.open(streams, as('admin')), await Reader.open(streams)]
  // As a reload does.
  set(app, { stream_buffer: 100_000 })
  await sayAll(app, quick, 6_000)
  slow.read()
  await slow.until(({ seen }) => numberOf(seen.at(-1)?.data) === 5_999)
  quick.close()
  slow.close()

  expect(slow.seen.some(({ event, data }) => event === 'gap' && data.reason === 'slow')).toBe(true)
})

test.for(['close', 'reset'] as const)('a client that leaves with a %s is let go of, and so are a hundred at once', async (how, { app, streams }) => {
  const readers = await Promise.all(Array.from({ length: 100 }, async () => await Reader.open(streams)))
  const during = app.connections.count('log_stream')
  for (const reader of readers) reader[how]()
  await expect.poll(() => app.connections.count('log_stream')).toBe(0)
  say(app, 0, 10)

  expect(during).toBe(100)
  expect((await app.inject({ url: '/health/ready' })).statusCode).toBe(200)
})

test('a request whose body has ended is a stream that goes on, until its client leaves', async ({ app, streams }) => {
  const reader = await Reader.open(streams, '{}')
  reader.read()
  await reader.until(({ text }) => text.split(':\n').length > 3)
  say(app, 0, 1)
  await reader.until(({ seen }) => seen.length === 1)
  const during = app.connections.count('log_stream')
  reader.close()
  await expect.poll(() => app.connections.count('log_stream')).toBe(0)

  expect(during).toBe(1)
})

describe('over HTTP/2', () => {
  test.override({ settings: { ...settings, ...tls } })

  test('a client that does not take its last words is cut, and the server goes on', async ({ app, streams }) => {
    set(app, { stream_stall_ms: 1_000 })
    // It takes a thousand bytes and no more. What waits is too little for the server to stop writing.
    const session = connect(streams, { rejectUnauthorized: false, settings: { initialWindowSize: 1_000 } }).on('error', () => {})
    const stream = session.request({ ':path': '/api/v1/logs/stream?service=test', ...as('admin') }).on('error', () => {})
    await once(stream, 'response')
    say(app, 0, 1, long)
    await expect.poll(() => app.connections.list()[0]?.bytes).toBeGreaterThan(long.length)
    await app.connections.drain(0)
    await expect.poll(() => app.connections.count('log_stream')).toBe(0)
    const after = await app.inject({ url: '/health/ready' })
    session.destroy()

    expect(after.statusCode).toBe(200)
  })
})
