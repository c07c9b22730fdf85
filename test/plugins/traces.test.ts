import { describe, expect, test } from 'vitest'
import { cursorOf, placeIn } from '../../plugins/traces/cursor.ts'
import { fitsList, fitsSearch } from '../../plugins/traces/filter.ts'
import { placeOf, select, type Kept, type Sort } from '../../plugins/traces/order.ts'
import { treeOf } from '../../plugins/traces/tree.ts'
import type { TraceEvent, TraceListQuery, TraceSearchBody } from '../../schemas/traces.ts'

const start = Date.parse('2026-03-02T09:30:45.000Z')
const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const span = (number: number) => number.toString(16).padStart(16, '0')

function kept (id: string, ms: number, more: Partial<TraceEvent> = {}): Kept {
  return { id, event: { timestamp: new Date(start + ms).toISOString(), traceId: trace, spanId: span(ms), name: 'core.call', duration: 1, status: 'ok', ...more } }
}

/** In batches, as a history gives them. */
async function * history (all: Kept[], size = 2): AsyncGenerator<Kept[], void, undefined> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size)
}

const any = () => true
const idsOf = (found: Kept[]) => found.map(({ id }) => id).join('')
/** All pages of a list, one after the other, as a client reads them. */
async function pages (all: Kept[], sort: Sort, limit: number): Promise<string> {
  let read = ''
  for (let before: string | undefined; ;) {
    const after = before === undefined ? undefined : await placeOf(history(all), before, sort)
    const { found } = await select(history(all), { fits: any, sort, after, most: limit })
    read += idsOf(found)
    before = found.at(-1)?.id
    if (before === undefined) return read
  }
}

describe('sorting', () => {
  // Newest first, as they were kept; c came late, and b, d, e are of the same millisecond.
  const all = [kept('a', 50, { duration: 3 }), kept('b', 20, { duration: 9 }), kept('c', 5, { duration: 9 }), kept('d', 20), kept('e', 20), kept('f', 10)]

  test.for([['-timestamp', 'abdefc'], ['timestamp', 'cfedba'], ['-duration', 'bcadef']] as const)('by %s is by what the events say; equals stay in the order in which they were kept', async ([sort, order]) => {
    expect(idsOf((await select(history(all), { fits: any, sort, most: 10 })).found)).toBe(order)
  })

  test.for(['-timestamp', 'timestamp', '-duration'] as const)('pages by %s show each event once', async (sort) => {
    const whole = idsOf((await select(history(all), { fits: any, sort, most: 10 })).found)

    expect(await Promise.all([1, 2, 3, 5].map(async (limit) => await pages(all, sort, limit)))).toEqual([whole, whole, whole, whole])
  })

  test('a page goes on behind an event that does not fit itself', async () => {
    const after = await placeOf(history(all), 'b', '-timestamp')
    const { found, total } = await select(history(all), { fits: ({ duration }) => duration === 1, sort: '-timestamp', after, most: 2 })

    expect([idsOf(found), total]).toEqual(['de', 3])
  })

  test('new events between two pages neither repeat nor hide any', async () => {
    const after = await placeOf(history(all), 'd', '-timestamp')
    const later = [kept('n', 60), kept('m', 20), ...all]

    expect(idsOf((await select(history(later), { fits: any, sort: '-timestamp', after, most: 10 })).found)).toBe('efc')
  })

  test('a place that has been dropped since still tells where to go on', async () => {
    const after = { id: 'f', value: start + 10 }

    expect(idsOf((await select(history(all.slice(0, 5)), { fits: any, sort: '-timestamp', after, most: 10 })).found)).toBe('c')
  })

  test('an id that is not kept has no place', async () => {
    expect(await placeOf(history(all), 'z', '-timestamp')).toBeUndefined()
  })

  test('the best of many are found with few of them held', async () => {
    const many = Array.from({ length: 5_000 }, (_, i) => kept(`${i},`, (i * 7_919) % 5_000))
    const { found, total } = await select(history(many, 500), { fits: any, sort: '-timestamp', most: 3 })

    expect([found.map(({ event }) => Date.parse(event.timestamp) - start), total]).toEqual([[4_999, 4_998, 4_997], 5_000])
  })
})

