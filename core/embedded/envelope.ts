import { randomBytes } from 'node:crypto'

/** What a handler hands back; `bare` answers leave without the envelope. */
export type Answer =
  | { status?: number, object: string, type: string, data: object, requestId?: string }
  | { status?: number, bare: object, headers?: Record<string, string> }

/** What every answer of one request repeats. */
export interface RequestIds { id: string, idempotencyKey: string | null }

/** A failure that leaves as the Core's error envelope. */
export class CoreError extends Error {
  readonly status: number
  readonly code: string
  readonly data: object | undefined

  constructor (status: number, code: string, message: string, data?: object) {
    super(message)
    this.status = status
    this.code = code
    this.data = data
  }
}

/** Wraps what a handler answered the way the Core wraps it. */
export function success ({ object, type, data }: { object: string, type: string, data: object }, ids: RequestIds): object {
  return { object, timestamp: Date.now(), type, request: idsOf(ids), success: true, error: null, data }
}

/** Wraps a failure the way the Core wraps it. */
export function failure ({ status, code, message, data }: CoreError, ids: RequestIds): object {
  const error = data === undefined ? { code, message } : { code, message, data }
  return { object: 'error', timestamp: Date.now(), type: typeOf(status, code), request: idsOf(ids), success: false, error, data: {} }
}

/** A fresh id such as `req_WiZ82MRX7dKqC0dkwF_7IA`. */
export function newId (prefix: string): string {
  return `${prefix}_${randomBytes(16).toString('base64url')}`
}

/** Now, as the Core writes times inside `data`: seconds with a fraction. */
export function seconds (): number {
  return Date.now() / 1000
}

function idsOf ({ id, idempotencyKey }: RequestIds): object {
  return { id, idempotency_key: idempotencyKey }
}

// the real Core types some errors by their code and not by their status
function typeOf (status: number, code: string): string {
  if (status === 401) return 'error.authentication'
  if (status === 403) return 'error.authorization'
  if (status === 409) return 'error.conflict'
  if (status === 422 || code === 'INVALID_REQUEST') return 'error.validation'
  if (['RESOURCE_NOT_FOUND', 'AGENT_NOT_FOUND', 'METHOD_NOT_FOUND'].includes(code)) return 'error.not_found'
  return 'error.internal'
}
