import { Type, type Static } from '@sinclair/typebox'

/** Every error code a client can meet, with its HTTP status: the one table. */
export const statusOf = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  not_acceptable: 406,
  request_timeout: 408,
  conflict: 409,
  precondition_failed: 412,
  payload_too_large: 413,
  unsupported_media_type: 415,
  unprocessable: 422,
  upgrade_required: 426,
  precondition_required: 428,
  rate_limited: 429,
  headers_too_large: 431,
  internal_error: 500,
  not_implemented: 501,
  core_error: 502,
  core_unavailable: 503,
  state_unavailable: 503,
  core_timeout: 504
} as const

export type ErrorCode = keyof typeof statusOf

export const ErrorBody = Type.Object({
  error: Type.Object({
    code: Type.Unsafe<ErrorCode>({ type: 'string', enum: Object.keys(statusOf), description: 'What went wrong, for programs' }),
    message: Type.String({ description: 'What went wrong and, where there is one, the remedy', examples: ['no agent ada'] }),
    details: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Facts about this failure, such as `errors[]` of `{field, message}`' })),
    request_id: Type.String({ description: 'Name it when you report the failure', examples: ['req_8Zk2mT0qPx4Lw7Ra'] })
  })
}, { title: 'Error', description: 'The one body of every failure, on every protocol' })
export type ErrorBody = Static<typeof ErrorBody>

export const Problem = Type.Object({
  type: Type.String({ description: 'A name for this kind of failure', examples: ['urn:muxi:error:not_found'] }),
  title: Type.String({ description: 'The HTTP status in words', examples: ['Not Found'] }),
  status: Type.Integer(),
  detail: Type.String({ description: 'As `message` of the other form', examples: ['no agent ada'] }),
  instance: Type.String({ description: 'This failure', examples: ['urn:muxi:request:req_8Zk2mT0qPx4Lw7Ra'] }),
  code: Type.Unsafe<ErrorCode>({ type: 'string', enum: Object.keys(statusOf) }),
  request_id: Type.String(),
  errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
  details: Type.Optional(Type.Record(Type.String(), Type.Unknown()))
}, { title: 'Problem', description: 'The same facts as RFC 9457 spells them, for callers who accept application/problem+json' })
export type Problem = Static<typeof Problem>
