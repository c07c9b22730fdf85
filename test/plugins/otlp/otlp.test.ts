import { readFileSync } from 'node:fs'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import protobuf from 'protobufjs/minimal.js'
import { expect } from 'vitest'
import { as, sharedWith } from '../../app.ts'

const test = sharedWith()

const sample = (name: string) => readFileSync(new URL(`samples/${name}`, import.meta.url))
const json = { ...as('admin'), 'content-type': 'application/json' }
const bytes = { ...as('admin'), 'content-type': 'application/x-protobuf' }
const gzip = { 'content-encoding': 'gzip' }
const nanos = () => String(BigInt(Date.now()) * 1_000_000n)
const logsOf = (...logRecords: object[]) => ({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] })
const logOf = (message: string) => logsOf({ timeUnixNano: nanos(), body: { stringValue: message } })
const spanOf = (spanId: string) => ({ traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId, name: `work of ${spanId}`, startTimeUnixNano: nanos(), endTimeUnixNano: nanos() })
const spansOf = (...spans: object[]) => ({ resourceSpans: [{ scopeSpans: [{ spans }] }] })

async function post (app: FastifyInstance, path: string, headers: Record<string, string>, payload: Buffer | object) {
  return await app.inject({ method: 'POST', url: `/api/v1/${path}`, headers, payload })
}

/** What is kept of a topic and has a text somewhere. */
async function kept (app: FastifyInstance, topic: 'logs' | 'traces', text: string) {
  const found: object[] = []
  for await (const batch of app.events.history(topic)) found.push(...batch.map(({ recorded }) => recorded.event).filter((event) => JSON.stringify(event).includes(text)))
  return found
}

/** A protobuf request with one log of no time, so that it is of now. */
function encoded (message: string, records = 1): Buffer {
  const put = (number: number, value: Uint8Array) => protobuf.Writer.create().uint32(number << 3 | 2).bytes(value).finish()
  const record = put(2, put(5, put(1, Buffer.from(message))))
  return Buffer.from(put(1, put(2, Buffer.concat(Array.from({ length: records }, () => record)))))
}

test('log_ingest takes JSON, and the record is among the logs', async ({ app }) => {
  const res = await post(app, 'logs', json, logOf('taken as JSON'))

  expect([res.statusCode, res.headers['content-type'], res.json()]).toEqual([200, 'application/json; charset=utf-8', {}])
  expect(await kept(app, 'logs', 'taken as JSON')).toMatchObject([{ level: 'info', service: 'unknown_service' }])
})

test('log_ingest takes protobuf, and answers with it', async ({ app }) => {
  const res = await post(app, 'logs', bytes, encoded('taken as protobuf'))

  expect([res.statusCode, res.headers['content-type'], res.rawPayload.length]).toEqual([200, 'application/x-protobuf', 0])
  expect(await kept(app, 'logs', 'taken as protobuf')).toHaveLength(1)
})

test.for(['logs', 'traces'] as const)('%s as exporters of Python and JavaScript send them are taken', async (signal, { app }) => {
  const python = await post(app, signal, bytes, sample(`python-${signal}.bin`))
  const javascript = await post(app, signal, json, sample(`javascript-${signal}.json`))

  expect([python.statusCode, python.rawPayload.length, javascript.statusCode, javascript.json()]).toEqual([200, 0, 200, {}])
})

test('a body may be gzip in either form', async ({ app }) => {
  const asJson = await post(app, 'logs', { ...json, ...gzip }, gzipSync(JSON.stringify(logOf('packed as JSON'))))
  const asBytes = await post(app, 'logs', { ...bytes, ...gzip }, gzipSync(encoded('packed as protobuf')))
  const exporter = await post(app, 'logs', { ...bytes, ...gzip }, sample('python-logs.bin.gz'))

  expect([asJson, asBytes, exporter].map(({ statusCode }) => statusCode)).toEqual([200, 200, 200])
  expect((await kept(app, 'logs', 'packed as')).length).toBe(2)
})

test('trace_ingest takes a span once, however often it is sent', async ({ app }) => {
  const body = spansOf(spanOf('1111111111111111'), spanOf('2222222222222222'))
  await post(app, 'traces', json, body)
  await post(app, 'traces', json, body)

  expect(await kept(app, 'traces', '"work of 1111111111111111"')).toHaveLength(1)
})

test('what cannot be taken is counted and named, and the rest is taken', async ({ app }) => {
  const broken = { ...spanOf('3333333333333333'), traceId: 'none' }
  const res = await post(app, 'traces', json, spansOf(spanOf('4444444444444444'), broken, broken))

  expect([res.statusCode, res.json()]).toEqual([200, { partialSuccess: { rejectedSpans: '2', errorMessage: '2 left out: traceId must be 32 hex digits' } }])
  expect(await kept(app, 'traces', '"work of 4444444444444444"')).toHaveLength(1)
})

test('the same is said in protobuf', async ({ app }) => {
  const res = await post(app, 'logs', bytes, encoded('x'.repeat(262_144)))

  expect(res.statusCode).toBe(200)
  expect(res.rawPayload.toString()).toContain('1 left out: a record may have 256 KiB')
})

