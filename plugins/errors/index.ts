import { validateHeaderValue } from 'node:http'
import fp from 'fastify-plugin'
import type { FastifyError, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { ApiError, bodyOf, failureOf } from '../../errors.ts'
import type { ErrorCode } from '../../schemas/errors.ts'
import { failWith, failuresOf } from './failures.ts'
import { Paths } from './paths.ts'
import { problemOf } from './problem.ts'

const ofInput = new Set<ErrorCode>(['bad_request', 'payload_too_large', 'unsupported_media_type'])

/** Gives every failure the one body, adds the failures to every contract, and answers what has no route. */
export default fp(async (app) => {
  const paths = new Paths()

  app.addHook('onRoute', (route) => {
    const methods = [route.method].flat().filter((method) => method !== 'OPTIONS')
    paths.add(route.url, methods)
    failWith(route, failuresOf(route))
  })

  app.setErrorHandler<FastifyError>(handle)
  // What fails while a failure is sent goes to the handler of the context above: once more to this one.
  app.addHook('onRegister', (instance) => { instance.setErrorHandler<FastifyError>(handle) })

  async function handle (error: FastifyError, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    if (request.failure !== undefined) return sendBare(reply, error)
    const found = failureOf(error)
    // Fastify reads the input before it says that there is no route: what is wrong with that input is beside the point.
    const failure = request.is404 || (ofInput.has(found.code) && !paths.leads(request)) ? missing(request, reply) : found
    if (failure.code === 'internal_error') request.log.error({ err: error }, 'the request failed')
    else if (failure.cause !== undefined) request.log.warn({ code: failure.code, cause: causeOf(failure) }, failure.message)
    request.failure = failure
    return await send(reply, failure, request)
  }

  app.setNotFoundHandler((request, reply) => {
    request.failure = missing(request, reply)
    return send(reply, request.failure, request)
  })

  /** No such path, or one that takes other methods. */
  function missing ({ url, method }: FastifyRequest, reply: FastifyReply): ApiError {
    const path = url.split('?', 1)[0]!
    const allowed = paths.methods(path)
    if (allowed.length === 0) return new ApiError('not_found', `there is no ${path.length > 200 ? 'such path' : path}`)
    reply.header('allow', allowed.join(', '))
    return new ApiError('method_not_allowed', `${path} does not take ${method}`)
  }

  app.decorate('failWith', failWith)
  app.decorateRequest('failure')
}, { name: 'errors' })

declare module 'fastify' {
  interface FastifyInstance {
    /** Says what else a route can fail with; for plugins, in `onRoute`. */
    failWith: (route: RouteOptions, codes: ErrorCode[]) => void
  }
  interface FastifyRequest { failure: ApiError | undefined }
}

async function send (reply: FastifyReply, failure: ApiError, request: FastifyRequest): Promise<unknown> {
  if (failure.retryAfter !== undefined) reply.header('retry-after', failure.retryAfter)
  if (failure.code === 'unauthorized') reply.header('www-authenticate', 'Bearer realm="muxi"')
  // Fastify closes the connection after a body that it could not read; HTTP/2 has no such header, and Node complains.
  if (request.raw.httpVersionMajor > 1) reply.removeHeader('connection')
  reply.code(failure.statusCode)
  if (wantsProblem(request.headers.accept)) return await reply.type('application/problem+json').send(problemOf(failure, request.id))
  return await reply.type('application/json; charset=utf-8').send(bodyOf(failure, request.id))
}

/** Past all hooks, one of which has thrown; Fastify would tell the caller what it said, or never answer. */
function sendBare (reply: FastifyReply, error: unknown): void {
  const { request, raw } = reply
  request.log.error({ err: error }, 'the answer failed')
  request.failure = new ApiError('internal_error', 'this server failed; report the request id')
  const body = JSON.stringify(bodyOf(request.failure, request.id))
  const headers = Object.entries(reply.getHeaders()).filter(([name, value]) => canBeSent(name, value))
  reply.hijack()
  if (raw.headersSent) raw.destroy()
  else raw.writeHead(500, { ...Object.fromEntries(headers), 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body) }).end(body)
}

function canBeSent (name: string, value: unknown): boolean {
  try {
    for (const one of [value].flat()) validateHeaderValue(name, String(one))
    return true
  } catch {
    return false
  }
}

/** Only where it is named: every other caller gets the contract's own form. */
function wantsProblem (accept = ''): boolean {
  return /(?:^|,)\s*application\/problem\+json\s*(?:;(?!\s*q=0(?:\.0*)?\s*(?:,|$))|,|$)/i.test(accept)
}

function causeOf ({ cause }: ApiError): unknown {
  return cause instanceof Error ? { type: cause.name, code: (cause as FastifyError).code, message: cause.message } : cause
}
