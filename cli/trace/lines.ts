import { isSpan, type Told } from './asked.ts'

const nameWidth = 28
const durationWidth = 10
// What would end a line, or drive the terminal that shows it.
const controls = /[\p{Cc}\u2028\u2029]/gu
const colours: Record<string, string> = { ERROR: '31', FATAL: '31', WARN: '33' }

/** An event as a line for people: time, level, trace, who did what, how long, and what it says. */
export function lineOf (event: Told, colour: boolean): string {
  const span = isSpan(event)
  const level = (span ? (event.status === 'error' ? 'error' : 'trace') : String(event.level ?? '-')).toUpperCase()
  const duration = event.duration ?? event.durationMs
  const line = [
    timeOf(event).padEnd(24),
    level.padEnd(5),
    String(event.traceId ?? '-').slice(0, 8).padEnd(8),
    visible(nameOf(event)).padEnd(nameWidth),
    (typeof duration === 'number' ? `${Math.round(duration * 10) / 10} ms` : '').padStart(durationWidth),
    visible(messageOf(event))
  ].join('  ').trimEnd()
  const code = colour ? colours[level] : undefined
  return code === undefined ? line : `\u001b[${code}m${line}\u001b[0m`
}

/** An event as JSON on one line, safe to look at on a terminal, too. */
export function jsonOf (event: Told): string {
  return JSON.stringify(event).replace(controls, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Text as it may be shown: what drives a terminal is spelled out. */
export function visible (text: string): string {
  return text.replace(controls, (control) => control === '\t' ? control : control === '\n' ? '\\n' : `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** Whether lines get colours: on a terminal, unless the environment says otherwise. */
export function isColourful ({ NO_COLOR: none, FORCE_COLOR: forced }: NodeJS.ProcessEnv, { isTTY }: { isTTY?: boolean }): boolean {
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  return (none === undefined || none === '') && isTTY === true
}

function timeOf ({ timestamp }: Told): string {
  const ms = Date.parse(String(timestamp))
  return Number.isNaN(ms) ? '-' : new Date(ms).toISOString()
}

function nameOf ({ component, operation, operationId, service, name }: Told): string {
  const what = operation ?? operationId
  if (component === undefined && typeof name === 'string') return name
  return [component ?? service ?? '-', what].filter((part) => typeof part === 'string' && part !== '' && part !== 'none').join('.')
}

/** What it says, or else its name where that tells more than who did what; and how it came out. */
function messageOf ({ message, name, method, path, statusCode, error, data, ...event }: Told): string {
  const text = message ?? (nameOf({ name, ...event }) === name ? undefined : name)
  const status = statusCode ?? (data as { statusCode?: unknown } | undefined)?.statusCode
  return [text, method, path, status, typeof error === 'string' ? error : undefined].filter((part) => (typeof part === 'string' && part !== '') || typeof part === 'number').join(' ')
}
