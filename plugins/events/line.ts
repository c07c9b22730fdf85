import type { Event } from './recorded.ts'

const mostCharacters = 65_536
const mostShown = 8_192
/** Of the log's levels the streams know four; the level is the first member of a line. */
const others = { '{"level":"fatal"': '{"level":"error"', '{"level":"trace"': '{"level":"debug"' } as const

/** A line of the log as the text of an event. */
export function lineOf (line: string): string {
  const begin = line.slice(0, 16)
  const level = begin in others ? others[begin as keyof typeof others] + line.slice(16) : line
  return level.length > mostCharacters ? JSON.stringify(shortened(JSON.parse(level) as Event)) : level
}

/** An event of at most 64 Ki characters: of a longer one the facts that streams are filtered by, the beginning of its message, and a mark. */
export function shortened (event: Event): Event {
  const { message = '' } = event as { message?: string }
  if (!isLong(event)) return event
  const { timestamp, service, traceId, spanId, level, requestId, operationId, statusCode, durationMs, name, duration, status, parentSpanId, component, operation, userId, agentId } = event as Record<string, unknown>
  return {
    timestamp, level, message: message.slice(0, mostShown), service, traceId, spanId, requestId, operationId, statusCode, durationMs, name, duration, status, parentSpanId, component, operation, userId, agentId, truncated: true
  } as unknown as Event // the same members, of which JSON leaves out those that are undefined
}

/** Without writing it out: an event whose texts are short is short, and nearly all are. */
function isLong (event: Event): boolean {
  return roughly(event, 8) > mostCharacters
}

function roughly (value: unknown, levels: number): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  if (levels === 0) return mostCharacters + 1
  let size = 2
  for (const name in value) {
    size += name.length + roughly((value as Record<string, unknown>)[name], levels - 1)
    if (size > mostCharacters) break
  }
  return size
}
