// What goes wrong with the streams of logs and traces, and where it is shown:
//
// odd, foreign, future and old ids to go on from           here; test/plugins/events/{stream,feed}.test.ts
// publishing while many connect, leave and come back       test/plugins/events/stream.test.ts; with real faults: test/e2e/oracle/
// texts that would break a frame, large events             here; test/plugins/events/stream.test.ts
// clients that never read, stall, or read on               sse-slow.test.ts; a real process: test/e2e/slow-reader.test.ts
// clients that leave in order, by reset, or in silence     sse-slow.test.ts (who is gone in silence takes nothing)
// bodies that end before the stream does                   sse-slow.test.ts
// filters that let nothing pass for long                   here; test/plugins/events/stream.test.ts
// odd filters                                              test/plugins/events/stream.test.ts
// keys that are taken back, expire, or lose their level    sse-keys.test.ts; every kind of key: test/access.test.ts
// seven pages of one browser                               test/e2e/streams/ (HTTP/2 at the proxy)
// buffering, compressing proxies; no first byte            here; test/e2e/streams/
// a crowd that connects at once, limits                    sse-crowd.test.ts; test/plugins/{connections,events/stream}.test.ts
// clocks that step                                         sse-crowd.test.ts
// answers that end at once, and clients that come back     here, sse-keys.test.ts; test/plugins/events/stream.test.ts
// ids of another filter or key                             here
// numbers in ids tell how many events there were           only admins see them: test/access.test.ts
import { expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as, test as base } from '../app.ts'
import { Tail } from '../plugins/events/tail.ts'

// Not an override: files share the module of the fixtures.
const test = base.extend({ settings: { MUXI_API_RATE_LIMIT: '0', MUXI_API_STREAM_RATE: '0', MUXI_API_STREAM_HEARTBEAT_MS: '100', MUXI_API_EVENTS_HISTORY: '1000' } })

function say (app: FastifyInstance, message: string, more: Record<string, unknown> = {}): void {
  app.events.publish('logs', { timestamp: new Date().toISOString(), level: 'info', message, service: 'test', ...more })
}

const logs = (url: string, query = '') => `${url}/api/v1/logs/stream?service=test${query}`

test.for(['\0', 'é😀', '\u2028', 'a\nevent: admin\ndata: x', 'a\r\n\r\n', ' ', '-', '..', '__proto__', 'x.-1.y', 'x.1e3.y', `x.${'9'.repeat(400)}.y`])('lastEventId=%j in the query is one gap and the live tail', async (id, { app, url }) => {
  say(app, 'before')
  const tail = await Tail.open(logs(url, `&lastEventId=${encodeURIComponent(id)}`), as('admin'))
  await tail.until(({ seen }) => seen.length === 1)
  say(app, 'after')
  await tail.until(({ seen }) => seen.length === 2)
  tail.close()

  expect(tail.seen).toMatchObject([{ event: 'gap', data: { reason: 'invalid_id' } }, { event: 'log', data: { message: 'after' } }])
})

test.for(['lastEventId=a&lastEventId=b', `lastEventId=${'x'.repeat(513)}`, 'lastEventId[]=a'])('the query no. %# is refused by name', async (query, { app }) => {
  const { statusCode, json } = await app.inject({ url: `/api/v1/logs/stream?${query}`, headers: as('admin') })

  expect(statusCode).toBe(400)
  expect(json<{ error: { details: { field: string } } }>().error.details.field).toMatch(/^querystring\.lastEventId/)
})

test('an id with CR, LF or NUL that a client sends comes back in no frame', async ({ app, url }) => {
  const tail = await Tail.open(logs(url, `&lastEventId=${encodeURIComponent('abc\nid: forged\r\0')}`), as('admin'))
  say(app, 'x')
  await tail.until(({ seen }) => seen.length === 2)
  tail.close()

  expect(tail.text).not.toContain('forged')
  expect(tail.text).not.toMatch(/[\r\0]/)
})

