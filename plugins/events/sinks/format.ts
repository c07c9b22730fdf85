import type { Recorded, Topic } from '../recorded.ts'
import { levelOf } from './level.ts'

/** An event as one line, without its end. */
export type Format = (topic: Topic, recorded: Recorded) => string
type Facts = Record<string, unknown>

const absent = '-'
const readable = '[{time}] | {level8} | {trace_id} | {component}:{operation} - {message}'
/** What would end a line, or drive the terminal that shows it. */
const controls = /[\p{Cc}\u2028\u2029]/gu
const hasControls = /[\p{Cc}\u2028\u2029]/u

const placeholders: Record<string, (topic: Topic, recorded: Recorded, event: Facts) => unknown> = {
  time: (_topic, _recorded, event) => event.timestamp,
  level: (topic, recorded) => levelOf(topic, recorded).toUpperCase(),
  trace_id: (_topic, _recorded, event) => event.traceId,
  span_id: (_topic, _recorded, event) => event.spanId,
  service: (_topic, _recorded, event) => event.service,
  component: (_topic, _recorded, event) => event.component ?? event.service,
  operation: (_topic, _recorded, event) => event.operation ?? event.operationId ?? event.event ?? event.name,
  message: (_topic, _recorded, event) => event.message ?? event.name,
  duration: (_topic, _recorded, event) => event.duration ?? event.durationMs,
  json: (topic, recorded) => jsonLine(topic, recorded)
}
const level8 = (topic: Topic, recorded: Recorded) => levelOf(topic, recorded).toUpperCase().padEnd(8)

/** The lines that `tracing_format` asks for; throws for a placeholder that there is none of. */
export function formatOf (format: string | undefined): Format {
  if (format === undefined) return jsonLine
  const pieces = (format === 'readable' ? readable : format).split(/\{(\w+)\}/)
  const parts = pieces.map((piece, index) => index % 2 === 0 ? piece : valueOf(piece, format))
  return (topic, recorded) => {
    const event: Facts = recorded.event
    let line = ''
    for (const part of parts) line += typeof part === 'string' ? part : shown(part(topic, recorded, event))
    return line
  }
}

function valueOf (name: string, format: string): NonNullable<(typeof placeholders)[string]> {
  const value = name === 'level8' && format === 'readable' ? level8 : placeholders[name]
  if (value !== undefined && (value === level8 || Object.hasOwn(placeholders, name))) return value
  throw new Error(`api.tracing_format has no {${name}}: use ${Object.keys(placeholders).map((known) => `{${known}}`).join(', ')}, or readable`)
}

function shown (value: unknown): string {
  if (value === undefined || value === null) return absent
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  return hasControls.test(text) ? text.replace(controls, escaped) : text
}

function escaped (control: string): string {
  return control <= '\x1f' ? JSON.stringify(control).slice(1, -1) : `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** The event as JSON, with its topic as the last member: of two with one name readers take the last. */
export function jsonLine (topic: Topic, { text }: Recorded): string {
  return `${text.slice(0, text.lastIndexOf('}'))},"topic":"${topic}"}`
}
