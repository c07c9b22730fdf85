import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs/minimal.js'
import { expect, test } from 'vitest'
import { ApiError } from '../../../errors.ts'
import { encode, recordsIn } from '../../../plugins/otlp/decode.ts'
import { eventOf } from '../../../plugins/otlp/mapping.ts'

/** What the exporters of the OpenTelemetry SDKs for Python 1.45 and JavaScript 2 sent. */
const sample = (name: string) => readFileSync(new URL(`samples/${name}`, import.meta.url))

/** A message of fields in which each is bytes. */
function message (...fields: [number, Uint8Array | string][]): Uint8Array {
  const writer = protobuf.Writer.create()
  for (const [number, value] of fields) writer.uint32(number << 3 | 2).bytes(typeof value === 'string' ? Buffer.from(value) : value)
  return writer.finish()
}

const requestOf = (...records: Uint8Array[]) => Buffer.from(message([1, message([2, message(...records.map((record): [number, Uint8Array] => [2, record]))])]))
const recordsOf = async (bytes: Buffer, signal: 'logs' | 'traces' = 'logs') => [...await recordsIn(bytes, signal)]

test('logs of the Python exporter are read as their JSON mapping has them', async () => {
  const [, record] = await recordsOf(sample('python-logs.bin'))

  expect(record).toEqual({
    scope: 'shop',
    resource: expect.arrayContaining([{ key: 'service.name', value: { stringValue: 'shop' } }]),
    record: {
      timeUnixNano: '1795626092398103552',
      observedTimeUnixNano: '1795626092398171871',
      severityNumber: 13,
      severityText: 'WARN',
      body: { stringValue: 'charging Ada \u2028 \n Lovelace 😀' },
      attributes: expect.arrayContaining([{ key: 'amount', value: { doubleValue: 9.5 } }, { key: 'cents', value: { intValue: '950' } }, { key: 'big', value: { intValue: '1152921504606846976' } }]),
      traceId: '9f97783518d45fe03481a2020cb8bc8f',
      spanId: '223e98fbc4c26ed1'
    }
  })
})

test('spans of the Python exporter become events of one trace', async () => {
  const events = (await recordsOf(sample('python-traces.bin'), 'traces')).map((found) => eventOf(found, 'traces', new Date()))

  expect(events).toMatchObject([
    { event: { name: 'card', status: 'error', message: 'no such card', parentSpanId: '9eca6b956345f93d', duration: 0.420053, data: { kind: 'client', events: 1 } } },
    { event: { name: 'charge', status: 'ok', parentSpanId: 'afdb2159ab5658c6' } },
    { event: { name: 'checkout', component: 'shop', operation: 'checkout', userId: 'u42', agentId: 'ada', data: { items: 3, price: 9.5, paid: true, tags: ['a', 'b'], ids: [1, 2], kind: 'server' } } }
  ])
  expect(new Set(events.map((one) => 'event' in one && one.event.traceId))).toEqual(new Set(['9f97783518d45fe03481a2020cb8bc8f']))
})

test('the order of the fields of a resource is free', async () => {
  const service = message([1, message([1, message([1, 'service.name'], [2, message([1, 'late'])])])]).subarray(2)
  const record = message([3, 'INFO'])
  const bytes = Buffer.from(message([1, message([2, message([2, record], [1, message([1, 'by'])])], [1, service])]))

  expect(await recordsOf(bytes)).toEqual([{ record: { severityText: 'INFO' }, resource: [{ key: 'service.name', value: { stringValue: 'late' } }], scope: 'by' }])
})

test('a field that is not known, or of another type than it should be, is skipped', async () => {
  const record = protobuf.Writer.create().uint32(99 << 3).uint32(7).uint32(3 << 3).uint32(1).uint32(3 << 3 | 2).string('INFO').finish()

  expect(await recordsOf(requestOf(record))).toMatchObject([{ record: { severityText: 'INFO' } }])
})

test('a list in a list is read as deep as it will be kept, and skipped below', async () => {
  let value = message([1, 'deep'])
  for (let level = 0; level < 5_000; level++) value = message([5, message([1, value])])
  const [found] = await recordsOf(requestOf(message([5, value])))

  expect(eventOf(found!, 'logs', new Date())).toMatchObject({ event: { message: '[[[[[[[[null]]]]]]]]', truncated: true } })
})

test('a record of more than 256 KiB is not read, and those beside it are', async () => {
  const records = await recordsOf(requestOf(message([5, message([1, 'x'.repeat(262_144)])]), message([3, 'INFO'])))

  expect(records).toMatchObject([{ reason: 'a record may have 256 KiB' }, { record: { severityText: 'INFO' } }])
})

test('a request that breaks off, or whose bytes are turned, is refused or read, and never anything else', async () => {
  const whole = sample('python-logs.bin')
  const broken = [
    ...Array.from(whole, (_, end) => whole.subarray(0, end)),
    ...Array.from(whole, (byte, at) => Buffer.from(whole).fill(byte ^ 0xff, at, at + 1)),
    ...Array.from(whole, (_, at) => Buffer.from(whole).fill(0xff, at, Math.min(at + 8, whole.length)))
  ]
  const outcomes = await Promise.all(broken.map(async (bytes) => await recordsOf(bytes).catch((error: unknown) => error instanceof ApiError ? error.code : error)))

  expect(outcomes.filter((outcome) => outcome !== 'bad_request' && !Array.isArray(outcome))).toEqual([])
  expect(outcomes.filter((outcome) => outcome === 'bad_request').length).toBeGreaterThan(whole.length)
})

test('millions of fields that are no records are not read to their end', async () => {
  const nothing = Buffer.alloc(1_000_000, Buffer.from([0x1a, 0]))

  await expect(recordsOf(Buffer.from(message([1, nothing])))).rejects.toThrow('the request has more than 200000 fields: send smaller batches')
})

test('an answer is empty when all was taken, and counts what was not', async () => {
  const empty = await encode({})
  const reader = protobuf.Reader.create(await encode({ partialSuccess: { rejectedSpans: '300', errorMessage: 'why' } }))

  expect(empty.length).toBe(0)
  // partial_success = 1 { rejected_spans = 1, error_message = 2 }
  expect([reader.uint32(), reader.uint32(), reader.uint32(), Number(reader.int64()), reader.uint32(), reader.string(), reader.pos === reader.len]).toEqual([0x0a, 8, 0x08, 300, 0x12, 'why', true])
})