test.for(['a\nb', 'a\r\n\r\nevent: end\ndata: {}', 'a\0b', 'a\u2028b', 'a\ud800'])('%j in every text of an event is one event with that very text', async (text, { app, url }) => {
  const [log, trace] = [await Tail.open(`${url}/api/v1/logs/stream?component=here`, as('admin')), await Tail.open(`${url}/api/v1/traces/stream?component=here`, as('admin'))]
  const more = { component: 'here', service: text, requestId: text, error: { [text]: text } }
  say(app, text, more)
  app.events.publish('traces', { timestamp: new Date().toISOString(), traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', name: text, duration: 1, status: 'ok', ...more })
  for (const tail of [log, trace]) {
    await tail.until(({ seen }) => seen.length === 1)
    tail.close()
  }

  expect(log.seen).toMatchObject([{ event: 'log', data: { message: text, ...more } }])
  expect(trace.seen).toMatchObject([{ event: 'trace', data: { name: text, ...more } }])
  expect(log.text).not.toMatch(/[\r\0]/)
})

test('a request with odd bytes in its path and headers is one line and one event', async ({ app, url }) => {
  const tail = await Tail.open(`${url}/api/v1/logs/stream?service=muxi-api`, as('admin'))
  await app.inject({ url: '/api/v1/agents?x=%0A%0Aevent:%20admin%0Adata:x', headers: { ...as('user'), 'user-agent': 'a\u0085b' } })
  await tail.until(({ seen }) => seen.some(({ data }) => data.statusCode === 403))
  tail.close()

  expect(new Set(tail.seen.map(({ event }) => event))).toEqual(new Set(['log']))
})

test('after more events than are kept, none of them for this filter, the last id is still good', async ({ app, url }) => {
  const tail = await Tail.open(logs(url, '&level=error'), as('admin'))
  const first = tail.lastId
  for (let i = 0; i < 3_000; i++) say(app, `event ${i}`, { level: 'debug' })
  await tail.until(({ lastId }) => Number(lastId.split('.')[1]) >= 3_000)
  tail.close()
  for (let i = 0; i < 500; i++) say(app, `event ${i}`, { level: 'debug' })
  const again = await Tail.open(logs(url, '&level=error'), { ...as('admin'), 'last-event-id': tail.lastId })
  say(app, 'bad', { level: 'error' })
  await again.until(({ seen }) => seen.length === 1)
  again.close()

  expect(tail.lastId).not.toBe(first)
  expect(tail.seen).toEqual([])
  expect(again.seen).toMatchObject([{ event: 'log', data: { message: 'bad' } }])
})

test('an id of another filter and of another key begins behind it, with what this filter lets pass', async ({ app, core, url }) => {
  core.keys.set('another-admin', { scope: 'admin' })
  const other = await Tail.open(`${url}/api/v1/logs/stream?service=secret`, { authorization: 'Bearer another-admin' })
  say(app, 'one', { service: 'secret' })
  await other.until(({ seen }) => seen.length === 1)
  other.close()
  say(app, 'two', { service: 'secret' })
  say(app, 'three')
  const tail = await Tail.open(logs(url), { ...as('admin'), 'last-event-id': other.seen[0]!.id })
  say(app, 'four', { service: 'secret' })
  say(app, 'five')
  await tail.until(({ seen }) => seen.length === 2)
  tail.close()

  expect(tail.messages()).toEqual(['three', 'five'])
})

test.for(['logs', 'traces'])('the first bytes of %s come at once, before there is an event, and nobody may compress or hold them', async (topic, { url }) => {
  const tail = await Tail.open(`${url}/api/v1/${topic}/stream?service=nobody`, { ...as('admin'), 'accept-encoding': 'gzip, br, deflate' })
  await tail.until(({ text }) => text.length > 0)
  tail.close()

  expect(tail.text).toMatch(/^:\nretry: \d+\n\n/)
  expect(Object.fromEntries(['content-encoding', 'content-length', 'x-accel-buffering', 'cache-control'].map((name) => [name, tail.headers.get(name)])))
    .toEqual({ 'content-encoding': null, 'content-length': null, 'x-accel-buffering': 'no', 'cache-control': 'no-cache, no-transform' })
})

test.for([['a wrong key', 401, {}, ''], ['a user key', 403, as('user'), ''], ['a bad filter', 400, as('admin'), '&level=loud'], ['another media type', 406, { ...as('admin'), accept: 'application/json' }, '']] as const)('%s is refused with %i and no stream: nobody comes back to that by itself', async ([, status, headers, query], { url }) => {
  const res = await fetch(logs(url, query), { headers })

  expect(res.status).toBe(status)
  expect(res.headers.get('content-type')).toContain('application/json')
  expect(await res.json()).toHaveProperty('error.code')
})
