import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import { Departure } from '../../core/departure.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { Spans, type Branch, type Part } from './spans.ts'
import { traceOf, traceparentOf, type Place, type Trace } from './trace.ts'

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Metrics
    /** Where in its trace the Core was given something under that id, while that is recent. */
    traceOfRequest: (id: string) => Place | undefined
  }
  interface FastifyRequest {
    trace: Trace
    /** The W3C header that makes a call a child of this request. */
    readonly traceparent: string
    /** Records a finished part of this request's work, where its component and its trace are recorded. */
    spanned: (part: Part) => void
    /** Gives a place in the trace, or in the one that a valid `traceparent` names, to a part that will have parts of its own; the part is recorded with it. Undefined where such parts are not recorded. */
    branch: (component: string, traceparent?: unknown) => Branch | undefined
    /** The Core knows this request, or one part of it, by that id: `traceOfRequest` finds it. */
    knownAs: (id: string, spanId?: string) => void
    /** When the request came, in ms of `performance.now()`. */
    started: number
    /** Aborts when the caller goes away before the answer has ended. */
    readonly gone: AbortSignal
    /** The same as a light stand-in for the signal, for calls. */
    readonly departure: Departure
    /** The connection was handed over to another protocol: the answer is 101, and ends with it. */
    upgraded: boolean
    /** The work goes on although the caller goes away: `gone` stays silent. */
    detached: boolean
  }
  interface FastifyContextConfig {
    /** What answers, as spans name it: `http` when absent. */
    component?: 'sse' | 'ws'
  }
}

const own = Symbol('departure')
interface Held { [own]: Departure }
/** What the line of a request and its span both tell. */
interface Line { operationId: string, path: string, statusCode: number, caller: string | undefined, protocol: string, aborted: boolean | undefined, error: string | undefined }

/** Gives every request an id, a trace, a signal of its caller's leaving, one line in the log and its place in the metrics. */
export default fp(async (app) => {
  let active = 0
  const spans = new Spans(app)
  const places = new LRUCache<string, Place>({ max: 2_000 })
  app.decorate('traceOfRequest', (id) => places.get(id))
  app.decorate('metrics', createMetrics(app.release, () => active))
  app.decorateRequest('trace')
  app.decorateRequest('traceparent', { getter (this: FastifyRequest) { return traceparentOf(this.trace) } })
  app.decorateRequest('spanned', function (this: FastifyRequest, part) { spans.record(this.trace, part) })
  app.decorateRequest('branch', function (this: FastifyRequest, component, traceparent) { return spans.branch(this.trace, component, traceparent) })
  app.decorateRequest('knownAs', function (this: FastifyRequest, id, spanId = this.trace.spanId) { places.set(id, { traceId: this.trace.traceId, spanId }) })
  app.decorateRequest('started', 0)
  app.decorateRequest('departure', { getter: departureOf })
  app.decorateRequest('gone', { getter (this: FastifyRequest) { return this.departure.signal } })
  app.decorateRequest('detached', false)
  app.decorateRequest('upgraded', false)
  app.decorateRequest(own)

  // The observers of the default metrics stay for the life of the process, and hold what is registered with them.
  app.addHook('onClose', async () => { app.metrics.registry.clear() })

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

/** Breaking off an inner request does not close its answer: its caller is that of the outer one, unless it is ended by itself. */
function departureOf (this: FastifyRequest): Departure {
  return this.outer !== undefined && !this.detached ? this.until ?? this.outer.departure : (this as unknown as Held)[own]
}

/** One operation may call another: what counts is where the first call came in. */
function protocolOf ({ outer }: FastifyRequest): 'http' | 'mcp' | 'ws' {
  if (outer === undefined) return 'http'
  if (outer.outer !== undefined) return protocolOf(outer)
  const { bucket, component } = outer.routeOptions.config
  return bucket ?? (component === 'ws' ? 'ws' : 'http')
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
  // The answer of an inner request is closed before it counts as taken.
  const aborted = request.upgraded ? false : request.outer === undefined ? !isFinished(raw) : !raw.writableEnded
  const status = request.upgraded ? 101 : aborted && !raw.headersSent ? 499 : raw.statusCode
  metrics.request({ http_request_method: request.method, http_route: route, http_response_status_code: status, operation: operationId, protocol }, ms / 1_000)

  const path = pathOf(request.url)
  const { trace } = request
  const line = {
    requestId: request.id,
    traceId: trace.traceId,
    operationId,
    method: request.method,
    path,
    statusCode: status,
    durationMs: Math.round(ms * 100) / 100,
    bytesIn: Number(request.headers['content-length'] ?? 0),
    bytesOut: Number(raw.getHeader('content-length') ?? 0),
    caller: request.caller?.access,
    protocol,
    spanId: trace.spanId,
    parentSpanId: trace.parentSpanId,
    aborted: aborted ? true : undefined,
    error: request.failure?.code
  }
  if (status >= 500) request.server.log.error(line, 'request failed')
  else request.server.log.info(line, 'request')
  recordSpan(request, line)
}

/** A caller who leaves is no failure, one who is told of it in the midst of a stream is. */
function recordSpan (request: FastifyRequest, { operationId, path, statusCode, caller, protocol, aborted, error }: Line): void {
  const { id: requestId, method, trace, started, params, failure, routeOptions: { config } } = request
  const agentId: unknown = (params as { agent_id?: unknown } | undefined)?.agent_id
  trace.userId ??= request.caller?.sub
  request.spanned({
    component: config.bucket ?? config.component ?? 'http',
    operation: operationId,
    started,
    status: statusCode >= 500 || (failure !== undefined && failure.statusCode >= 500) ? 'error' : 'ok',
    message: `${method} ${path}`,
    agentId: typeof agentId === 'string' ? agentId : undefined,
    data: { method, path, statusCode, requestId, protocol, caller, aborted, error },
    spanId: trace.spanId
  })
}

function pathOf (url: string): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}
