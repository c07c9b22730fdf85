import { connect } from 'node:net'
import { describe, expect } from 'vitest'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ConnectionList } from '../../schemas/connections.ts'
import { as, test as base } from '../app.ts'

const at = '/api/v1/system/connections'
const list = async (app: FastifyInstance, query = '') => (await app.inject({ url: `${at}${query}`, headers: as('admin') })).json<ConnectionList>()
const close = async (app: FastifyInstance, id: string) => await app.inject({ method: 'DELETE', url: `${at}/${id}`, headers: as('admin') })
const openMetric = async (app: FastifyInstance) => /^muxi_api_sse_streams\{kind="chat_stream"\} (\d+)$/m.exec(await app.metrics.registry.metrics())?.[1]

/** Opens a chat that its Core leaves silent after the start; what is left of it is read by `text`. */
const test = base.extend<{ chat: () => Promise<Response> }>({
  chat: async ({ core, url }, use) => {
    core.fail({ path: '/v1/chat', silent: true })
    const leaving = new AbortController()
    await use(async () => await fetch(`${url}/api/v1/chat/stream`, {
      method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: JSON.stringify({ content: 'Hi' }), signal: leaving.signal
    }))
    leaving.abort()
  }
})

test('connection_list shows the open streams, oldest first, page by page', async ({ app, chat }) => {
  await chat()
  await chat()
  await chat()
  const first = await list(app, '?limit=2')
  const second = await list(app, `?limit=2&after=${first.next_after}`)
  const [one] = first.connections

  expect(one).toEqual({
    id: expect.stringMatching(/^con_/), kind: 'chat_stream', instance: app.cluster.id, key: expect.stringMatching(/^[\w-]{12}$/), address: '127.0.0.1', since: expect.any(String), events: expect.any(Number), bytes: expect.any(Number)
  })
  expect([first.connections.length, first.total, second.connections.length, second.total, second.next_after, second.silent]).toEqual([2, 3, 1, 3, null, []])
  expect(new Set([...first.connections, ...second.connections].map(({ id }) => id)).size).toBe(3)
})

test('connection_list finds by kind and by key', async ({ app, chat }) => {
  await chat()
  const { connections: [{ key } = { key: '' }] } = await list(app)
  const totals = await Promise.all(['?kind=chat_stream', '?kind=log_stream', `?key=${key}`, '?key=other'].map(async (query) => (await list(app, query)).total))

  expect(totals).toEqual([1, 0, 1, 0])
})

test('events and bytes are those that were written', async ({ app, core, url }) => {
  const chat = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: JSON.stringify({ content: '[fake: tokens=20 delay_ms=50]' }) })
  await expect.poll(async () => (await list(app)).connections[0]?.events, { interval: 10 }).toBeGreaterThan(5)
  const { connections: [{ events, bytes } = { events: 0, bytes: 0 }] } = await list(app)
  const text = await chat.text()
  const written = text.slice(text.indexOf('\n\n') + 2).split(/(?<=\n\n)/).slice(0, events).join('')

  expect(core.calls.length).toBeGreaterThan(0)
  expect(bytes).toBe(Buffer.byteLength(written))
})

test('connection_close ends a stream with an error that says so, and the Core\'s work; it is audited', async ({ app, core, chat }) => {
  const stream = await chat()
  await expect.poll(async () => (await list(app)).total).toBe(1)
  const { connections: [{ id } = { id: '' }] } = await list(app)
  const res = await close(app, id)
  const text = await stream.text()
  const { events } = (await app.inject({ url: '/api/v1/system/audit?event=admin_change', headers: as('admin') })).json<{ events: object[] }>()

  expect([res.statusCode, res.json()]).toEqual([200, { status: 'closed' }])
  expect(text).toMatch(/event: error\ndata: \{"error":\{"code":"forbidden","message":"an admin closed this stream"/)
  await expect.poll(() => core.calls.filter(({ path }) => path === '/v1/chat').map(({ aborted }) => aborted)).toEqual([true])
  expect(events).toMatchObject([{ operation: 'connection_close', path: `${at}/${id}` }])
  expect([(await list(app)).total, await openMetric(app)]).toEqual([0, '0'])
})

test('connection_close cuts a stream whose client does not read', async ({ app, url }) => {
  const body = JSON.stringify({ content: '[fake: tokens=100000]' })
  const socket = connect(Number(new URL(url).port), '127.0.0.1').pause()
  socket.write(`POST /api/v1/chat/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${as('user').authorization}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  let [bytes, still] = [-1, 0]
  // Until it is held up by its client for sure, and not by a busy machine.
  await expect.poll(async () => {
    const before = bytes
    bytes = app.connections.list()[0]?.bytes ?? -1
    still = bytes === before && bytes > 0 ? still + 1 : 0
    return still >= 4
  }, { interval: 500, timeout: 40_000 }).toBe(true)
  await close(app, app.connections.list()[0]!.id)

  await expect.poll(async () => await new Promise((resolve) => { app.server.getConnections((_, count) => { resolve(count) }) }), { timeout: 5_000 }).toBe(0)
  expect(app.connections.count()).toBe(0)
  socket.destroy()
})

test('connection_close answers not_found for a stream that is not there', async ({ app }) => {
  const res = await close(app, 'con_nowhere')

  expect([res.statusCode, res.json()]).toMatchObject([404, { error: { code: 'not_found', message: 'no open stream con_nowhere' } }])
})

test('system_status_get and the metrics count open streams by kind', async ({ app, chat }) => {
  await chat()
  const { remove } = app.connections.add({ caller: { keyDigest: 'ada' }, ip: '203.0.113.7' } as FastifyRequest, { kind: 'log_stream', look: () => ({ events: 0, bytes: 0 }), end: () => {} })
  const status = async () => (await app.inject({ url: '/api/v1/system/status', headers: as('admin') })).json<object>()
  const open = [await status(), await openMetric(app)]
  remove()

  expect(open).toMatchObject([{ active_connections: 2, connections: { log_stream: 1, trace_stream: 0, chat_stream: 1 } }, '1'])
  expect(await status()).toMatchObject({ active_connections: 1, connections: { log_stream: 0 } })
})

describe('with one stream for each key', () => {
  test.override({ settings: { MUXI_API_STREAMS_PER_CALLER: '1' } })

  test('chats are free, and a refused log stream is counted', async ({ app, chat }) => {
    const statuses = [(await chat()).status, (await chat()).status]
    const add = () => app.connections.add({ caller: { keyDigest: 'ada' }, ip: '203.0.113.7' } as FastifyRequest, { kind: 'log_stream', look: () => ({ events: 0, bytes: 0 }), end: () => {} })
    add()

    expect(statuses).toEqual([200, 200])
    expect(add).toThrow(expect.objectContaining({ code: 'rate_limited' }))
    expect(await app.metrics.registry.metrics()).toContain('muxi_api_rate_limited_total{scope="streams"} 1')
  })
})
