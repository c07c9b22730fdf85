import type { RouteOptions } from 'fastify'
import { ApiError, bodyOf } from '../../errors.ts'
import { ErrorBody, Problem, statusOf, type ErrorCode } from '../../schemas/errors.ts'
import { problemOf } from './problem.ts'

/** What a code means, and one failure with it as it may come. */
interface Meaning { meaning: string, example: string, details?: Record<string, unknown> }

const meanings: Record<Documented, Meaning> = {
  bad_request: { meaning: 'The input is not valid; `details.errors` names each field', example: 'querystring.limit must be integer', details: { field: 'querystring.limit', errors: [{ field: 'querystring.limit', message: 'must be integer' }] } },
  unauthorized: { meaning: 'No valid API key', example: 'invalid or missing API key' },
  forbidden: { meaning: 'The key does not reach this level, or the data are another user\'s', example: 'this needs a key of level admin' },
  not_found: { meaning: 'There is no such thing', example: 'no agent ada' },
  not_acceptable: { meaning: 'This operation answers with text/event-stream only', example: 'this operation answers with text/event-stream: accept it' },
  request_timeout: { meaning: 'The request did not arrive in time', example: 'the request did not arrive in time' },
  conflict: { meaning: 'It exists already, is being changed, or the first call with this `Idempotency-Key` is still at work', example: 'agent ada exists already' },
  precondition_failed: { meaning: 'It was changed since the answer whose tag is in `If-Match`', example: 'it was changed in the meantime: read it again and use the tag of that answer' },
  payload_too_large: { meaning: 'The body is too large', example: 'Request body is too large' },
  unsupported_media_type: { meaning: 'The body is not JSON, or an attachment is of another type than it says', example: 'send the body as Content-Type: application/json' },
  unprocessable: { meaning: 'The `Idempotency-Key` was used with another request', example: 'this Idempotency-Key was used with another request' },
  upgrade_required: { meaning: 'This operation is a WebSocket; `Upgrade` says so', example: 'this is a WebSocket: connect to it as one, over HTTP/1.1' },
  precondition_required: { meaning: 'This change is made under a condition alone: send `If-Match`', example: 'send If-Match with the ETag of the session' },
  headers_too_large: { meaning: 'The headers, or the URL with them, are larger than 16 KiB', example: 'the headers have more than 16 KiB' },
  rate_limited: { meaning: 'Too many calls; `Retry-After` says when to come back', example: 'more than 600 units in a minute; come back in 42 s', details: { limit: 600, retry_after: 42 } },
  internal_error: { meaning: 'A fault of this server; report the request id', example: 'this server failed; report the request id' },
  not_implemented: { meaning: 'This MUXI Core cannot do that, or it is switched off here; `details` names the capability, or the setting', example: 'this MUXI Core does not offer agents.create', details: { capability: 'agents.create' } },
  core_error: { meaning: 'The MUXI Core gave an answer that cannot be used', example: 'the MUXI Core gave an answer that cannot be used' },
  core_unavailable: { meaning: 'The MUXI Core cannot be reached; `Retry-After` says when to come back', example: 'the MUXI Core is overloaded' },
  state_unavailable: { meaning: 'What the instances share (Redis) cannot be reached; come back after `Retry-After`', example: 'what the instances share cannot be reached' },
  core_timeout: { meaning: 'The MUXI Core did not answer in time', example: 'the MUXI Core did not answer within 30000 ms' }
}
/** The others come from no operation: what has no route, and what the parser of HTTP refuses. */
type Documented = Exclude<ErrorCode, 'method_not_allowed'>

/** A failed answer of a contract; `codes` tells documents which it can carry. */
interface Failure { description: string, content: object, codes: ErrorCode[] }

/** Contracts name only success: what can fail follows from what they are. */
export function failuresOf ({ schema, config, method }: RouteOptions): ErrorCode[] {
  if (schema === undefined || config === undefined || schema.hide === true) return []
  const { params, body, headers, response, failures = [] } = schema as { params?: object, body?: object, headers?: { properties?: object }, response?: { 200?: { content?: object } }, failures?: ErrorCode[] }
  const possible: ErrorCode[] = ['bad_request', 'headers_too_large', 'internal_error', ...failures]
  if (config.access !== 'public') possible.push('unauthorized', 'forbidden', 'rate_limited', 'core_error', 'core_unavailable', 'core_timeout')
  if (params !== undefined || config.ownRecord === true) possible.push('not_found')
  // Also where no body is asked for: one that comes along is read before it can be ignored.
  if (![method].flat().includes('GET')) possible.push('payload_too_large', 'unsupported_media_type', 'request_timeout')
  if (body !== undefined && config.capability !== undefined) possible.push('conflict')
  if (config.capability !== undefined || config.prefers !== undefined) possible.push('not_implemented')
  // A change under a condition takes its turn, which may not come.
  if (Object.hasOwn(headers?.properties ?? {}, 'if-match')) possible.push('precondition_failed', 'conflict')
  if (Object.keys(response?.[200]?.content ?? {}).includes('text/event-stream')) possible.push('not_acceptable')
  return possible
}

/** Adds failures to a route's contract; what the contract says of a status itself stays. */
export function failWith (route: RouteOptions, added: ErrorCode[]): void {
  if (added.length === 0) return
  const response = { ...route.schema?.response as Record<string, Partial<Failure>> | undefined }
  for (const code of added) {
    const known = response[statusOf[code]]
    if (known === undefined || known.codes !== undefined) response[statusOf[code]] = failureOf([...known?.codes ?? [], code])
  }
  // A copy: contracts are shared values.
  route.schema = { ...route.schema, response }
}

/** By their codes: operations fail in few ways, and contracts are never written to. */
const made = new Map<string, Failure>()

function failureOf (codes: ErrorCode[]): Failure {
  const sorted = (Object.keys(meanings) as Documented[]).filter((code) => codes.includes(code))
  const known = made.get(sorted.join())
  if (known !== undefined) return known
  const examples = (form: (failure: ApiError) => object) =>
    Object.fromEntries(sorted.map((code) => [code, { value: form(new ApiError(code, meanings[code].example, { details: meanings[code].details })) }]))
  const id = 'req_8Zk2mT0qPx4Lw7Ra'
  const failure: Failure = {
    codes: sorted,
    description: sorted.map((code) => `\`${code}\`: ${meanings[code].meaning}`).join('. '),
    content: {
      'application/json': { schema: ErrorBody, examples: examples((failure) => bodyOf(failure, id)) },
      'application/problem+json': { schema: Problem, examples: examples((failure) => problemOf(failure, id)) }
    }
  }
  made.set(sorted.join(), failure)
  return failure
}
