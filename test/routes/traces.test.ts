import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import type { KeptTraceEvent, Trace, TraceEvent, TraceSearchResult } from '../../schemas/traces.ts'
import { as, test } from '../app.ts'

const base = Date.now() - 60_000
const one = '4bf92f3577b34da6a3ce929d0e0e4736'
const other = '4bf92f3577b34da6000000000000beef'
const at = (ms: number) => new Date(base + ms).toISOString()
const span = (number: number) => number.toString(16).padStart(16, '0')

interface List { events: KeptTraceEvent[], has_more: boolean, next_before: string | null }

/** Publishes spans under names of ours, in the order in which they end. */
function publish (app: FastifyInstance, ...spans: Partial<TraceEvent>[]): void {
  for (const more of spans) app.events.publish('traces', { timestamp: at(0), traceId: one, spanId: span(1), name: 'test.step', component: 'test', duration: 1, status: 'ok', ...more })
}

const get = async (app: FastifyInstance, path: string) => await app.inject({ url: `/api/v1${path}`, headers: as('admin') })
const list = async (app: FastifyInstance, query = '') => (await get(app, `/logs/trace?component=test${query}`)).json<List>()
const find = async (app: FastifyInstance, payload: object) => await app.inject({ method: 'POST', url: '/api/v1/logs/trace/search', headers: as('admin'), payload })

const three = [{ message: 'a', duration: 30 }, { timestamp: at(20), message: 'b', duration: 10 }, { timestamp: at(10), message: 'c', duration: 20 }]

describe('trace_list', () => {
  test('lists spans with their ids, the one that began last first', async ({ app }) => {
    publish(app, ...three)
    const { events, ...page } = await list(app)

    expect(events.map(({ message }) => message)).toEqual(['b', 'c', 'a'])
    expect(events[0]).toEqual({ id: expect.any(String), timestamp: at(20), traceId: one, spanId: span(1), name: 'test.step', component: 'test', message: 'b', duration: 10, status: 'ok' })
    expect(page).toEqual({ has_more: false, next_before: null })
  })

  test.for([['-timestamp', 'bca'], ['timestamp', 'acb'], ['-duration', 'acb']] as const)('shows all pages by %s', async ([sort, order], { app }) => {
    publish(app, ...three)
    let read = ''
    for (let before = ''; ;) {
      const { events, has_more: more, next_before: next } = await list(app, `&sort=${sort}&limit=1${before}`)
      read += events.map(({ message }) => message).join('')
      if (next === null) break
      expect(more).toBe(true)
      before = `&before=${next}`
    }

    expect(read).toBe(order)
  })

  test('links to the next page', async ({ app }) => {
    publish(app, ...three)
    const { headers } = await get(app, '/logs/trace?component=test&limit=2')
    const next = /<(\?[^>]+)>; rel="next"/.exec(String(headers.link))?.[1]

    expect((await get(app, `/logs/trace${next}`)).json<List>().events.map(({ message }) => message)).toEqual(['a'])
  })

  test('tells the spans of a request to this server', async ({ app }) => {
    const res = await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    const trace = String(res.headers['x-trace-id'])
    await expect.poll(async () => (await get(app, `/logs/trace?traceId=${trace.slice(0, 12).toUpperCase()}`)).json<List>().events.length).toBeGreaterThan(0)

    expect((await get(app, `/traces/${trace}`)).json<Trace>()).toMatchObject({ traceId: trace, status: 'ok' })
  })

  test('refuses to go on behind a span that is not kept', async ({ app }) => {
    const res = await get(app, '/logs/trace?before=kq3xT0aPz1Lk.17.b3f0')

    expect([res.statusCode, res.json()]).toMatchObject([400, { error: { code: 'bad_request', message: 'before names no span that is kept: begin again without it' } }])
  })

  test('refuses what no list can mean', async ({ app }) => {
    const queries = ['sort=duration', 'traceId=4bf92f3', 'traceId=xyzxyzxy', 'from=yesterday', 'status=bad', 'level=error', 'limit=101', 'spanId=00f0']
    const answers = await Promise.all(queries.map(async (query) => await get(app, `/logs/trace?${query}`)))

    expect(answers.map(({ statusCode }) => statusCode)).toEqual(queries.map(() => 400))
  })
})

