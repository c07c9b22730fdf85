import { ApiError } from '../errors.ts'

/** An answer of the Core, read in full. */
export interface Answer { status: number, headers: Record<string, string | string[] | undefined>, text: string }

interface Envelope { success: boolean, data?: unknown, error?: { code?: unknown, data?: { validation_errors?: unknown, fields?: unknown } } | null }

/** What an answer means: its data, or the ApiError it stands for. `what` names the thing asked for; `own` says that our key was used. */
export function dataOf<T> (answer: Answer, { what, own }: { what: string | undefined, own: boolean }): T {
  const envelope = envelopeIn(answer.text)
  if (answer.status >= 400) throw failureOf(answer, envelope, what, own)
  if (answer.status < 200 || answer.status >= 300 || envelope?.success !== true || envelope.data === undefined) {
    throw new ApiError('core_error', 'the MUXI Core gave an answer that cannot be used', { cause: `status ${answer.status}: ${answer.text.slice(0, 200)}` })
  }
  // The Core's shapes are optional throughout (types.ts); the route's response schema decides what may leave.
  return envelope.data as T
}

/** Parses JSON, or says that the Core's answer cannot be used. */
export function parseAnswer (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ApiError('core_error', 'the MUXI Core gave an answer that cannot be used', { cause })
  }
}

function envelopeIn (text: string): Envelope | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'success' in value ? value as Envelope : undefined
  } catch {
    return undefined
  }
}

/** By status, never by the Core's `type` or message: those of a 500 hold SQL and exception texts. */
function failureOf ({ status, headers }: Answer, envelope: Envelope | undefined, what: string | undefined, own: boolean): ApiError {
  const code = typeof envelope?.error?.code === 'string' ? envelope.error.code : undefined
  const details = code !== undefined ? { core_code: code } : undefined
  switch (status) {
    case 400:
    case 422: return new ApiError('bad_request', 'the MUXI Core refused the input', { details: { ...details, ...fieldErrors(envelope) } })
    case 401:
    case 403:
      if (own) return new ApiError('core_error', 'the MUXI Core refused this server\'s own key', { details })
      return status === 401 ? new ApiError('unauthorized', 'invalid or missing API key') : new ApiError('forbidden', 'the MUXI Core forbids this', { details })
    case 404: return new ApiError('not_found', what === undefined ? 'the MUXI Core does not have it' : `no ${what}`, { details })
    case 405:
    case 501: return new ApiError('not_implemented', 'this MUXI Core cannot do that', { details })
    case 409: return conflict(envelope, what, details)
    case 412: return new ApiError('precondition_failed', `${what ?? 'it'} was changed in the meantime: read it again`, { details })
    case 429:
    case 503: return new ApiError('core_unavailable', 'the MUXI Core is overloaded', { details, retryAfter: retryAfterOf(headers) ?? 2 })
    case 504: return new ApiError('core_timeout', 'the MUXI Core ran out of time', { details })
    default: return new ApiError('core_error', code === 'UPSTREAM_ERROR' && what !== undefined ? `the MUXI Core could not reach ${what}` : 'the MUXI Core failed', { details, cause: `status ${status}` })
  }
}

function fieldErrors (envelope: Envelope | undefined): { errors?: { field: string, message: string }[] } {
  const list = envelope?.error?.data?.validation_errors
  if (!Array.isArray(list)) return {}
  const errors = list.flatMap((item: { field?: unknown, msg?: unknown }) =>
    typeof item?.field === 'string' && typeof item.msg === 'string' ? [{ field: item.field, message: item.msg }] : [])
  return errors.length > 0 ? { errors } : {}
}

function conflict (envelope: Envelope | undefined, what: string | undefined, details: object | undefined): ApiError {
  const fields = envelope?.error?.data?.fields
  if (!Array.isArray(fields)) return new ApiError('conflict', what === undefined ? 'taken already' : `${what} exists already`, { details: { ...details } })
  return new ApiError('conflict', `there already: ${fields.join(', ')}`, { details: { ...details, fields } })
}

/** Seconds of `Retry-After`, given as such or as a date; undefined where there is nothing that can be used. */
export function retryAfterOf (headers: Answer['headers']): number | undefined {
  const value = headers['retry-after']
  if (typeof value !== 'string') return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1_000)
  return seconds > 0 && seconds <= 3_600 ? seconds : undefined
}
