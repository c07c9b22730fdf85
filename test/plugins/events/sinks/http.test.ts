import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { expect, test as base } from 'vitest'
import { createHttpSink } from '../../../../plugins/events/sinks/http.ts'
import type { Sink } from '../../../../plugins/events/sinks/sink.ts'
import { complaints, line, span } from './inputs.ts'

interface Batch { headers: IncomingHttpHeaders, lines: { n?: number, lost?: number, topic: string }[], at: number, path: string }
interface Collector { url: string, batches: Batch[], taken: () => number[], answer: (res: ServerResponse, req: IncomingMessage) => void, stop: () => Promise<void> }
interface Opened extends Sink { lost: number, said: ReturnType<typeof complaints>['said'] }
interface Fixtures { collector: Collector, open: (options?: { key?: string, url?: string, times?: object, level?: 'trace' | 'error' }) => Opened }

const fast = { lingerMs: 20, retryMs: 10, mostRetryMs: 40, answerMs: 500, closeMs: 500 }

const test = base.extend<Fixtures>({
  collector: async ({}, use) => {
    const server = createServer((req, res) => {
      const pieces: Buffer[] = []
      req.on('data', (piece: Buffer) => { pieces.push(piece) })
      req.on('error', () => {})
      req.on('end', () => {
        const lines = gunzipSync(Buffer.concat(pieces)).toString().trimEnd().split('\n').map((text) => JSON.parse(text) as Batch['lines'][number])
        collector.batches.push({ headers: req.headers, lines, at: performance.now(), path: req.url! })
        collector.answer(res, req)
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const collector: Collector = {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/ingest?token=of-the-url`,
      batches: [],
      taken: () => [...new Map(collector.batches.map(({ headers, lines }) => [headers['idempotency-key'], lines])).values()].flatMap((lines) => lines.flatMap(({ n = -1 }) => n < 0 ? [] : [n])),
      answer: (res) => { res.writeHead(202).end('taken') },
      stop: async () => {
        server.closeAllConnections()
        if (server.listening) await new Promise((resolve) => { server.close(resolve) })
      }
    }
    await use(collector)
    await collector.stop()
  },
  open: async ({ collector }, use) => {
    const opened: Sink[] = []
    await use(({ key, url = collector.url, times, level = 'trace' } = {}) => {
      const { log, said } = complaints()
      const sink = createHttpSink({ tracing_external_sink: url, tracing_external_key: key, tracing_level: level }, { log, onLost: (events) => { own.lost += events }, times: { ...fast, ...times } })
      const own: Opened = { ...sink, lost: 0, said }
      opened.push(sink)
      return own
    })
    for (const sink of opened) await sink.close()
  }
})

const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index)

test('events go out in one batch, as lines of JSON, with the key', async ({ collector, open }) => {
  const sink = open({ key: 'of-the-collector' })
  sink.write('logs', line({ n: 0 }))
  sink.write('traces', span({ n: 1 }))
  await expect.poll(() => collector.batches.length).toBe(1)

  expect(collector.batches[0]).toMatchObject({
    path: '/ingest?token=of-the-url',
    lines: [{ n: 0, topic: 'logs' }, { n: 1, topic: 'traces' }],
    headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip', authorization: 'Bearer of-the-collector', 'idempotency-key': expect.stringMatching(/^[0-9a-f-]{36}$/) }
  })
})

test('name and password of the address are sent as such', async ({ collector, open }) => {
  const sink = open({ url: collector.url.replace('//', '//ada:p%40ss@') })
  sink.write('logs', line({ n: 0 }))
  await expect.poll(() => collector.batches.length).toBe(1)

  expect(collector.batches[0]!.headers.authorization).toBe(`Basic ${Buffer.from('ada:p@ss').toString('base64')}`)
})

test('what is below the level stays here', async ({ collector, open }) => {
  const sink = open({ level: 'error' })
  sink.write('logs', line({ n: 0 }))
  sink.write('traces', span({ n: 1 }))
  sink.write('traces', span({ n: 2, status: 'error' }))
  await expect.poll(() => collector.taken()).toEqual([2])
})

test('a full batch does not wait, and a close sends the rest', async ({ collector, open }) => {
  const sink = open({ times: { lingerMs: 60_000 } })
  for (const n of upTo(2_500)) sink.write('logs', line({ n }))
  await expect.poll(() => collector.batches.length).toBe(2)
  await sink.close()

  expect(collector.batches.map(({ lines }) => lines.length)).toEqual([1_000, 1_000, 500])
  expect(collector.taken()).toEqual(upTo(2_500))
})

test('a batch is no larger than 1 MiB and an event', async ({ collector, open }) => {
  const sink = open()
  for (const n of upTo(30)) sink.write('logs', line({ n, text: 'x'.repeat(100_000) }))
  await expect.poll(() => collector.taken()).toEqual(upTo(30))

  expect(Math.max(...collector.batches.map(({ lines }) => lines.length))).toBe(11)
})

test.for([500, 503, 429, 408])('a batch that is answered with %i is sent again, as the same batch', async (status, { collector, open }) => {
  let failures = 3
  collector.answer = (res) => { res.writeHead(failures-- > 0 ? status : 200).end() }
  const sink = open()
  sink.write('logs', line({ n: 0 }))
  await expect.poll(() => collector.batches.length).toBe(4)
  sink.write('logs', line({ n: 1 }))

  await expect.poll(() => collector.taken()).toEqual([0, 1])
  expect(new Set(collector.batches.map(({ headers }) => headers['idempotency-key'])).size).toBe(2)
  expect(sink).toMatchObject({ lost: 0, said: [{ message: 'the collector does not take events', facts: { status, times: 1 } }] })
})

test('a collector that cuts connections, or never answers, gets the batch when it is well again', async ({ collector, open }) => {
  const bad: Collector['answer'][] = [(_, req) => { req.socket.destroy() }, () => {}, (res) => { res.writeHead(200, { 'content-length': 10 }); res.flushHeaders(); res.destroy() }]
  collector.answer = (res, req) => { (bad.shift() ?? ((well: ServerResponse) => { well.end() }))(res, req) }
  const sink = open({ times: { answerMs: 100 } })
  for (const n of upTo(10)) sink.write('logs', line({ n }))

  await expect.poll(() => collector.batches.length).toBeGreaterThanOrEqual(3)
  expect(collector.taken()).toEqual(upTo(10))
  expect(sink.lost).toBe(0)
})

test('Retry-After is heeded', async ({ collector, open }) => {
  const answers = [429, 200]
  collector.answer = (res) => { res.writeHead(answers.shift()!, { 'retry-after': '1' }).end() }
  const sink = open()
  sink.write('logs', line({ n: 0 }))
  await expect.poll(() => collector.batches.length).toBe(2)

  expect(collector.batches[1]!.at - collector.batches[0]!.at).toBeGreaterThan(990)
})

test.for([400, 401, 413, 302])('a batch that is refused with %i is counted, and the next one tells of it', async (status, { collector, open }) => {
  collector.answer = (res) => { res.writeHead(status).end() }
  const sink = open({ key: 'of-the-collector' })
  for (const n of upTo(5)) sink.write('logs', line({ n }))
  await expect.poll(() => sink.lost).toBe(5)
  collector.answer = (res) => { res.end() }
  sink.write('logs', line({ n: 5 }))
  await expect.poll(() => collector.batches.length).toBe(2)

  expect(collector.batches[1]!.lines).toMatchObject([{ level: 'warn', lost: 5 }, { n: 5 }])
  expect(sink.said).toMatchObject([{ message: 'events are lost: the collector refuses them', facts: { status, times: 5 } }])
})

test('a batch at which the collector always fails is given up at last', async ({ collector, open }) => {
  collector.answer = (res) => { res.writeHead(collector.batches.at(-1)!.lines[0]!.n === 0 ? 500 : 200).end() }
  const sink = open({ times: { retryMs: 1, mostRetryMs: 2 } })
  sink.write('logs', line({ n: 0 }))
  await expect.poll(() => sink.lost).toBe(1)
  sink.write('logs', line({ n: 1 }))

  await expect.poll(() => collector.batches.at(-1)!.lines).toMatchObject([{ lost: 1 }, { n: 1 }])
  expect(collector.batches).toHaveLength(11)
})

test('while nobody listens the newest 50,000 are held, and what is left out is counted and told', async ({ collector, open }) => {
  const { answer } = collector
  collector.answer = (res) => { res.writeHead(503).end() }
  const sink = open()
  for (const n of upTo(60_000)) sink.write('logs', line({ n }))
  await expect.poll(() => collector.batches.length).toBeGreaterThan(0)
  collector.answer = answer
  await expect.poll(() => collector.taken().at(-1)).toBe(59_999)

  // A tenth of what is held goes at once.
  expect(sink.lost).toBeGreaterThanOrEqual(10_000)
  expect(sink.lost).toBeLessThan(15_100)
  const lines = collector.batches.filter(({ headers }, index) => headers['idempotency-key'] !== collector.batches[index + 1]?.headers['idempotency-key']).flatMap(({ lines }) => lines)
  expect(lines.reduce((sum, { lost = 1 }) => sum + lost, 0)).toBe(60_000)
})

test('a close waits for a collector that fails, but not for ever; what it did not take is counted, and nothing said names a secret', async ({ collector, open }) => {
  await collector.stop()
  const sink = open({ key: 'of-the-collector', url: collector.url.replace('//', '//ada:of-ada@') })
  for (const n of upTo(1_500)) sink.write('logs', line({ n }))
  const began = performance.now()
  await sink.close()

  expect(performance.now() - began).toBeGreaterThan(400)
  expect(performance.now() - began).toBeLessThan(3_000)
  expect(sink.lost).toBe(1_500)
  expect(JSON.stringify(sink.said)).toContain('ECONNREFUSED')
  expect(JSON.stringify(sink.said)).not.toMatch(/of-the-collector|of-the-url|of-ada|ingest/)
})

test('nothing is taken after a close, which may be called twice', async ({ collector, open }) => {
  const sink = open()
  await sink.close()
  sink.write('logs', line({ n: 0 }))
  await sink.close()

  expect(collector.batches).toEqual([])
})