test('of one request 10,000 records are taken', async ({ app }) => {
  const res = await post(app, 'logs', bytes, encoded('one of many', 10_007))

  expect(res.rawPayload.toString()).toContain('7 left out: a request may have 10000 records')
})

test('JSON may be mostly structure, up to 2 MiB', async ({ app }) => {
  const records = Array.from({ length: 8_000 }, () => ({ severityNumber: 9, attributes: [{ key: 'a', value: { intValue: '1' } }] }))
  const [large, larger] = [logsOf(...records), logsOf(...records, ...records, ...records, ...records)]
  const answers = [await post(app, 'logs', json, large), await post(app, 'logs', json, larger), await post(app, 'logs', { ...json, ...gzip }, gzipSync(JSON.stringify(larger)))]

  expect(JSON.stringify(large).length).toBeGreaterThan(262_144)
  expect(answers.map((res) => [res.statusCode, (res.json() as { error?: { code: string } }).error?.code])).toEqual([[200, undefined], [413, 'payload_too_large'], [413, 'payload_too_large']])
})

test('a body that inflates beyond 16 MiB is refused while it does', async ({ app }) => {
  const member = gzipSync(Buffer.alloc(16 * 1_048_576))
  // 1 GiB of zeros, in 1 MiB.
  const bomb = Buffer.alloc(64 * member.length, member)
  const before = process.memoryUsage().rss
  const res = await post(app, 'traces', { ...bytes, ...gzip }, bomb)

  expect([res.statusCode, res.json() as object]).toMatchObject([413, { error: { code: 'payload_too_large', message: 'a body of this type may have 16 MiB, inflated: send smaller batches' } }])
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1_048_576)
})

test.for([
  ['no gzip', Buffer.from('plain')],
  ['half a gzip', gzipSync(encoded('broken')).subarray(0, 20)]
] as const)('%s under Content-Encoding: gzip is a bad request', async ([, payload], { app }) => {
  const answers = [await post(app, 'logs', { ...bytes, ...gzip }, payload), await post(app, 'logs', { ...json, ...gzip }, payload)]

  expect(answers.map((res) => [res.statusCode, (res.json() as { error: { message: string } }).error.message])).toEqual(Array(2).fill([400, 'the body is not the gzip that Content-Encoding says it is']))
})

test('another encoding, and another type, is not supported', async ({ app }) => {
  const brotli = await post(app, 'logs', { ...bytes, 'content-encoding': 'br' }, brotliCompressSync(encoded('br')))
  const text = await post(app, 'logs', { ...bytes, 'content-type': 'text/plain' }, Buffer.from('hello'))
  const elsewhere = await post(app, 'chat', bytes, encoded('elsewhere'))

  expect([brotli, text, elsewhere].map((res) => [res.statusCode, (res.json() as { error: { message: string } }).error.message])).toEqual([
    [415, 'send the body as it is or with Content-Encoding: gzip'],
    [415, 'send the body as Content-Type: application/json'],
    [415, 'send the body as Content-Type: application/json']
  ])
})

test('other operations go on to refuse gzip', async ({ app }) => {
  const res = await post(app, 'chat', { ...json, ...gzip }, gzipSync('{"content":"hello"}'))

  expect(res.statusCode).toBe(415)
})

test('protobuf that is none is a bad request, and nothing of it is taken', async ({ app }) => {
  const res = await post(app, 'logs', bytes, Buffer.concat([encoded('before the break'), Buffer.from([0x0a, 0xff])]))

  expect([res.statusCode, res.json()]).toMatchObject([400, { error: { code: 'bad_request', message: 'the body is no ExportLogsServiceRequest in protobuf' } }])
  expect(await kept(app, 'logs', 'before the break')).toEqual([])
})

test.for(['logs', 'traces'])('%s need an admin key', async (path, { app }) => {
  const user = await post(app, path, { ...bytes, ...as('user') }, encoded('of a user'))
  const nobody = await post(app, path, { 'content-type': 'application/x-protobuf' }, encoded('of nobody'))

  expect([user.statusCode, nobody.statusCode]).toEqual([403, 401])
  expect(await kept(app, 'logs', 'of nobody')).toEqual([])
})

test('telemetry is no change that the audit has to tell', async ({ app }) => {
  await post(app, 'logs', json, logOf('often'))
  const events = await app.audit.read({ limit: 100, event: 'admin_change' } as Parameters<typeof app.audit.read>[0])

  expect(events).toEqual([])
})

test('a body of 16 MiB of records holds up nobody for long', async ({ app }) => {
  const body = encoded('y'.repeat(1_600), 10_000)
  let longest = 0
  let last = performance.now()
  const clock = setInterval(() => { [longest, last] = [Math.max(longest, performance.now() - last), performance.now()] }, 1)
  const res = await post(app, 'logs', bytes, body)
  clearInterval(clock)

  expect([res.statusCode, body.length > 15 * 1_048_576]).toEqual([200, true])
  // 100 ms on a busy machine of two cores, most of it for the bytes; in one go it would be a second.
  expect(longest).toBeLessThan(500)
})
