import type { FastifyRequest, InjectOptions } from 'fastify'
import type { Departure } from '../../core/departure.ts'
import { ApiError, bodyOf } from '../../errors.ts'
import { headerOf, type Tool } from './tools.ts'

/** What a tool call came to: the JSON that the operation answered, or the error body of its failure. */
export interface Outcome { json: string, failed: boolean }

/** What goes with a call beside its arguments. */
export interface Manner {
  until?: Departure
  heard?: FastifyRequest['heard']
  /** The place in a trace that the message itself names; otherwise that of its HTTP request. */
  traceparent?: unknown
}

/** Calls the operation behind a tool the way any caller would: validation, level, limit and log are the same. */
export async function callTool (tool: Tool, args: Record<string, unknown>, request: FastifyRequest, { until, heard, traceparent }: Manner = {}): Promise<Outcome> {
  if (request.limited !== undefined) return failedWith(request.limited, request)
  const started = performance.now()
  const branch = request.branch('mcp', traceparent)
  let statusCode: number | undefined
  try {
    const target = targetOf(tool, args)
    if (target instanceof ApiError) {
      statusCode = target.statusCode
      noteCall(request, { tool: tool.operation.id, code: target.code, started })
      return failedWith(target, request)
    }
    const answer = await request.call({ ...target, traceparent: branch?.traceparent, until, heard })
    statusCode = answer.statusCode
    return { json: answer.body, failed: statusCode >= 400 }
  } finally {
    // Without a status its caller has left.
    const { operation: { id } } = tool
    const failed = statusCode === undefined || statusCode >= 400
    request.spanned({
      component: 'mcp',
      operation: 'tool_call',
      name: `tools/call ${id}`,
      started,
      status: statusCode !== undefined && statusCode >= 500 ? 'error' : 'ok',
      message: id,
      data: { tool: id, failed, statusCode, 'mcp.method.name': 'tools/call', 'gen_ai.tool.name': id, ...(failed && { 'error.type': statusCode === undefined ? 'cancelled' : 'tool_error' }) },
      branch
    })
  }
}

export function failedWith (error: ApiError, request: FastifyRequest): Outcome {
  return { json: JSON.stringify(bodyOf(error, request.id)), failed: true }
}

/** The line of a call that no request of its own tells of. Who and what, never the arguments. */
export function noteCall (request: FastifyRequest, { tool, code, started }: { tool: string, code: string | undefined, started: number }): void {
  const { id: requestId, trace: { traceId }, caller, server } = request
  const durationMs = Math.round((performance.now() - started) * 100) / 100
  server.log.info({ requestId, traceId, tool: tool.slice(0, 128), protocol: 'mcp', caller: caller.access, digest: server.audit.nameOf(caller.keyDigest), durationMs, error: code }, 'tool call')
}

/** URL and body of a call. What the contract does not know goes where the contract will refuse it by name. */
function targetOf ({ operation: { method, url, contract }, places }: Tool, args: Record<string, unknown>): Pick<InjectOptions, 'method' | 'url' | 'payload'> & { headers: Record<string, string> } | ApiError {
  const rest = contract.body !== undefined ? 'body' : 'querystring'
  const query = new URLSearchParams()
  const body: Record<string, unknown> = {}
  const headers: Record<string, string> = {}
  let path = url
  for (const [name, value] of Object.entries(args)) {
    const place = places.get(name) ?? rest
    if (place === 'body') body[name] = value
    else if (place === 'headers') {
      if (typeof value !== 'string' || !/^[\x21-\x7e]{1,512}$/.test(value)) return refused(name, 'must be the token, as it was given')
      headers[headerOf[name]!] = value
    } else if (place === 'querystring') query.append(name, typeof value === 'string' ? value : JSON.stringify(value))
    else {
      // As a piece of a path these would name another operation.
      if (typeof value !== 'string' || /^\.{0,2}$/.test(value)) return refused(name, typeof value === 'string' ? 'cannot be empty, . or ..' : 'must be string')
      // Half of a surrogate pair has no place in a URL.
      if (/\p{Cs}/u.test(value)) return refused(name, 'must be Unicode text')
      path = path.replace(`:${name}`, () => encodeURIComponent(value))
    }
  }
  const missing = /:([a-z_]+)/.exec(url)?.[1]
  if (missing !== undefined && args[missing] === undefined) return refused(missing, 'is required')
  const search = query.toString()
  return {
    method: method as InjectOptions['method'],
    headers,
    url: search === '' ? path : `${path}?${search}`,
    ...(contract.body !== undefined && { payload: JSON.stringify(body) })
  }
}

function refused (name: string, message: string): ApiError {
  const field = `params.${name}`
  return new ApiError('bad_request', `${field} ${message}`, { details: { field, errors: [{ field, message }] } })
}