describe('trace_search', () => {
  test('finds text in message, name and data, whatever its case', async ({ app }) => {
    publish(app, { message: 'The Climate of Oslo' }, { name: 'climate.get' }, { data: { place: { topic: 'CLIMATE' } } }, { message: 'weather' })
    const res = (await find(app, { query: 'cLiMaTe' })).json<TraceSearchResult>()

    expect(res).toMatchObject({ total: 3, has_more: false, next_cursor: null, took_ms: expect.any(Number) })
    expect(res.results).toHaveLength(3)
  })

  test('goes on behind its cursor, with the total of all pages', async ({ app }) => {
    publish(app, ...three)
    const body = { filters: { component: ['test', 'none'] }, sort: '-duration', limit: 2 }
    const first = (await find(app, body)).json<TraceSearchResult>()
    publish(app, { message: 'late', duration: 25 })
    const second = (await find(app, { ...body, cursor: first.next_cursor })).json<TraceSearchResult>()

    expect([first.results.map(({ message }) => message), first.total, first.has_more]).toEqual([['a', 'c'], 3, true])
    expect([second.results.map(({ message }) => message), second.total, second.has_more, second.next_cursor]).toEqual([['b'], 4, false, null])
  })

  test('takes a cursor for its own search alone', async ({ app }) => {
    publish(app, ...three)
    const { next_cursor: cursor } = (await find(app, { filters: { component: ['test'] }, limit: 1 })).json<TraceSearchResult>()
    const answers = [await find(app, { filters: { component: ['test'] }, query: 'a', cursor }), await find(app, { query: 'a', cursor: 'x' })]

    expect(answers.map(({ statusCode }) => statusCode)).toEqual([400, 400])
    expect(answers.map((res) => res.json<{ error: { message: string } }>().error.message)).toEqual([
      'cursor belongs to another search: send it with the body that it came from, or leave it out', 'cursor is none of ours: send `next_cursor` of the page before, or leave it out'
    ])
  })

  test('takes the body of the contract in full', async ({ app }) => {
    publish(app, { timestamp: at(5), duration: 200, message: 'climate', operation: 'tool_call', status: 'error' })
    const filters = { traceId: [one.slice(0, 8)], component: ['test'], operation: ['tool_call', 'tool_result'], service: [], userId: [], agentId: [], status: ['error'] }
    const res = await find(app, { query: 'climate', from: at(0), to: at(10), filters, duration: { min: 100, max: 5_000 }, sort: '-timestamp', limit: 50, cursor: null })

    expect([res.statusCode, res.json()]).toMatchObject([200, { total: 1, results: [{ message: 'climate' }] }])
  })

  test('is a read: no change by an admin in the audit log, and a tool that changes nothing', async ({ app }) => {
    await find(app, { query: 'x' })

    expect((await get(app, '/system/audit?event=admin_change')).json()).toMatchObject({ events: [] })
    expect(app.mcp.tools.get('trace_search')?.definition.annotations).toMatchObject({ readOnlyHint: true, destructiveHint: false, idempotentHint: true })
  })

  test('refuses a search for nothing, and one that it does not know', async ({ app }) => {
    const bodies = [{}, { limit: 5 }, { query: '' }, { query: 'x'.repeat(201) }, { query: 'x', filters: { nonsense: [] } }, { query: 'x', duration: { min: -1 } }]
    const answers = await Promise.all(bodies.map(async (body) => await find(app, body)))

    expect(answers.map(({ statusCode }) => statusCode)).toEqual(bodies.map(() => 400))
  })
})

describe('trace_get', () => {
  test('shows the tree of a trace, oldest first, by the beginning of its id, too', async ({ app }) => {
    publish(app,
      { timestamp: at(33), spanId: span(3), parentSpanId: span(2), duration: 10, message: 'tool', status: 'error' },
      { timestamp: at(22), spanId: span(2), parentSpanId: span(1), duration: 2_000, message: 'agent' },
      { timestamp: at(0), spanId: span(1), parentSpanId: span(99), duration: 2_010, message: 'request' })
    const whole = (await get(app, `/traces/${one}`)).json<Trace>()

    expect(whole).toMatchObject({ traceId: one, started: at(0), duration: 2_022, status: 'error', left_out: 0 })
    expect(whole.events.map(({ message, depth }) => [message, depth])).toEqual([['request', 0], ['agent', 1], ['tool', 2]])
    expect((await get(app, `/traces/${one.slice(0, 8).toUpperCase()}`)).json<Trace>()).toEqual(whole)
  })

  test('a beginning that several traces have names them', async ({ app }) => {
    publish(app, {}, { traceId: other })
    const res = await get(app, '/traces/4bf92f3577b34da6')

    expect([res.statusCode, res.json()]).toMatchObject([400, { error: { code: 'bad_request', message: 'trace_id 4bf92f3577b34da6 names several traces: give more of its digits', details: { traces: [other, one] } } }])
  })

  test('a trace that is not kept is not found', async ({ app }) => {
    const res = await get(app, '/traces/ffffffffffffffff')

    expect([res.statusCode, res.json()]).toMatchObject([404, { error: { code: 'not_found', message: 'no trace ffffffffffffffff is kept' } }])
  })

  test('what is no trace id is refused', async ({ app }) => {
    expect((await get(app, '/traces/nonsense')).statusCode).toBe(400)
  })
})

test('a user key opens none of them', async ({ app }) => {
  const headers = as('user')
  const answers = [await app.inject({ url: '/api/v1/logs/trace', headers }), await app.inject({ method: 'POST', url: '/api/v1/logs/trace/search', headers, payload: { query: 'x' } }), await app.inject({ url: `/api/v1/traces/${one}`, headers })]

  expect(answers.map(({ statusCode }) => statusCode)).toEqual([403, 403, 403])
})

describe('with a short history', () => {
  test.override({ settings: { MUXI_API_EVENTS_HISTORY: '1000', MUXI_API_EVENTS_HISTORY_MS: '60000' } })

  test('what is older than it is left out', async ({ app }) => {
    publish(app, { timestamp: new Date(base - 60_000).toISOString(), message: 'old' }, { timestamp: new Date().toISOString(), message: 'new' })

    expect((await list(app)).events.map(({ message }) => message)).toEqual(['new'])
  })

  test('a list of all that is kept looks at no more than that', async ({ app }) => {
    const now = new Date().toISOString()
    publish(app, ...Array.from({ length: 1_500 }, (_, i) => ({ timestamp: now, message: String(i) })))

    expect((await find(app, { filters: { component: ['test'] } })).json<TraceSearchResult>().total).toBeLessThanOrEqual(1_000)
  })
})
