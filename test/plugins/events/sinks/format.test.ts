import { expect, test } from 'vitest'
import { formatOf } from '../../../../plugins/events/sinks/format.ts'
import { isAtLeast } from '../../../../plugins/events/sinks/level.ts'
import { line, span } from './inputs.ts'

test('without a format a line is the event as JSON, with its topic', () => {
  const lines = [formatOf(undefined)('logs', line()), formatOf(undefined)('traces', span({ topic: 'logs' }))]

  expect(lines.map((one) => JSON.parse(one) as object)).toMatchObject([{ level: 'info', message: 'request', topic: 'logs' }, { name: 'core.call', duration: 45, topic: 'traces' }])
  expect(lines.join('')).not.toContain('\n')
})

test('a readable line has time, level, trace, who did what, and the message', () => {
  const readable = formatOf('readable')

  expect(readable('traces', span({ message: 'GET /agents' }))).toBe('[2026-03-02T09:30:45.120Z] | TRACE    | 4bf92f3577b34da6a3ce929d0e0e4736 | core:call - GET /agents')
  expect(readable('traces', span({ status: 'error' }))).toBe('[2026-03-02T09:30:45.120Z] | ERROR    | 4bf92f3577b34da6a3ce929d0e0e4736 | core:call - core.call')
  expect(readable('logs', line({ operationId: 'agent_list' }))).toBe('[2026-03-02T09:30:45.120Z] | INFO     | - | muxi-api:agent_list - request')
})

test('what would tear a line or drive a terminal is written as an escape', () => {
  expect(formatOf('{message}')('logs', line({ message: 'a\nb\r\tc\x1b[2J\u2028d\x9b' }))).toBe('a\\nb\\r\\tc\\u001b[2J\\u2028d\\u009b')
})

test('a format of one\'s own takes every placeholder, and braces that are none', () => {
  const format = formatOf('{"t":"{time}"} {level} {trace_id} {span_id} {service} {component} {operation} {message} {duration}')

  expect(format('traces', span())).toBe('{"t":"2026-03-02T09:30:45.120Z"} TRACE 4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 muxi-api core call core.call 45')
  expect(JSON.parse(formatOf('{json}')('traces', span()))).toMatchObject({ name: 'core.call' })
})

test.each(['{what} {message}', '{constructor}', '{level8}'])('a format with a placeholder that there is none of is refused: %s', (format) => {
  expect(() => formatOf(format)).toThrow(/^api\.tracing_format has no \{\w+\}: use \{time\}, .*\{json\}, or readable$/)
})

test('spans are below every level unless they failed', () => {
  const passed = (['trace', 'debug', 'info', 'warn', 'error'] as const).map((level) => [span(), span({ status: 'error' })].map((one) => isAtLeast(level, 'traces', one)))

  expect(passed).toEqual([[true, true], [false, true], [false, true], [false, true], [false, true]])
})

test('events of the log pass at their level and above', () => {
  const events = ['debug', 'info', 'warn', 'error', 'fatal'].map((level) => line({ level }))

  expect(events.map((one) => isAtLeast('warn', 'logs', one))).toEqual([false, false, true, true, true])
  expect(isAtLeast('warn', 'logs', line({ message: '"level":"error"' }))).toBe(false)
})
