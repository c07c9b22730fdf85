import { invalid } from '../../errors.ts'

export type Signal = 'logs' | 'traces'

/** A record with the attributes of what it is from and the name of what wrote it, all unchecked; or why there is none. */
export type Found = { record: unknown, resource: unknown, scope: unknown } | { reason: string }

/** What each signal calls its parts. */
export const names = {
  logs: { request: 'ExportLogsServiceRequest', resources: 'resourceLogs', scopes: 'scopeLogs', records: 'logRecords', rejected: 'rejectedLogRecords' },
  traces: { request: 'ExportTraceServiceRequest', resources: 'resourceSpans', scopes: 'scopeSpans', records: 'spans', rejected: 'rejectedSpans' }
} as const satisfies Record<Signal, object>

/** The records of a request in JSON. */
export function * recordsOf (body: unknown, signal: Signal): Generator<Found> {
  const { resources, scopes, records } = names[signal]
  for (const ofResource of listIn(body, resources, 'body')) {
    const resource = member(member(ofResource, 'resource'), 'attributes')
    for (const ofScope of listIn(ofResource, scopes, `body.${resources}`)) {
      const scope = member(member(ofScope, 'scope'), 'name')
      for (const record of listIn(ofScope, records, `body.${resources}.${scopes}`)) yield { record, resource, scope }
    }
  }
}

/** A member of what may be anything. */
export function member (value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}

/** Absent is empty, as proto3 has it. */
function listIn (value: unknown, name: string, place: string): unknown[] {
  const list = member(value, name) ?? []
  if (!Array.isArray(list)) throw invalid(`${place}.${name}`, 'must be array')
  return list
}
