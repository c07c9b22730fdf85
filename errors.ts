import { statusOf, type ErrorBody, type ErrorCode } from './schemas/errors.ts'

interface Options { details?: Record<string, unknown>, retryAfter?: number, cause?: unknown }

/** The only error that reaches a client; its code decides the HTTP status. */
export class ApiError extends Error {
  readonly code: ErrorCode
  readonly details: Record<string, unknown> | undefined
  /** Seconds for `Retry-After`. */
  readonly retryAfter: number | undefined

  constructor (code: ErrorCode, message: string, { details, retryAfter, cause }: Options = {}) {
    super(message, { cause })
    this.name = 'ApiError'
    this.code = code
    this.details = details
    this.retryAfter = retryAfter
  }

  get statusCode (): number {
    return statusOf[this.code]
  }
}

/** The body of a failure, the same on every protocol. */
export function bodyOf ({ code, message, details }: ApiError, requestId: string): ErrorBody {
  return { error: { code, message, ...(details !== undefined && { details }), request_id: requestId } }
}

/** A fault of the input that its contract cannot express. */
export function invalid (field: string, message: string): ApiError {
  return new ApiError('bad_request', `${field} ${message}`, { details: { field, errors: [{ field, message }] } })
}

/** What frameworks put on their errors. */
interface Foreign {
  code?: string
  statusCode?: number
  message?: string
  validation?: { instancePath: string, keyword?: string, message?: string, params?: { missingProperty?: string, additionalProperty?: string } }[]
  validationContext?: string
}

/** Errors of the framework whose status alone does not say which code is meant. */
const foreign: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large'
}

/** Any error as the one that a client may see; what is not ours becomes `internal_error` with the cause kept for the log. */
export function failureOf (error: unknown): ApiError {
  if (error instanceof ApiError) return error
  const { code = '', statusCode = 500, validation, validationContext = 'body', message = 'the request is not valid' } = (error ?? {}) as Foreign
  if (validation !== undefined) return invalidInput(validation, validationContext)
  const name = foreign[code] ?? (Object.keys(statusOf) as ErrorCode[]).find((known) => statusOf[known] === statusCode && statusCode < 500)
  if (name === 'unsupported_media_type') return new ApiError(name, 'send the body as Content-Type: application/json')
  if (name !== undefined) return new ApiError(name, message)
  if (statusCode >= 400 && statusCode < 500) return new ApiError('bad_request', message)
  return new ApiError('internal_error', 'this server failed; report the request id', { cause: error })
}

function invalidInput (validation: NonNullable<Foreign['validation']>, context: string): ApiError {
  // What a condition demanded says more than that it was not met.
  const errors = validation.filter(({ keyword }) => keyword !== 'if').map(({ instancePath, keyword, params, message = 'is not valid' }) => {
    const unknown = params?.additionalProperty
    const path = instancePath.split('/').slice(1)
    return {
      field: [context, ...path, ...[params?.missingProperty ?? unknown ?? []].flat()].join('.'),
      message: unknown !== undefined ? 'is not known here' : params?.missingProperty !== undefined ? 'is required' : keyword === 'false schema' ? 'does not go with the other fields' : message
    }
  })
  const [first] = errors
  return new ApiError('bad_request', `${first?.field} ${first?.message}`, { details: { field: first?.field, errors } })
}
