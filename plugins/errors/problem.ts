import { STATUS_CODES } from 'node:http'
import type { ApiError } from '../../errors.ts'
import type { Problem } from '../../schemas/errors.ts'

/** A failure as RFC 9457 spells it. */
export function problemOf ({ code, statusCode: status, message: detail, details }: ApiError, requestId: string): Problem {
  const { errors, ...rest } = details ?? {}
  return {
    type: `urn:muxi:error:${code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    instance: `urn:muxi:request:${requestId}`,
    code,
    request_id: requestId,
    ...(errors !== undefined && { errors: errors as Problem['errors'] }),
    ...(Object.keys(rest).length > 0 && { details: rest })
  }
}