describe('filters', () => {
  const event = kept('a', 100, { service: 'muxi-api', component: 'core', operation: 'call', userId: 'ada@example.com', agentId: 'weather', message: 'GET /agents', data: { statusCode: 200, city: 'Zürich' }, duration: 45 }).event
  const query = (more: Partial<TraceListQuery>): TraceListQuery => ({ limit: 20, sort: '-timestamp', ...more })
  const body = (more: Partial<TraceSearchBody>): TraceSearchBody => ({ limit: 50, sort: '-timestamp', ...more })

  test.for<[Partial<TraceListQuery>, boolean]>([
    [{}, true],
    [{ traceId: trace.toUpperCase() }, true], [{ traceId: trace.slice(0, 8) }, true], [{ traceId: trace.slice(1, 9) }, false],
    [{ spanId: span(100).toUpperCase() }, true], [{ spanId: span(101) }, false],
    [{ service: 'muxi-api', component: 'core', operation: 'call', agentId: 'weather', status: 'ok' }, true],
    [{ service: 'muxi-api', component: 'cor' }, false], [{ status: 'error' }, false],
    [{ userId: 'Ada@Example.com' }, true], [{ userId: 'ada' }, false],
    [{ from: '2026-03-02T09:30:45.100Z', to: '2026-03-02T09:30:45.101Z' }, true],
    [{ from: '2026-03-02T09:30:45.101Z' }, false], [{ to: '2026-03-02T09:30:45.100Z' }, false], [{ from: '2026-03-02T11:30:45.050+02:00' }, true]
  ])('of a list: %j is %s', ([asked, fits]) => {
    expect(fitsList(query(asked))(event)).toBe(fits)
  })

  test.for<[Partial<TraceSearchBody>, boolean]>([
    [{ query: 'AGENTS' }, true], [{ query: 'core.c' }, true], [{ query: 'zÜrich' }, true], [{ query: '"statuscode":200' }, true], [{ query: 'G.T' }, false], [{ query: 'weather' }, false],
    [{ filters: {} }, true], [{ filters: { service: [], userId: [] } }, true],
    [{ filters: { component: ['user', 'core'], operation: ['call'] } }, true], [{ filters: { component: ['user', 'core'], operation: ['route'] } }, false],
    [{ filters: { traceId: ['00000000', trace.slice(0, 9).toUpperCase()] } }, true], [{ filters: { status: ['error', 'ok'] } }, true],
    [{ filters: {}, duration: { min: 45, max: 45 } }, true], [{ filters: {}, duration: { min: 46 } }, false], [{ filters: {}, duration: { max: 44.9 } }, false]
  ])('of a search: %j is %s', ([asked, fits]) => {
    expect(fitsSearch(body(asked))(event)).toBe(fits)
  })

  test('a cursor is good for its own search, however long the pages and however its lists of nothing are spelled', () => {
    const place = { id: 'kq3xT0aPz1Lk.18.9c1d', value: 17.5 }
    const cursor = cursorOf(body({ query: 'x', filters: { component: ['core'], service: [] } }), place)

    expect(placeIn(body({ query: 'x', filters: { component: ['core'] }, limit: 3, cursor }))).toEqual(place)
    expect(placeIn(body({ query: 'x', cursor: null }))).toBeUndefined()
    expect(() => placeIn(body({ query: 'y', filters: { component: ['core'] }, cursor }))).toThrow('cursor belongs to another search')
    expect(() => placeIn(body({ query: 'x', filters: { component: ['core'] }, sort: 'timestamp', cursor }))).toThrow('cursor belongs to another search')
  })

  test.for(['x', 'bnVsbA', Buffer.from('["a","b"]').toString('base64url'), Buffer.from('{').toString('base64url')])('%s is no cursor', (cursor) => {
    expect(() => placeIn(body({ query: 'x', cursor }))).toThrow('cursor is none of ours')
  })
})

describe('a trace', () => {
  test('is oldest first, each span with the number of those above it, from the first beginning to the last end', () => {
    // Kept when they end: the one that holds the others last, so first in the history. All but `tool` begin in one millisecond.
    const tree = treeOf([
      kept('request', 0, { spanId: span(1), duration: 20.25, parentSpanId: span(99) }),
      kept('agent', 0, { spanId: span(2), parentSpanId: span(1), duration: 19 }),
      kept('tool', 5, { spanId: span(3), parentSpanId: span(2), duration: 30.5, status: 'error' }),
      kept('auth', 0, { spanId: span(4), parentSpanId: span(1) })
    ])

    expect(tree).toMatchObject({ traceId: trace, started: '2026-03-02T09:30:45.000Z', duration: 35.5, status: 'error' })
    expect(tree.events.map(({ id, depth }) => [id, depth])).toEqual([['request', 0], ['auth', 1], ['agent', 1], ['tool', 2]])
  })

  test('of which no span failed is ok', () => {
    expect(treeOf([kept('a', 0)])).toMatchObject({ status: 'ok', duration: 1 })
  })

  test('whose spans hold each other in a circle still has an end', () => {
    const { events } = treeOf([kept('a', 0, { spanId: span(1), parentSpanId: span(2) }), kept('b', 1, { spanId: span(2), parentSpanId: span(1) }), kept('c', 2, { spanId: span(3), parentSpanId: span(3) })])

    expect(events.map(({ id, depth }) => [id, depth])).toEqual([['a', 1], ['b', 0], ['c', 0]])
  })

  test('as deep as it is long takes no time to speak of', () => {
    const chain = Array.from({ length: 10_000 }, (_, i) => kept(String(i), i, { spanId: span(i + 1), parentSpanId: span(i) }))

    expect(treeOf(chain.reverse()).events.at(-1)).toMatchObject({ depth: 9_999 })
  })
})
