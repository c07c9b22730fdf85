import { randomFillSync } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** The place of a request in its trace (W3C Trace Context, level 1): ids in lower-case hex. */
export interface Trace { traceId: string, spanId: string, parentSpanId?: string, flags: string }

const form = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/
const requestId = /^[A-Za-z0-9._-]{1,128}$/
const pool = Buffer.alloc(8_192)
let used = pool.length

const place = Symbol('trace')

/** Continues the caller's trace, or begins one; the same at every call for one request. */
export function traceOf (raw: Pick<IncomingMessage, 'headers'> & { [place]?: Trace }): Trace {
  return raw[place] ??= begin(raw.headers.traceparent)
}

function begin (traceparent: string | string[] | undefined): Trace {
  const [, traceId, parentSpanId, flags] = typeof traceparent === 'string' ? form.exec(traceparent) ?? [] : []
  return traceId === undefined
    ? { traceId: random(16, 'hex'), spanId: random(8, 'hex'), flags: '01' }
    : { traceId, spanId: random(8, 'hex'), parentSpanId, flags: flags! }
}

export const traceparentOf = ({ traceId, spanId, flags }: Trace): string => `00-${traceId}-${spanId}-${flags}`

/** The caller's own request id where it is well formed, else a fresh one. */
export function requestIdOf ({ headers: { 'x-request-id': given } }: Pick<IncomingMessage, 'headers'>): string {
  return typeof given === 'string' && requestId.test(given) ? given : `req_${random(12, 'base64url')}`
}

/** Random ids in bulk: one call into the system's generator serves some hundred requests. */
function random (bytes: number, encoding: 'hex' | 'base64url'): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.toString(encoding, used - bytes, used)
}
