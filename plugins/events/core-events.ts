import { createHash } from 'node:crypto'
import type { Level, LogEvent } from '../../schemas/logs.ts'
import type { TraceEvent } from '../../schemas/traces.ts'

export type TraceOf = (requestId: string) => { traceId: string, spanId: string } | undefined
export interface CoreEvents { id: string, log: LogEvent, trace: TraceEvent | undefined }

/** What the Core writes; nothing of it is sure. */
type Facts = Record<string, unknown>

const levels: Record<string, Level> = { debug: 'debug', info: 'info', warning: 'warn', warn: 'warn', error: 'error', critical: 'error', fatal: 'error' }
/** The steps of a conversation under their own names, by how the name of the Core's event begins. */
const steps: [begin: string, component: string, operation: string][] = [
  ['request.received', 'user', 'message'],
  ['overlord.routing.', 'overlord', 'route'],
  ['overlord.agent.', 'overlord', 'route'],
  ['agent.message.processing', 'agent', 'process_start'],
  ['mcp.tool.call_completed', 'agent', 'tool_result'],
  ['mcp.tool.call_failed', 'agent', 'tool_result'],
  ['mcp.tool.call', 'agent', 'tool_call'],
  ['model.request.', 'model', 'request'],
  ['agent.response.', 'agent', 'response'],
  ['request.completed', 'overlord', 'response'],
  ['request.failed', 'overlord', 'response']
]
const longest = { message: 8_192, id: 256, text: 1_024, data: 16_384 }
/** Counted tokens are none. */
const secret = /(?:keys?|token|secrets?|passwords?|credentials?|authorization)$/i

/** One line of the Core's file as an event of the log, and, where it belongs to a request, as a span; undefined where it is no event. The same line makes the same events everywhere. */
export function eventsOf (line: string, traceOf?: TraceOf): CoreEvents | undefined {
  const facts = factsOf(line)
  if (typeof facts?.event !== 'string' || facts.event === '') return undefined
  const event = facts.event.slice(0, longest.id)
  const request = objectOf(facts.request)
  const data = objectOf(facts.data)
  const id = textOf(facts.id) ?? sha256(line)
  const at = timeOf(facts.timestamp)
  const requestId = textOf(request.id)
  const trace = requestId === undefined ? undefined : traceOf?.(requestId)
  const common = {
    traceId: requestId === undefined ? undefined : trace?.traceId ?? sha256(requestId).slice(0, 32),
    userId: textOf(request.user_id),
    sessionId: textOf(facts.session_id),
    agentId: textOf(data.agent_id) ?? textOf(data.agent)
  }
  const level = levels[String(facts.level).toLowerCase()] ?? 'info'
  const message = typeof data.description === 'string' && data.description !== '' ? data.description.slice(0, longest.message) : event
  const spanId = sha256(id).slice(0, 16)
  const log = present({ timestamp: new Date(at).toISOString(), level, message, service: 'muxi-core', event, requestId, ...common, spanId: requestId === undefined ? undefined : spanId }) as LogEvent
  if (common.traceId === undefined) return { id, log, trace: undefined }

  const [component, operation] = stepOf(event)
  // That of the request is the time since its beginning; a step has its own.
  const duration = typeof data.duration_ms === 'number' && data.duration_ms >= 0 && data.duration_ms < 1e12 ? data.duration_ms : 0
  return {
    id,
    log,
    trace: present({
      timestamp: new Date(Math.max(0, at - duration)).toISOString(),
      ...common,
      spanId,
      name: `${component}.${operation}`,
      duration,
      status: /[._]failed$/.test(event) || level === 'error' ? 'error' : 'ok',
      parentSpanId: trace?.spanId,
      service: 'muxi-core',
      component,
      operation,
      message,
      requestId,
      data: { ...boundedOf(data), event, ...(typeof request.duration_ms === 'number' && { requestMs: request.duration_ms }) }
    }) as TraceEvent
  }
}

function stepOf (event: string): [component: string, operation: string] {
  for (const [begin, component, operation] of steps) if (event.startsWith(begin)) return [component, operation]
  const [component, ...rest] = event.split('.')
  return [component!, rest.length === 0 ? 'event' : rest.join('_')]
}

/** As much of it as fits: long texts are cut, secrets covered, members beyond the bound left out and counted. */
function boundedOf (data: Facts): Facts {
  const kept: Facts = {}
  let bytes = 0
  let omitted = 0
  for (const [name, value] of Object.entries(data)) {
    if (name === 'description') continue
    const text = JSON.stringify(value, (member, inner: unknown) => {
      if (typeof inner !== 'string' && typeof inner !== 'object') return inner
      if (secret.test(member === '' ? name : member)) return '[redacted]'
      return typeof inner === 'string' && inner.length > longest.text ? `${inner.slice(0, longest.text)}…` : inner
    })
    bytes += name.length + Buffer.byteLength(text)
    if (bytes > longest.data) omitted++
    else kept[name] = JSON.parse(text)
  }
  return omitted === 0 ? kept : { ...kept, omitted }
}

function factsOf (line: string): Facts | undefined {
  try {
    const facts: unknown = JSON.parse(line)
    return typeof facts === 'object' && facts !== null && !Array.isArray(facts) ? facts as Facts : undefined
  } catch {
    return undefined
  }
}

function objectOf (value: unknown): Facts {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Facts : {}
}

function textOf (value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, longest.id) : undefined
}

/** In ms. What is no time is now. */
function timeOf (value: unknown): number {
  const ms = typeof value === 'string' ? Date.parse(value) : typeof value === 'number' ? value : NaN
  return Math.abs(ms) <= 8.64e15 ? ms : Date.now()
}

function present (facts: Facts): Facts {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}

function sha256 (text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
