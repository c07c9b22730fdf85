import { UsageError } from '../usage.ts'

type Flags = Record<string, string | boolean | undefined>
/** Members that spans, lines of the log, or both have. */
export interface Told extends Record<string, unknown> {
  id?: string
  timestamp?: string
  level?: string
  status?: string
  traceId?: string
  component?: string
  operation?: string
  operationId?: string
}

/** What the command line wants to see. */
export interface Asked {
  topic: 'traces' | 'logs'
  follow: boolean
  component: string | undefined
  operation: string | undefined
  traceId: string | undefined
  /** RFC 3339 */
  from: string | undefined
  level: string | undefined
  limit: number | undefined
}

export const levels = ['debug', 'info', 'warn', 'error']
const units: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const moment = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/
const mostLines = 10_000

/** Reads the flags that say what is wanted, or throws what is wrong with them. */
export function askedIn (flags: Flags, now = Date.now()): Asked {
  const text = (name: string) => typeof flags[name] === 'string' ? flags[name] : undefined
  const [level, traceId, limit] = [text('level'), text('trace-id')?.toLowerCase(), text('limit')]
  if (level !== undefined && !levels.includes(level)) throw new UsageError(`--level must be one of ${levels.join(', ')}`)
  if (traceId !== undefined && !/^[0-9a-f]{8,32}$/.test(traceId)) throw new UsageError('--trace-id must be 8 to 32 hex digits: the id or its beginning')
  if (limit !== undefined && !(/^\d{1,5}$/.test(limit) && Number(limit) >= 1 && Number(limit) <= mostLines)) throw new UsageError(`--limit must be a whole number from 1 to ${mostLines}`)
  for (const name of ['component', 'operation']) if (text(name) === '') throw new UsageError(`--${name} must not be empty`)
  return {
    topic: flags.logs === true ? 'logs' : 'traces',
    follow: flags.follow === true,
    component: text('component'),
    operation: text('operation'),
    traceId,
    from: timeIn(text('from'), now),
    level,
    limit: limit === undefined ? undefined : Number(limit)
  }
}

/** Whether an event of a file is wanted: the same conditions as the server's. */
export function fits ({ component, operation, traceId, from, level }: Asked, event: Told): boolean {
  return (component === undefined || event.component === component) &&
    (operation === undefined || event.operation === operation || event.operationId === operation) &&
    (traceId === undefined || String(event.traceId).startsWith(traceId)) &&
    (from === undefined || Date.parse(String(event.timestamp)) >= Date.parse(from)) &&
    (level === undefined || isAtLeast(level, event))
}

/** Whether an event tells of a span, not of a line of the log. */
export function isSpan (event: Told): boolean {
  return typeof event.spanId === 'string' && typeof event.duration === 'number' && typeof event.name === 'string'
}

/** Spans have no level: those that failed are errors, and lower levels mean all. */
function isAtLeast (least: string, event: Told): boolean {
  if (isSpan(event)) return least !== 'error' || event.status === 'error'
  const level = event.level === 'fatal' ? 'error' : String(event.level)
  return levels.indexOf(level) >= levels.indexOf(least)
}

function timeIn (text: string | undefined, now: number): string | undefined {
  if (text === undefined) return undefined
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (unit !== undefined) return new Date(now - Number(count) * units[unit]!).toISOString()
  if (!moment.test(text) || Number.isNaN(Date.parse(text))) throw new UsageError('--from must be a time such as 2026-03-02T09:30:45Z, or how long ago, such as 10m, 2h or 1d')
  return text
}
