import { gunzipSync } from 'node:zlib'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Recorded } from '../../../../plugins/events/recorded.ts'

export const span = (facts: object = {}) => Recorded.ofEvent({ timestamp: '2026-03-02T09:30:45.120Z', traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', name: 'core.call', duration: 45, status: 'ok', service: 'muxi-api', component: 'core', operation: 'call', ...facts })

/** A line as our own log writes it. */
export const line = (facts: object = {}) => Recorded.ofText(`${JSON.stringify({ level: 'info', timestamp: '2026-03-02T09:30:45.120Z', service: 'muxi-api', message: 'request', ...facts })}\n`)

/** What a sink says goes wrong. */
export function complaints () {
  const said: { message: string, facts: Record<string, unknown> }[] = []
  return { said, log: { warn: (facts: object, message?: string) => { said.push({ message: message!, facts: facts as Record<string, unknown> }) } } as { warn: () => void } }
}

/** The lines of every file in a folder, packed or not, in the order of their names. */
export function allLines (folder: string): string[] {
  const files = readdirSync(folder).filter((name) => !name.endsWith('.part')).sort((one, two) => orderOf(one) < orderOf(two) ? -1 : 1)
  return files.flatMap((name) => {
    const bytes = readFileSync(join(folder, name))
    return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().split('\n').slice(0, -1)
  })
}

/** The current file comes last. */
function orderOf (name: string): string {
  const [, time = '~', count = '0'] = /\.(\d{8}T\d{6}\.\d{3}Z)\.(\d+)/.exec(name) ?? []
  return `${time}.${count.padStart(8, '0')}`
}
