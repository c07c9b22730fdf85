import type { LogEvent, Level } from '../../schemas/logs.ts'
import type { TraceEvent } from '../../schemas/traces.ts'
import { member, type Found, type Signal } from './records.ts'
import { Room } from './room.ts'
import { attribute, attributesOf, plainOf } from './values.ts'

/** An event as it is published, or why the record makes none. */
export type Mapped = { event: LogEvent, once?: undefined } | { event: TraceEvent, once: string } | { reason: string }
type Given = { record: unknown, resource: unknown, scope: unknown }

/** The largest text of an event; the names of its members and what is short take a part of it. */
const mostBytes = 65_536 - 1_024
const mostMessage = 49_152
const mostName = 512
/** What 64 bits hold: the year 2554. */
const mostNanos = 2n ** 64n - 1n

const kinds = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer']
const levelOf: [RegExp, Level][] = [[/^(?:trace|debug|verbose)/i, 'debug'], [/^(?:info|notice)/i, 'info'], [/^warn/i, 'warn'], [/^(?:err|fatal|crit|alert|emerg|panic|severe)/i, 'error']]

/** Turns a record of OTLP into an event; `now` is for logs that have no time. */
export function eventOf (found: Found, signal: Signal, now: Date): Mapped {
  if ('reason' in found) return found
  if (typeof found.record !== 'object' || found.record === null) return { reason: 'a record must be object' }
  return signal === 'logs' ? logOf(found, now) : spanOf(found)
}

function logOf ({ record, resource, scope }: Given, now: Date): Mapped {
  const { timeUnixNano, observedTimeUnixNano, severityNumber, severityText, body, attributes, traceId, spanId, eventName } = record as { [name: string]: unknown }
  const [at, seen] = [nanosOf(timeUnixNano), nanosOf(observedTimeUnixNano)]
  if (at === undefined || seen === undefined) return { reason: 'timeUnixNano must be nanoseconds since 1970' }
  const [trace, span] = [idOf(traceId, 32), idOf(spanId, 16)]
  if (trace === undefined) return { reason: 'traceId must be 32 hex digits' }
  if (span === undefined) return { reason: 'spanId must be 16 hex digits' }
  const time = at === 0n ? seen : at
  const room = new Room(mostBytes)
  const content = plainOf(body, room) ?? eventName ?? ''
  const message = room.text(typeof content === 'string' ? content : JSON.stringify(content), mostMessage)
  const service = serviceOf(resource, room)
  const by = typeof scope === 'string' ? room.text(scope, mostName) : ''
  const facts = attributesOf(attributes, room)
  return {
    event: {
      timestamp: time === 0n ? now.toISOString() : timestampOf(time),
      level: severityOf(severityNumber, severityText),
      message,
      service,
      ...(trace !== '' && { traceId: trace }),
      ...(span !== '' && { spanId: span }),
      ...(by !== '' && { scope: by }),
      ...(Object.keys(facts).length > 0 && { attributes: facts }),
      ...(room.truncated && { truncated: true })
    }
  }
}

function spanOf ({ record, resource, scope }: Given): Mapped {
  const { traceId, spanId, parentSpanId, name, kind, startTimeUnixNano, endTimeUnixNano, attributes, events, status } = record as { [name: string]: unknown }
  const [trace, span, parent] = [idOf(traceId, 32), idOf(spanId, 16), idOf(parentSpanId, 16)]
  if (trace === undefined || trace === '') return { reason: 'traceId must be 32 hex digits' }
  if (span === undefined || span === '') return { reason: 'spanId must be 16 hex digits' }
  if (parent === undefined) return { reason: 'parentSpanId must be 16 hex digits' }
  const [start, end] = [nanosOf(startTimeUnixNano), nanosOf(endTimeUnixNano)]
  if (start === undefined || end === undefined || start === 0n) return { reason: 'startTimeUnixNano and endTimeUnixNano must be nanoseconds since 1970' }
  const room = new Room(mostBytes)
  const short = (text: string) => room.text(text, mostName)
  const called = typeof name === 'string' && name !== '' ? short(name) : 'unnamed'
  const service = serviceOf(resource, room)
  const said = member(status, 'message')
  const message = typeof said === 'string' ? room.text(said, mostMessage / 3) : ''
  const by = typeof scope === 'string' ? short(scope) : ''
  const named = (...keys: string[]) => {
    const found = keys.map((key) => attribute(attributes, key)).find((text) => text !== undefined)
    return found === undefined ? undefined : short(found)
  }
  const [component = service, operation = called, userId, agentId] = [named('muxi.component'), named('muxi.operation'), named('enduser.id', 'user.id'), named('gen_ai.agent.id')]
  const facts = attributesOf(attributes, room)
  return {
    once: `${trace}:${span}`,
    event: {
      timestamp: timestampOf(start),
      traceId: trace,
      spanId: span,
      name: called,
      // Clocks are set back at times.
      duration: end > start ? Number(end - start) / 1e6 : 0,
      status: Number(member(status, 'code')) === 2 ? 'error' : 'ok',
      ...(parent !== '' && { parentSpanId: parent }),
      service,
      component,
      operation,
      ...(message !== '' && { message }),
      ...(userId !== undefined && { userId }),
      ...(agentId !== undefined && { agentId }),
      ...(by !== '' && { scope: by }),
      data: { ...facts, kind: kinds[Number(kind)] ?? 'unspecified', ...(Array.isArray(events) && events.length > 0 && { events: events.length }) },
      ...(room.truncated && { truncated: true })
    }
  }
}

function serviceOf (resource: unknown, room: Room): string {
  return room.text(attribute(resource, 'service.name') ?? 'unknown_service', mostName)
}

/** SeverityNumber 1 to 24; a sender that has none may have a word. */
function severityOf (number: unknown, text: unknown): Level {
  const severity = Number(number)
  if (severity >= 1 && severity <= 24) return severity < 9 ? 'debug' : severity < 13 ? 'info' : severity < 17 ? 'warn' : 'error'
  return levelOf.find(([words]) => typeof text === 'string' && words.test(text))?.[1] ?? 'info'
}

/** In lower case; empty where there is none, which all zeros mean, too (W3C Trace Context); undefined where it is no id. */
function idOf (given: unknown, digits: number): string | undefined {
  const value = given ?? ''
  if (typeof value !== 'string' || (value !== '' && (value.length !== digits || !/^[0-9a-f]+$/i.test(value)))) return undefined
  return /^0*$/.test(value) ? '' : value.toLowerCase()
}

/** 0 where there is none; undefined where it is no time. */
function nanosOf (given: unknown): bigint | undefined {
  const value = given ?? 0
  const isTime = typeof value === 'number' ? Number.isInteger(value) && value >= 0 : typeof value === 'string' && /^\d{1,20}$/.test(value)
  const nanos = isTime ? BigInt(value as string | number) : undefined
  return nanos !== undefined && nanos <= mostNanos ? nanos : undefined
}

function timestampOf (nanos: bigint): string {
  return new Date(Number(nanos / 1_000_000n)).toISOString()
}
