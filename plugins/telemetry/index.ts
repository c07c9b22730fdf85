import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Departure } from '../../core/departure.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { traceOf, traceparentOf, type Trace } from './trace.ts'

declare module 'fastify' {
  interface FastifyInstance { metrics: Metrics }
  interface FastifyRequest {
    trace: Trace
    /** The W3C header that makes a call a child of this request. */
    readonly traceparent: string
    /** When the request came, in ms of `performance.now()`. */
    started: number
    /** Aborts when the caller goes away before the answer has ended. */
    readonly gone: AbortSignal
    /** The same as a light stand-in for the signal, for calls. */
    readonly departure: Departure
    /** The work goes on although the caller goes away: `gone` stays silent. */
    detached: boolean
  }
}

const own = Symbol('departure')
interface Held { [own]: Departure }

/** Gives every request an id, a trace, a signal of its caller's leaving, one line in the log and its place in the metrics. */
export default fp(async (app) => {
  let active = 0
  app.decorate('metrics', createMetrics(app.release, () => active))
  app.decorateRequest('trace')
  app.decorateRequest('traceparent', { getter (this: FastifyRequest) { return traceparentOf(this.trace) } })
  app.decorateRequest('started', 0)
  app.decorateRequest('departure', { getter: departureOf })
  app.decorateRequest('gone', { getter (this: FastifyRequest) { return this.departure.signal } })
  app.decorateRequest('detached', false)
  app.decorateRequest(own)

  app.addHook('onRequest', (request, reply, done) => {
    active++
    request.started = performance.now()
    request.trace = traceOf(request.raw)
    reply.header('x-request-id', request.id).header('x-trace-id', request.trace.traceId)
    const departure = (request as unknown as Held)[own] = new Departure()
    // Not onResponse: it is not called when the caller breaks off.
    reply.raw.once('close', () => {
      active--
      if (!isFinished(reply.raw) && !request.detached) departure.leave()
      record(app.metrics, request, reply)
    })
    done()
  })
}, { name: 'telemetry', dependencies: ['inner'] })

/** Breaking off an inner request does not close its answer: its caller is that of the outer one. */
function departureOf (this: FastifyRequest): Departure {
  return this.outer !== undefined && !this.detached ? this.outer.departure : (this as unknown as Held)[own]
}

/** One operation may call another: what counts is where the first call came in. */
function protocolOf ({ outer }: FastifyRequest): 'http' | 'mcp' {
  if (outer === undefined) return 'http'
  return outer.outer === undefined ? outer.routeOptions.config.bucket ?? 'http' : protocolOf(outer)
}

/** Ended by us and taken by the other side. When a caller leaves, HTTP/2 calls the answer finished, although nobody ended it. */
function isFinished ({ writableEnded, writableFinished }: FastifyReply['raw']): boolean {
  return writableEnded && writableFinished
}

function record (metrics: Metrics, request: FastifyRequest, { raw }: FastifyReply): void {
  const ms = performance.now() - request.started
  const { url: route = 'none', schema } = request.routeOptions
  const operationId = schema?.operationId ?? 'none'
  const protocol = protocolOf(request)
  const aborted = !isFinished(raw)
  const status = aborted && !raw.headersSent ? 499 : raw.statusCode
  metrics.request({ http_request_method: request.method, http_route: route, http_response_status_code: status, operation: operationId, protocol }, ms / 1_000)

  const line = {
    requestId: request.id,
    traceId: request.trace.traceId,
    operationId,
    method: request.method,
    path: pathOf(request.url),
    statusCode: status,
    durationMs: Math.round(ms * 100) / 100,
    bytesIn: Number(request.headers['content-length'] ?? 0),
    bytesOut: Number(raw.getHeader('content-length') ?? 0),
    caller: request.caller?.access,
    protocol,
    spanId: request.trace.spanId,
    parentSpanId: request.trace.parentSpanId,
    aborted: aborted ? true : undefined,
    error: request.failure?.code
  }
  if (status >= 500) request.server.log.error(line, 'request failed')
  else request.server.log.info(line, 'request')
}

function pathOf (url: string): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}
