import { levels, type Level, type StreamQuery } from '../../schemas/logs.ts'
import type { Event, Recorded, Topic } from './recorded.ts'

type Asked = Pick<StreamQuery, 'level' | 'service' | 'traceId' | 'spanId' | 'component' | 'operation' | 'from'>

/** Which events a client wants. Filters with the same key let the same events pass. */
export interface Filter {
  key: string
  /** As the client asked for it. */
  asked: Record<string, unknown>
  passes: (recorded: Recorded) => boolean
}

const names = ['level', 'service', 'traceId', 'spanId', 'component', 'operation', 'from'] as const
const all = () => true

/** A query as a filter. Without conditions no event is ever looked into. */
export function filterOf (topic: Topic, query: Asked): Filter {
  const asked = Object.fromEntries(names.flatMap((name) => query[name] === undefined ? [] : [[name, query[name]]]))
  const tests = testsOf(topic, query)
  const passes = tests.length === 0 ? all : ({ event }: Recorded) => tests.every((test) => test(event as Event & Loose))
  return { key: JSON.stringify(asked), asked, passes }
}

/** Members that one of the two kinds has, or that a sender added. */
interface Loose { level?: string, status?: string, operationId?: unknown, component?: unknown, operation?: unknown }

function testsOf (topic: Topic, { level, service, traceId, spanId, component, operation, from }: Asked): ((event: Event & Loose) => boolean)[] {
  const tests: ((event: Event & Loose) => boolean)[] = []
  if (level !== undefined && topic === 'logs') {
    const least = levels.indexOf(level)
    tests.push((event) => levels.indexOf(event.level as Level) >= least)
  }
  // Spans have no level: those that failed are errors.
  if (level === 'error' && topic === 'traces') tests.push(({ status }) => status === 'error')
  if (service !== undefined) tests.push((event) => event.service === service)
  if (traceId !== undefined) {
    const begin = traceId.toLowerCase()
    tests.push((event) => event.traceId?.startsWith(begin) === true)
  }
  if (spanId !== undefined) {
    const whole = spanId.toLowerCase()
    tests.push((event) => event.spanId === whole)
  }
  if (component !== undefined) tests.push((event) => event.component === component)
  if (operation !== undefined) tests.push((event) => event.operation === operation || event.operationId === operation)
  if (from !== undefined) {
    const begin = Date.parse(from)
    tests.push(({ timestamp }) => Date.parse(timestamp) > begin)
  }
  return tests
}
