import type { RouteOptions } from 'fastify'
import { requestHeaders, responseHeaders, type RequestHeader, type ResponseHeader } from '../../schemas/headers.ts'

interface Shape { properties?: object }
interface Schemas { params?: Shape, querystring?: Shape, body?: Shape, headers?: Shape, response?: Record<string, Shape> }

/** The headers that an operation minds. */
export function headersTaken ({ schema, config, method }: RouteOptions): RequestHeader[] {
  const { params, querystring, body, headers } = schema as Schemas
  const { idempotent, ownRecord, cacheable, bucket } = config ?? {}
  const taken: RequestHeader[] = []
  if (bucket === 'mcp' || [params, querystring, body].some((part) => part?.properties !== undefined && 'user_id' in part.properties)) taken.push('X-Muxi-User-Id')
  // A tool call is a call of the operation behind it, with the headers of the message.
  if (idempotent === true || (bucket === 'mcp' && method === 'POST')) taken.push('Idempotency-Key')
  if (ownRecord === true) taken.push('Last-Event-ID')
  if ('if-match' in (headers?.properties ?? {})) taken.push('If-Match')
  if (cacheable === true) taken.push('If-None-Match')
  if (bucket === 'mcp') taken.push('MCP-Protocol-Version')
  if (bucket === 'mcp' && method === 'POST') taken.push('Mcp-Method', 'Mcp-Name')
  return taken
}

const limits: ResponseHeader[] = ['RateLimit', 'RateLimit-Policy', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset', 'X-RateLimit-Warning']
/** What may be answered once more from the record of an `Idempotency-Key`. */
const kept = /^(?:2\d\d|500|502|504)$/

/** The headers that an answer of an operation may have. */
export function headersSent ({ schema, config }: RouteOptions, status: string): ResponseHeader[] {
  const { access, idempotent, ownRecord, cacheable } = config ?? {}
  const { querystring, response } = schema as Schemas
  const sent: ResponseHeader[] = ['X-Request-Id', 'X-Trace-Id', 'X-Muxi-Instance']
  // Nobody is counted before there is a caller.
  if (access !== 'public' && status !== '401') sent.push(...limits)
  if (access !== 'public' && status.startsWith('2')) sent.push('X-Auth-Stale')
  if (cacheable === true && (status === '200' || status === '304')) sent.push('ETag', 'Cache-Control')
  if (status === '200' && ['pagination', 'next_before'].some((name) => name in (response?.[status]?.properties ?? {})) && querystring !== undefined) sent.push('Link')
  if (idempotent === true && kept.test(status) && (ownRecord !== true || status === '200')) sent.push('Idempotent-Replayed')
  if (status === '429' || status === '503' || (status === '409' && idempotent === true)) sent.push('Retry-After')
  if (access !== 'public' && (status === '401' || status === '403')) sent.push('WWW-Authenticate')
  if (status === '405') sent.push('Allow')
  return sent
}

/** Every header as a part of the document that operations refer to. */
export function headerComponents (): { parameters: object, headers: object } {
  return {
    parameters: Object.fromEntries(Object.entries(requestHeaders).map(([name, schema]) => [name, { name, in: 'header', required: false, ...described(schema) }])),
    headers: Object.fromEntries(Object.entries(responseHeaders).map(([name, schema]) => [name, described(schema)]))
  }
}

function described ({ description, examples, ...schema }: { description?: string, examples?: unknown }): object {
  return { description, schema, example: (examples as unknown[] | undefined)?.[0] }
}
