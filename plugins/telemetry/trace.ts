import { randomFillSync } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** The place of a request in its trace (W3C Trace Context, level 1): ids in lower-case hex. */
export interface Trace {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly flags: string
  /** The end user that the request is for, once that is known. */
  userId: string | undefined
  /** Whether what goes well in it is recorded, once that has been asked. */
  isSampled: boolean | undefined
}

/** A place in a trace, as far as others need it. */
export type Place = Pick<Trace, 'traceId' | 'spanId'>

const form = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/
const requestId = /^[A-Za-z0-9._-]{1,128}$/
const hex = randomText('hex')
const base64 = randomText('base64url')

const place = Symbol('trace')

/** Continues the caller's trace, or begins one; the same at every call for one request. */
export function traceOf (raw: Pick<IncomingMessage, 'headers'> & { [place]?: Trace }): Trace {
  return raw[place] ??= begin(raw.headers.traceparent)
}

function begin (traceparent: string | string[] | undefined): Trace {
  const [, traceId, parentSpanId, flags] = typeof traceparent === 'string' ? form.exec(traceparent) ?? [] : []
  return traceId === undefined
    ? { traceId: hex(32), spanId: newSpanId(), parentSpanId: undefined, flags: '01', userId: undefined, isSampled: undefined }
    : { traceId, spanId: newSpanId(), parentSpanId, flags: flags!, userId: undefined, isSampled: undefined }
}

/** A place below the one that a `traceparent` names which came in another way than in the header; undefined for what is none. */
export function traceWithin (traceparent: unknown): Trace | undefined {
  return typeof traceparent === 'string' && form.test(traceparent) ? begin(traceparent) : undefined
}

/** The header that makes a call a child of this place, or of another one in the same trace. */
export const traceparentOf = ({ traceId, spanId, flags }: Trace, parent = spanId): string => `00-${traceId}-${parent}-${flags}`

export function newSpanId (): string {
  return hex(16)
}

/** The caller's own request id where it is well formed, else a fresh one. */
export function requestIdOf ({ headers: { 'x-request-id': given } }: Pick<IncomingMessage, 'headers'>): string {
  return typeof given === 'string' && requestId.test(given) ? given : `req_${base64(16)}`
}

/** Random characters in bulk: one call into the system's generator serves some hundred ids, and a slice of a text costs a third of a text from bytes. */
function randomText (encoding: 'hex' | 'base64url'): (length: number) => string {
  const bytes = Buffer.alloc(6_144)
  let text = ''
  let used = 0
  return (length) => {
    if (used + length > text.length) {
      text = randomFillSync(bytes).toString(encoding)
      used = 0
    }
    used += length
    return text.slice(used - length, used)
  }
}
