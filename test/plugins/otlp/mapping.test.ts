import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { eventOf } from '../../../plugins/otlp/mapping.ts'
import { recordsOf } from '../../../plugins/otlp/records.ts'

const now = new Date('2026-03-02T09:30:45.120Z')
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const spanId = '00f067aa0ba902b7'
const times = { startTimeUnixNano: '1772443845120000000', endTimeUnixNano: '1772443845121500250' }
const text = (value: string) => ({ stringValue: value })
const service = [{ key: 'service.name', value: text('shop') }]

const logOf = (record: unknown) => eventOf({ record, resource: service, scope: '' }, 'logs', now)
const spanOf = (record: object) => eventOf({ record: { traceId, spanId, name: 'work', ...times, ...record }, resource: service, scope: '' }, 'traces', now)
const bytesOf = (mapped: object) => Buffer.byteLength(JSON.stringify((mapped as { event: object }).event))

test('a record of the JavaScript exporter becomes a log event', () => {
  const body: unknown = JSON.parse(readFileSync(new URL('samples/javascript-logs.json', import.meta.url), 'utf8'))

  expect([...recordsOf(body, 'logs')].map((found) => eventOf(found, 'logs', now))).toEqual([{
    event: {
      timestamp: '2026-11-25T17:01:34.138Z',
      level: 'warn',
      message: '{"text":"slow page","ms":1200}',
      service: 'web',
      traceId: '9f4388640977c83a3992ab5fe605bfad',
      spanId: '265a9c2d8b743de1',
      scope: 'web.log',
      attributes: { route: '/cart', nested: { a: [1, 2] } }
    }
  }])
})

test('a span of the JavaScript exporter becomes a trace event that is taken once', () => {
  const body: unknown = JSON.parse(readFileSync(new URL('samples/javascript-traces.json', import.meta.url), 'utf8'))
  const [render] = [...recordsOf(body, 'traces')].map((found) => eventOf(found, 'traces', now))

  expect(render).toEqual({
    once: '9f4388640977c83a3992ab5fe605bfad:e5daa87497ca5728',
    event: {
      timestamp: '2026-11-25T17:01:34.137Z',
      traceId: '9f4388640977c83a3992ab5fe605bfad',
      spanId: 'e5daa87497ca5728',
      parentSpanId: '265a9c2d8b743de1',
      name: 'render',
      duration: 0.117694,
      status: 'error',
      message: 'no template',
      service: 'web',
      component: 'web',
      operation: 'render',
      scope: 'web.pages',
      data: { kind: 'internal' }
    }
  })
})

test('a record that says nothing is information of an unknown service, now', () => {
  expect(eventOf({ record: {}, resource: undefined, scope: undefined }, 'logs', now)).toEqual({ event: { timestamp: now.toISOString(), level: 'info', message: '', service: 'unknown_service' } })
})

test.for([
  [{ timeUnixNano: '1772443845120999999' }, '2026-03-02T09:30:45.120Z'],
  [{ timeUnixNano: 1772443845120000000 }, '2026-03-02T09:30:45.120Z'],
  [{ timeUnixNano: '0', observedTimeUnixNano: '1772443800000000000' }, '2026-03-02T09:30:00.000Z'],
  [{ timeUnixNano: null, observedTimeUnixNano: 0 }, now.toISOString()]
] as const)('the time of %o is %s', ([record, timestamp]) => {
  expect(logOf(record)).toMatchObject({ event: { timestamp } })
})

test.for([
  [{ severityNumber: 1 }, 'debug'], [{ severityNumber: 8 }, 'debug'], [{ severityNumber: 9 }, 'info'], [{ severityNumber: 12 }, 'info'], [{ severityNumber: 13 }, 'warn'],
  [{ severityNumber: 16 }, 'warn'], [{ severityNumber: 17 }, 'error'], [{ severityNumber: 24 }, 'error'], [{ severityNumber: 0, severityText: 'WARNING' }, 'warn'],
  [{ severityText: 'Fatal' }, 'error'], [{ severityText: 'trace' }, 'debug'], [{ severityText: 'loud' }, 'info'], [{ severityNumber: 9, severityText: 'ERROR' }, 'info']
] as const)('the level of %o is %s', ([record, level]) => {
  expect(logOf(record)).toMatchObject({ event: { level } })
})

test.for([
  ['timeUnixNano', [-1, '1e9', 'yesterday', '99999999999999999999', 1.5, true, {}]],
  ['traceId', ['abc', `${traceId}0`, 'S/kvNXezTaajzpKdDg5HNg==', 7]],
  ['spanId', [traceId, 'g0f067aa0ba902b7']]
] as const)('a log with a %s that is none is left out, and why is said', ([field, values]) => {
  expect(values.map((value) => logOf({ [field]: value }))).toEqual(values.map(() => ({ reason: expect.stringContaining(field) })))
})

