import { expect, type TestAPI } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as, sharedWith, test as alone } from '../../app.ts'
import { Tail } from './tail.ts'

/** Says things as a service of its own, and names the stream of what it says. */
interface Room { service: string, say: (message: string, more?: Record<string, unknown>) => void, kept: () => Promise<void>, logs: (query?: string) => string }

let rooms = 0
const withRoom = <T extends { app: FastifyInstance, url: string }>(base: TestAPI<T>) => base.extend<{ room: Room }>({
  room: async ({ app, url }: { app: FastifyInstance, url: string }, use: (room: Room) => Promise<void>) => {
    const service = `service-${++rooms}`
    await use({
      service,
      say: (message, more) => { app.events.publish('logs', { timestamp: new Date().toISOString(), level: 'info', message, service, ...more }) },
      kept: async () => { await app.events.history('logs').next() },
      logs: (query = '') => `${url}/api/v1/logs/stream?service=${service}${query}`
    })
  }
} as never)
/** One server for all tests but those that change its settings or end it. */
const test = withRoom(sharedWith())
const own = withRoom(alone.extend({ settings: { MUXI_API_RATE_LIMIT: '0' } }))

test('log_stream writes the event, the id and the data of each line, in that order', async ({ room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  room.say('User login successful', { traceId: '4bf92f3577b34da6a3ce929d0e0e4736' })
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()

  expect(tail.status).toBe(200)
  expect(tail.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(tail.headers.get('cache-control')).toBe('no-cache, no-transform')
  expect(tail.headers.get('x-accel-buffering')).toBe('no')
  expect(tail.headers.get('ratelimit-policy')).toContain('"events";q=100;w=1')
  expect(tail.retry).toBeGreaterThanOrEqual(2_000)
  expect(tail.text).toMatch(/event: log\nid: [\w-]+\.\d+\.[\w-]+\ndata: \{"timestamp":"[^"]+","level":"info","message":"User login successful","service":"service-\d+","traceId":"4bf92f3577b34da6a3ce929d0e0e4736"\}\n\n/)
})

test('a request appears in the log and in the traces under one trace id', async ({ app, url }) => {
  const [tail, spans] = [await Tail.open(`${url}/api/v1/logs/stream?operation=agent_list`, as('admin')), await Tail.open(`${url}/api/v1/traces/stream`, as('admin'))]
  const { headers } = await app.inject({ url: '/api/v1/agents', headers: as('admin') })
  const traceId = headers['x-trace-id']
  await tail.until(({ seen }) => seen.length === 1)
  await spans.until(({ seen }) => seen.some(({ data }) => data.operation === 'agent_list'))
  tail.close()
  spans.close()

  expect(tail.seen[0]!.data).toMatchObject({ message: 'request', service: 'muxi-api', traceId, operationId: 'agent_list', statusCode: 200 })
  expect(spans.seen.filter(({ data }) => data.traceId === traceId).map(({ data }) => data.component)).toEqual(expect.arrayContaining(['auth', 'core', 'http']))
})

test('a client that comes back gets what it missed, in order and once', async ({ room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  room.say('first')
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()
  for (let i = 0; i < 50; i++) room.say(`missed ${i}`)
  const again = await Tail.open(room.logs(), { ...as('admin'), 'last-event-id': tail.seen[0]!.id })
  room.say('live')
  await again.until(({ seen }) => seen.length === 51)
  again.close()

  expect(again.messages()).toEqual([...Array.from({ length: 50 }, (_, i) => `missed ${i}`), 'live'])
})

own('a client that comes back after more than the ring holds gets all that is kept', async ({ app, room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  room.say('first')
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()
  for (let i = 0; i < 4_000; i++) room.say(`missed ${i}`)
  app.config = { ...app.config, api: { ...app.config.api, stream_rate: 0 } }
  const again = await Tail.open(room.logs(), { ...as('admin'), 'last-event-id': tail.seen[0]!.id })
  await again.until(({ seen }) => seen.length >= 4_000)
  again.close()

  expect(again.messages()).toEqual(Array.from({ length: 4_000 }, (_, i) => `missed ${i}`))
})

own('who comes back after more than is kept is told how many are missing', async ({ app, room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  room.say('first')
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()
  app.config = { ...app.config, api: { ...app.config.api, stream_rate: 0 } }
  for (let i = 0; i < 12_000; i++) room.say(`missed ${i}`)
  const again = await Tail.open(room.logs(), { ...as('admin'), 'last-event-id': tail.seen[0]!.id })
  await again.until(({ seen }) => seen.length > 1 && seen.at(-1)!.data.message === 'missed 11999')
  again.close()
  const [gap, ...rest] = again.seen

  expect(gap).toMatchObject({ event: 'gap', data: { reason: 'trimmed', from: tail.seen[0]!.id } })
  expect(rest.map(({ data }) => data.message)).toEqual(Array.from({ length: rest.length }, (_, i) => `missed ${12_000 - rest.length + i}`))
})

test.for(['', 'abc', '-1', '1.5', '9'.repeat(400), '0-0', '%00', 'x.1.y', 'x'.repeat(100)])('the Last-Event-ID no. %# is a gap and the live tail', async (id, { room }) => {
  room.say('before')
  await room.kept()
  const tail = await Tail.open(room.logs(), { ...as('admin'), 'last-event-id': id })
  await tail.until(({ seen }) => seen.length === 1)
  room.say('after')
  await tail.until(({ seen }) => seen.length === 2)
  tail.close()

  expect(tail.of('gap')).toHaveLength(1)
  expect(['invalid_id', 'epoch']).toContain(tail.seen[0]!.data.reason)
  expect(tail.messages()).toEqual(['after'])
})

test('an id of the future and one of the other stream are a gap and the live tail', async ({ url, room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  room.say('one')
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()
  const id = tail.seen[0]!.id
  const future = await Tail.open(room.logs(), { ...as('admin'), 'last-event-id': id.replace(/\.\d+\./, '.999999.') })
  const other = await Tail.open(`${url}/api/v1/traces/stream`, { ...as('admin'), 'last-event-id': id })
  await future.until(({ seen }) => seen.length > 0)
  await other.until(({ seen }) => seen.length > 0)
  future.close()
  other.close()

  expect(future.seen[0]).toMatchObject({ event: 'gap', data: { reason: 'invalid_id' } })
  expect(other.seen[0]).toMatchObject({ event: 'gap', data: { reason: 'epoch' } })
})

test('a page may send the last id in the query, and a ticket', async ({ app, url, room }) => {
  room.say('one')
  await room.kept()
  const first = await Tail.open(room.logs(`&from=${new Date(0).toISOString()}`), as('admin'))
  await first.until(({ seen }) => seen.length === 1)
  first.close()
  room.say('two')
  const { ticket } = (await app.inject({ method: 'POST', url: '/api/v1/stream-tickets', headers: as('admin') })).json<{ ticket: string }>()
  const tail = await Tail.open(room.logs(`&lastEventId=${first.seen[0]!.id}&ticket=${ticket}`), {})
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()

  expect(tail.messages()).toEqual(['two'])
})

test('`from` begins with what was kept after that time', async ({ room }) => {
  const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()
  for (let i = 0; i < 10; i++) room.say(`event ${i}`, { timestamp: at(i) })
  const tail = await Tail.open(room.logs(`&from=${at(6)}`), as('admin'))
  await tail.until(({ seen }) => seen.length === 3)
  tail.close()

  expect(tail.messages()).toEqual(['event 7', 'event 8', 'event 9'])
})

own('filters combine, and the last id moves on past what they leave out', async ({ app, room }) => {
  app.config = { ...app.config, api: { ...app.config.api, stream_heartbeat_ms: 100 } }
  const tail = await Tail.open(room.logs('&level=warn'), as('admin'))
  const begin = tail.lastId
  room.say('a', { level: 'debug' })
  room.say('b', { level: 'error' })
  await tail.until(({ seen }) => seen.length === 1)
  room.say('c', { level: 'info' })
  await tail.until(({ lastId, seen }) => lastId !== seen[0]!.id && lastId !== begin)
  tail.close()
  for (let i = 0; i < 10; i++) room.say('d', { level: 'debug' })
  const again = await Tail.open(room.logs('&level=warn'), { ...as('admin'), 'last-event-id': tail.lastId })
  room.say('e', { level: 'warn' })
  await again.until(({ seen }) => seen.length === 1)
  again.close()

  expect(tail.messages()).toEqual(['b'])
  expect(again.messages()).toEqual(['e'])
})

test.for(['level=loud', 'level=', 'service=', `service=${'x'.repeat(10_000)}`, 'traceId=xyz', 'spanId=1', 'from=2023-13-99', 'from=9e99', 'limit=0', 'limit=1001', 'limit=1e3', 'level=info&level=warn', 'level[]=info', 'what=1'])('the filter no. %# is refused by name', async (query, { app }) => {
  const { statusCode, json } = await app.inject({ url: `/api/v1/logs/stream?${query}`, headers: as('admin') })

  expect(statusCode).toBe(400)
  expect(json().error.details.field).toBe(`querystring.${query.split(/[=[]/)[0]!}${query.includes('[]') ? '[]' : ''}`)
})

test('what looks like a regular expression is compared as it is', async ({ url, room }) => {
  const tail = await Tail.open(`${url}/api/v1/logs/stream?service=.*`, as('admin'))
  room.say('no')
  room.say('yes', { service: '.*' })
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()

  expect(tail.messages()).toEqual(['yes'])
})

test.for(['a\nb', 'a\rb', 'a\r\nb', 'a\n\nevent: admin\ndata:x', 'a\u2028b', 'a\0b', 'a\ud800b', 'é😀'])('the text %j is one event with that very text', async (text, { room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  room.say(text)
  room.say('end')
  await tail.until(({ seen }) => seen.length === 2)
  tail.close()

  expect(tail.messages()).toEqual([text, 'end'])
})

test('an event of a mebibyte is cut, and says so', async ({ room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  room.say('x'.repeat(1_048_576))
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()

  expect(tail.seen[0]!.data).toMatchObject({ truncated: true, service: room.service, level: 'info' })
  expect(String(tail.seen[0]!.data.message)).toHaveLength(8_192)
})

test('a client may read 100 events a second, and the gaps say exactly what was left out', async ({ room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  for (let i = 0; i < 3_000; i++) room.say(`event ${i}`)
  await tail.until(({ seen }) => seen.some(({ event }) => event === 'gap'))
  await tail.until(({ seen }) => seen.length > 150)
  tail.close()
  const numbers = tail.seen.map(({ event, data }) => event === 'gap' ? Number(data.count) : Number(String(data.message).slice(6)))
  const holes: number[] = []
  let next = 0
  tail.seen.forEach(({ event }, index) => {
    if (event === 'gap') {
      holes.push(numbers[index]!)
      next += numbers[index]!
    } else expect(numbers[index]).toBe(next++)
  })

  expect(tail.of('gap').every(({ data }) => data.reason === 'rate' || data.reason === 'slow')).toBe(true)
  expect(holes.reduce((a, b) => a + b, 0)).toBeGreaterThan(1_000)
})

own('of several gaps that a client is too far behind for it is told the one of another epoch', async ({ app, room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  for (let i = 0; i < 500; i++) room.say(`event ${i}`)
  await tail.until(({ seen }) => seen.length > 0)
  await room.kept()
  const { epoch } = await app.cluster.look('logs', { from: -1, most: 1 })
  await app.cluster.renew('logs', epoch)
  await room.kept()
  // More at once than is kept: the others cannot be read any more.
  await app.cluster.append('logs', { id: 'many', items: Array.from({ length: 20 }, () => ({ nonce: 'n', text: '{}' })) }, { most: 1, ttlMs: 60_000 })
  await room.kept()
  for (let i = 0; i < 3_000; i++) room.say(`later ${i}`)
  await tail.until(({ messages }) => messages.call(tail).some((message) => String(message).startsWith('later')))
  tail.close()

  expect(tail.of('gap').map(({ data }) => data.reason)[0]).toBe('epoch')
})

own('a client that reads is given all that comes at once, though it is more than it may be behind', async ({ app, room }) => {
  app.config = { ...app.config, api: { ...app.config.api, stream_rate: 0 } }
  const tail = await Tail.open(room.logs(), as('admin'))
  for (let i = 0; i < 1_900; i++) room.say(`line ${i}`)
  await tail.until(({ seen }) => seen.at(-1)?.data.message === 'line 1899')
  tail.close()

  expect(tail.of('gap')).toEqual([])
  expect(tail.messages()).toHaveLength(1_900)
})

own('the stream that is one too many is refused, and the others stay', async ({ app, url, room }) => {
  app.config = { ...app.config, api: { ...app.config.api, streams_per_caller: 2 } }
  const tails = [await Tail.open(room.logs(), as('admin')), await Tail.open(room.logs(), as('admin'))]
  const refused = await app.inject({ url: '/api/v1/logs/stream', headers: as('admin') })
  room.say('on')
  for (const tail of tails) {
    await tail.until(({ seen }) => seen.length === 1)
    tail.close()
  }

  expect(refused.statusCode).toBe(429)
  expect(refused.headers['retry-after']).toBeDefined()
})

own('a stream ends when its key is taken back, says so, and asks for a pause', async ({ app, core, url, room }) => {
  core.keys.set('sk_muxi_admin_other000000000000000000', { scope: 'admin' })
  const tail = await Tail.open(room.logs(), { authorization: 'Bearer sk_muxi_admin_other000000000000000000' })
  await app.inject({ method: 'POST', url: '/api/v1/auth/revocations', headers: as('admin'), payload: { key: 'sk_muxi_admin_other000000000000000000' } })
  await tail.until(({ ended }) => ended)

  expect(tail.seen).toMatchObject([{ event: 'end', data: { reason: 'unauthorized' } }])
  expect(tail.retry).toBeGreaterThanOrEqual(30_000)
})

own('a stream ends after its life, and asks its client to come back soon', async ({ app, room }) => {
  app.config = { ...app.config, api: { ...app.config.api, stream_life_ms: 100 } }
  const tail = await Tail.open(room.logs(), as('admin'))
  await tail.until(({ ended }) => ended)

  expect(tail.seen).toMatchObject([{ event: 'end', data: { reason: 'lifetime' } }])
  expect(tail.retry).toBeLessThanOrEqual(5_000)
})

own('a server that stops tells every stream', async ({ app, room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  await app.close()
  await tail.until(({ ended }) => ended)

  expect(tail.of('end')).toMatchObject([{ data: { reason: 'shutdown' } }])
})

own('the last id moves on past what came in one piece with an event, and is left out', async ({ app, room }) => {
  app.config = { ...app.config, api: { ...app.config.api, stream_heartbeat_ms: 100 } }
  const tail = await Tail.open(room.logs('&level=warn'), as('admin'))
  room.say('in', { level: 'warn' })
  room.say('out')
  await tail.until(({ seen, lastId }) => seen.length === 1 && lastId !== seen[0]!.id)
  tail.close()

  expect(tail.messages()).toEqual(['in'])
})

own('who comes back from before the first event is told no id that is ahead of what it was given', async ({ room }) => {
  const head = await Tail.open(room.logs(), as('admin'))
  room.say('one')
  room.say('two')
  await head.until(({ seen }) => seen.length === 2)
  head.close()
  const before = `${head.lastId.split('.')[0]}.0.-`
  const tail = await Tail.open(room.logs(), { ...as('admin'), 'last-event-id': before })
  await tail.until(({ seen }) => seen.length === 2)
  tail.close()

  expect(/^id: (.*)$/m.exec(tail.text)![1]).toBe(before)
  expect(tail.messages()).toEqual(['one', 'two'])
})

own('a silent stream gives a sign of life', async ({ app, url }) => {
  app.config = { ...app.config, api: { ...app.config.api, stream_heartbeat_ms: 100 } }
  const tail = await Tail.open(`${url}/api/v1/logs/stream?service=nobody`, as('admin'))
  const before = tail.text.length
  await tail.until(({ text }) => text.length > before + 2)
  tail.close()

  expect(tail.text).toMatch(/(?:^|\n):\n/)
})

test('a client that leaves is let go of', async ({ app, room }) => {
  const tail = await Tail.open(room.logs(), as('admin'))
  const open = () => app.connections.list().filter(({ filter }) => filter?.service === room.service).length
  const during = open()
  tail.close()
  await expect.poll(open).toBe(0)

  expect(during).toBe(1)
})

own('one hundred clients that connect, leave and come back at random have every event once', async ({ app, room }) => {
  app.config = { ...app.config, api: { ...app.config.api, stream_rate: 0, streams_per_caller: 1_000 } }
  let going = true
  const total = 600
  const one = async (seed: number) => {
    const got: unknown[] = []
    let last: string | undefined
    let state = seed + 1
    const random = () => { state = (state * 1_103_515_245 + 12_345) % 2_147_483_648; return state / 2_147_483_648 }
    while (got.at(-1) !== `event ${total - 1}`) {
      const tail = await Tail.open(room.logs(last === undefined ? `&from=${new Date(0).toISOString()}` : ''), { ...as('admin'), ...(last !== undefined && { 'last-event-id': last }) })
      const enough = got.length + 1 + Math.floor(random() * 200)
      await tail.until(({ seen }) => seen.length >= enough - got.length || seen.at(-1)?.data.message === `event ${total - 1}` || !going)
      tail.close()
      const seen = [...tail.seen]
      got.push(...seen.map(({ event, data }) => event === 'log' ? data.message : event))
      last = seen.at(-1)?.id ?? last
    }
    return got
  }
  const clients = Promise.all(Array.from({ length: 100 }, async (_, seed) => await one(seed)))
  for (let i = 0; i < total; i++) {
    room.say(`event ${i}`)
    if (i % 20 === 0) await new Promise((resolve) => { setTimeout(resolve, 5) })
  }
  const all = await clients
  going = false

  const expected = Array.from({ length: total }, (_, i) => `event ${i}`)
  for (const got of all) expect(got).toEqual(expected)
})
