import type { Config } from '../../../config.ts'
import type { LogEvent } from '../../../schemas/logs.ts'
import type { TraceEvent } from '../../../schemas/traces.ts'
import type { Recorded, Topic } from '../recorded.ts'

type Level = Config['api']['tracing_level']

const ranks: Record<string, number> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, fatal: 4 }
/** How our own log begins each line: it need not be read for its level. */
const begin = /^\{"level":"([a-z]+)"/

/** Whether an event is at least that severe. Spans are of level trace, or error when they failed. */
export function isAtLeast (least: Level, topic: Topic, recorded: Recorded): boolean {
  return least === 'trace' || (ranks[levelOf(topic, recorded)] ?? 0) >= ranks[least]!
}

/** Its level, as the file names it. */
export function levelOf (topic: Topic, recorded: Recorded): string {
  if (topic === 'logs') return begin.exec(recorded.text)?.[1] ?? (recorded.event as LogEvent).level
  return (recorded.event as TraceEvent).status === 'error' ? 'error' : 'trace'
}
