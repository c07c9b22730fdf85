import type { Reader } from 'protobufjs/minimal.js'
import { ApiError } from '../../errors.ts'
import type { OtlpAnswer } from '../../schemas/otlp.ts'
import { names, type Found, type Signal } from './records.ts'

type Read = (reader: Reader, depth: number) => unknown
interface Field { name: string, wire: number, read: Read, repeated: boolean }
type Message = Map<number, Field>

/** What the mapping looks at is less deep, and fewer. */
const mostLevels = 64
const mostRepeated = 1_024
/** The largest record: what is kept of one is a quarter of that at most. */
const mostBytes = 262_144
/** Fields of requests, resources and scopes. A request of 16 MiB may have 8 million, in which no record would give others a turn. */
const mostFields = 200_000

const text: Read = (reader) => reader.string()
const int: Read = (reader) => reader.int32()
const flag: Read = (reader) => reader.bool()
const double: Read = (reader) => reader.double()
const hex: Read = (reader) => bytesOf(reader).toString('hex')
const base64: Read = (reader) => bytesOf(reader).toString('base64')
const int64: Read = (reader) => String(reader.int64())
const nanos: Read = (reader) => {
  const low = reader.fixed32()
  return String(BigInt(reader.fixed32()) << 32n | BigInt(low))
}

/** The fields of opentelemetry-proto 1.x that are used here, by number; all others are skipped. */
const anyValue: Message = new Map()
const keyValue = message({ 1: ['key', text], 2: ['value', anyValue] })
const resource = message({ 1: ['attributes', [keyValue]] })
const scope = message({ 1: ['name', text] })
const logRecord = message({
  1: ['timeUnixNano', nanos],
  2: ['severityNumber', int],
  3: ['severityText', text],
  5: ['body', anyValue],
  6: ['attributes', [keyValue]],
  9: ['traceId', hex],
  10: ['spanId', hex],
  11: ['observedTimeUnixNano', nanos],
  12: ['eventName', text]
})
const span = message({
  1: ['traceId', hex],
  2: ['spanId', hex],
  4: ['parentSpanId', hex],
  5: ['name', text],
  6: ['kind', int],
  7: ['startTimeUnixNano', nanos],
  8: ['endTimeUnixNano', nanos],
  9: ['attributes', [keyValue]],
  11: ['events', [message({})]],
  15: ['status', message({ 2: ['message', text], 3: ['code', int] })]
})
for (const [number, field] of message({
  1: ['stringValue', text],
  2: ['boolValue', flag],
  3: ['intValue', int64],
  4: ['doubleValue', double],
  5: ['arrayValue', message({ 1: ['values', [anyValue]] })],
  6: ['kvlistValue', message({ 1: ['values', [keyValue]] })],
  7: ['bytesValue', base64]
})) anyValue.set(number, field)
const recordOf = { logs: logRecord, traces: span }

/** The records of a protobuf request as the JSON mapping of OTLP has them, each read when it is asked for. */
export async function recordsIn (bytes: Buffer, signal: Signal): Promise<Iterable<Found>> {
  // Not at the start: most servers never get one.
  const { default: { Reader } } = await import('protobufjs/minimal.js')
  return walk((part) => Reader.create(part), bytes, signal)
}

function * walk (open: (bytes: Uint8Array) => Reader, bytes: Uint8Array, signal: Signal): Generator<Found> {
  let fields = 0
  /** The bytes of one repeated message field. The order of fields is free, so whoever needs two of them goes twice. */
  function * parts (message: Uint8Array, wanted: number): Generator<Uint8Array> {
    for (const reader = open(message); reader.pos < reader.len;) {
      if (++fields > mostFields) throw new ApiError('payload_too_large', `the request has more than ${mostFields} fields: send smaller batches`)
      const tag = reader.uint32()
      if (tag === (wanted << 3 | 2)) yield reader.bytes()
      else reader.skipType(tag & 7)
    }
  }

  try {
    for (const ofResource of parts(bytes, 1)) {
      const from = last(parts(ofResource, 1))
      const { attributes } = from === undefined ? {} : read(open(from), resource, 0)
      for (const ofScope of parts(ofResource, 2)) {
        const by = last(parts(ofScope, 1))
        const { name } = by === undefined ? {} : read(open(by), scope, 0)
        for (const record of parts(ofScope, 2)) {
          yield record.length > mostBytes
            ? { reason: 'a record may have 256 KiB' }
            : { record: read(open(record), recordOf[signal], 0), resource: attributes, scope: name }
        }
      }
    }
  } catch (error) {
    if (error instanceof ApiError) throw error
    throw new ApiError('bad_request', `the body is no ${names[signal].request} in protobuf`)
  }
}

function read (reader: Reader, fields: Message, depth: number, end = reader.len): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  while (reader.pos < end) {
    const tag = reader.uint32()
    const field = fields.get(tag >>> 3)
    if (field === undefined || field.wire !== (tag & 7) || depth > mostLevels) reader.skipType(tag & 7)
    else if (!field.repeated) found[field.name] = field.read(reader, depth)
    else {
      const values = (found[field.name] ??= []) as unknown[] // made here and nowhere else
      if (values.length < mostRepeated) values.push(field.read(reader, depth))
      else reader.skipType(field.wire)
    }
  }
  if (reader.pos !== end) throw new RangeError('a message ends in the midst of a field')
  return found
}

function message (fields: Record<number, [name: string, kind: Read | Message | [Message]]>): Message {
  return new Map(Object.entries(fields).map(([number, [name, kind]]) => {
    const one = Array.isArray(kind) ? kind[0] : kind
    return [Number(number), { name, repeated: Array.isArray(kind), ...(typeof one === 'function' ? { wire: wireOf(one), read: one } : { wire: 2, read: inner(one) }) }]
  }))
}

function inner (fields: Message): Read {
  return (reader, depth) => {
    const length = reader.uint32()
    const end = reader.pos + length
    if (end > reader.len) throw new RangeError('a message is longer than its bytes')
    return read(reader, fields, depth + 1, end)
  }
}

function wireOf (kind: Read): number {
  return kind === nanos || kind === double ? 1 : kind === int || kind === flag || kind === int64 ? 0 : 2
}

function bytesOf (reader: Reader): Buffer {
  const { buffer, byteOffset, length } = reader.bytes()
  return Buffer.from(buffer, byteOffset, length)
}

function last<T> (items: Iterable<T>): T | undefined {
  let found: T | undefined
  for (const item of items) found = item
  return found
}

/** The same answer as the bytes of its protobuf message. */
export async function encode ({ partialSuccess }: OtlpAnswer): Promise<Buffer> {
  if (partialSuccess === undefined) return Buffer.alloc(0)
  const { default: { Writer } } = await import('protobufjs/minimal.js')
  const { rejectedLogRecords, rejectedSpans, errorMessage } = partialSuccess
  const writer = Writer.create().uint32(1 << 3 | 2).fork()
  writer.uint32(1 << 3).int64(Number(rejectedLogRecords ?? rejectedSpans)).uint32(2 << 3 | 2).string(errorMessage).ldelim()
  return Buffer.from(writer.finish())
}