test('ids in capital letters are made small, and zeros are no id', () => {
  const mapped = [logOf({ traceId: traceId.toUpperCase(), spanId }), logOf({ traceId: '0'.repeat(32), spanId: '' })]

  expect(mapped).toMatchObject([{ event: { traceId, spanId } }, { event: expect.not.objectContaining({ traceId: expect.anything(), spanId: expect.anything() }) }])
})

test.for([{ traceId: '' }, { spanId: '0'.repeat(16) }, { parentSpanId: 'root' }, { startTimeUnixNano: 0 }, { endTimeUnixNano: 'soon' }])('a span with %o is left out', (record) => {
  expect(spanOf(record)).toEqual({ reason: expect.stringContaining(Object.keys(record)[0]!) })
})

test('a span that ends before it begins took no time', () => {
  expect(spanOf({ endTimeUnixNano: '1772443845000000000' })).toMatchObject({ event: { duration: 0 } })
})

test('a span says who did what for whom where its attributes do', () => {
  const attributes = Object.entries({ 'muxi.component': 'agent', 'muxi.operation': 'tool_call', 'enduser.id': 'u42', 'gen_ai.agent.id': 'ada' }).map(([key, value]) => ({ key, value: text(value) }))

  expect(spanOf({ attributes, kind: 3, events: [{}, {}] })).toMatchObject({ event: { component: 'agent', operation: 'tool_call', userId: 'u42', agentId: 'ada', duration: 1.50025, data: { kind: 'client', events: 2 } } })
})

test('a value of every kind is kept as plain JSON', () => {
  const value = {
    kvlistValue: {
      values: [
        { key: 'text', value: text('a') }, { key: 'yes', value: { boolValue: true } }, { key: 'int', value: { intValue: '42' } }, { key: 'long', value: { intValue: '9223372036854775807' } },
        { key: 'double', value: { doubleValue: 0.5 } }, { key: 'none', value: { doubleValue: 'NaN' } }, { key: 'bytes', value: { bytesValue: 'AQI=' } },
        { key: 'list', value: { arrayValue: { values: [{ intValue: 1 }, {}] } } }, { key: '__proto__', value: text('a name as any other') }
      ]
    }
  }
  const mapped = logOf({ attributes: [{ key: 'all', value }] })

  expect(JSON.stringify(mapped)).toContain('{"text":"a","yes":true,"int":42,"long":"9223372036854775807","double":0.5,"none":"NaN","bytes":"AQI=","list":[1,null],"__proto__":"a name as any other"}')
})

test('a text of line ends, separators, zeros and half a character is one line of JSON, whole', () => {
  const message = 'a\r\nb\u2028c\u2029d\0e\ud800f'
  const line = JSON.stringify(logOf({ body: text(message) }))

  expect(line).not.toMatch(/[\r\n\0]/)
  expect(JSON.parse(line)).toMatchObject({ event: { message } })
})

test.for(['x', '\0', '😀', '"', '\u2028'])('a message of %o without end is cut, so that the event has at most 64 KiB', (character) => {
  const mapped = logOf({ body: text(character.repeat(100_000)), attributes: Array.from({ length: 200 }, (_, index) => ({ key: `a${index}`, value: text(character.repeat(5_000)) })) })

  expect(mapped).toMatchObject({ event: { truncated: true, message: expect.not.stringMatching(/[\ud800-\udbff]$/) } })
  expect(bytesOf(mapped)).toBeLessThanOrEqual(65_536)
  expect(bytesOf(mapped)).toBeGreaterThan(50_000)
})

test('of attributes 128 are kept, each with 4 KiB', () => {
  const attributes = Array.from({ length: 200 }, (_, index) => ({ key: `a${index}`, value: index === 0 ? text('x'.repeat(9_000)) : { intValue: index } }))
  const { event } = logOf({ attributes }) as object as { event: { attributes: Record<string, unknown>, truncated: boolean } }

  expect([Object.keys(event.attributes).length, String(event.attributes.a0).length, event.attributes.a127, event.truncated]).toEqual([128, 4_094, 127, true])
})

test('an event that has all it was sent with has no mark', () => {
  expect(logOf({ body: text('x'.repeat(40_000)) })).toEqual({ event: expect.not.objectContaining({ truncated: true }) })
})

test.for([5, null, 'text', [], { body: 5, attributes: 5, traceId: null }, { attributes: [null, 5, { key: 5 }, { key: 'a' }] }])('a record that is %o harms nothing', (record) => {
  expect([['event'], ['reason']]).toContainEqual(Object.keys(logOf(record)))
})

test('a list that is none is told by its name', () => {
  expect(() => [...recordsOf({ resourceLogs: [{ scopeLogs: 5 }] }, 'logs')]).toThrow('body.resourceLogs.scopeLogs must be array')
})
