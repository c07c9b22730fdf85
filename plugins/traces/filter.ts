import type { TraceEvent, TraceListQuery, TraceSearchBody } from '../../schemas/traces.ts'

/** A condition on a span that is kept. */
export type Test = (event: TraceEvent) => boolean

const words = ['service', 'component', 'operation', 'agentId', 'status'] as const
type Word = (typeof words)[number]
type Facts = { [name in Word | 'traceId' | 'spanId' | 'userId']?: readonly string[] | undefined }

/** Whether a span fits a query of `trace_list`. */
export function fitsList ({ traceId, spanId, service, component, operation, userId, agentId, status, from, to }: TraceListQuery): Test {
  const one = (value: string | undefined) => value === undefined ? undefined : [value]
  return all([...timeTests(from, to), ...factTests({ traceId: one(traceId), spanId: one(spanId), service: one(service), component: one(component), operation: one(operation), userId: one(userId), agentId: one(agentId), status: one(status) })])
}

/** Whether a span fits a body of `trace_search`. */
export function fitsSearch ({ query, from, to, filters = {}, duration: { min, max } = {} }: TraceSearchBody): Test {
  const tests = [...timeTests(from, to), ...factTests(filters)]
  if (min !== undefined) tests.push(({ duration }) => duration >= min)
  if (max !== undefined) tests.push(({ duration }) => duration <= max)
  // Last: looking through the data costs most.
  if (query !== undefined) tests.push(textTest(query.toLowerCase()))
  return all(tests)
}

/** When a span began, in ms; senders are checked for their times, so 0 is for what was kept before that. */
export function beganAt ({ timestamp }: TraceEvent): number {
  return Date.parse(timestamp) || 0
}

function all (tests: Test[]): Test {
  return (event) => tests.every((test) => test(event))
}

function timeTests (from: string | undefined, to: string | undefined): Test[] {
  const [since, until] = [from, to].map((time) => time === undefined ? undefined : Date.parse(time))
  return [
    ...since === undefined ? [] : [(event: TraceEvent) => beganAt(event) >= since],
    ...until === undefined ? [] : [(event: TraceEvent) => beganAt(event) < until]
  ]
}

/** All must hold, of each list one; an empty list asks for nothing. */
function factTests ({ traceId = [], spanId = [], userId = [], ...rest }: Facts): Test[] {
  const tests: Test[] = []
  const traces = traceId.map((id) => id.toLowerCase())
  if (traces.length > 0) tests.push((event) => traces.some((begin) => event.traceId.startsWith(begin)))
  const add = (name: Word | 'spanId' | 'userId', values: readonly string[]) => {
    const wanted = new Set<string | undefined>(values)
    if (wanted.size > 0) tests.push((event) => wanted.has(event[name]))
  }
  for (const name of words) add(name, rest[name] ?? [])
  add('spanId', spanId.map((id) => id.toLowerCase()))
  add('userId', userId.flatMap((user) => [user, folded(user)]))
  return tests
}

function textTest (wanted: string): Test {
  const holds = (text: string | undefined) => text?.toLowerCase().includes(wanted) === true
  return ({ message, name, data }) => holds(message) || holds(name) || (data !== undefined && holds(JSON.stringify(data)))
}

/** E-mail addresses compare in lower case, as the Core folds them. */
function folded (user: string): string {
  return /^[^@\s]+@[^@\s]+$/.test(user) ? user.toLowerCase() : user
}
