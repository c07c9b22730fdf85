import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createMetrics, type Metrics } from './metrics.ts'
import { traceOf, type Trace } from './trace.ts'

declare module 'fastify' {
  interface FastifyInstance { metrics: Metrics }
  interface FastifyRequest {
    trace: Trace
    /** When the request came, in ms of `performance.now()`. */
    started: number
    /** Aborts when the caller goes away before the answer has ended. */
    readonly gone: AbortSignal
    /** The work goes on although the caller goes away: `gone` stays silent. */
    detached: boolean
  }
}

const response = Symbol('response')
const controller = Symbol('controller')
interface Held { [response]: FastifyReply['raw'], [controller]?: AbortController }

/** Gives every request an id, a trace, a signal of its caller's leaving, one line in the log and its place in the metrics. */
export default fp(async (app) => {
  app.decorate('metrics', createMetrics(app.release))
  app.decorateRequest('trace')
  app.decorateRequest('started', 0)
  app.decorateRequest('gone', { getter: signalOf })
  app.decorateRequest('detached', false)
  app.decorateRequest(response)
  app.decorateRequest(controller)

  app.addHook('onRequest', (request, reply, done) => {
    request.started = performance.now()
    request.trace = traceOf(request.raw)
    reply.header('x-request-id', request.id).header('x-trace-id', request.trace.traceId)
    const held = request as unknown as Held
    held[response] = reply.raw
    // Not onResponse: it is not called when the caller breaks off.
    reply.raw.once('close', () => {
      if (!isFinished(reply.raw) && !request.detached) held[controller]?.abort(new Error('the caller went away'))
      record(app.metrics, request, reply)
    })
    done()
  })
}, { name: 'telemetry', dependencies: ['inner'] })

/** Made when asked for: most requests are over before anyone would listen. */
function signalOf (this: FastifyRequest): AbortSignal {
  // Breaking off an inner request does not close its answer: its caller is that of the outer one.
  if (this.outer !== undefined && !this.detached) return this.outer.gone
  const held = this as unknown as Held
  if (held[controller] === undefined) {
    held[controller] = new AbortController()
    if (held[response].destroyed && !isFinished(held[response])) held[controller].abort(new Error('the caller went away'))
  }
  return held[controller].signal
}

/** Ended by us and taken by the other side. When a caller leaves, HTTP/2 calls the answer finished, although nobody ended it. */
function isFinished ({ writableEnded, writableFinished }: FastifyReply['raw']): boolean {
  return writableEnded && writableFinished
}

function record (metrics: Metrics, request: FastifyRequest, { raw }: FastifyReply): void {
  const ms = performance.now() - request.started
  const { url: route = 'none', schema } = request.routeOptions
  const operationId = schema?.operationId ?? 'none'
  const protocol = request.outer === undefined ? 'http' : 'mcp'
  const aborted = !isFinished(raw)
  const status = aborted && !raw.headersSent ? 499 : raw.statusCode
  metrics.request({ http_request_method: request.method, http_route: route, http_response_status_code: status, operation: operationId, protocol }, ms / 1_000)

  const line = {
    operationId,
    method: request.method,
    path: request.url.split('?', 1)[0],
    statusCode: status,
    durationMs: Math.round(ms * 100) / 100,
    bytesIn: Number(request.headers['content-length'] ?? 0),
    bytesOut: Number(raw.getHeader('content-length') ?? 0),
    caller: request.caller?.access,
    protocol,
    spanId: request.trace.spanId,
    ...(request.trace.parentSpanId !== undefined && { parentSpanId: request.trace.parentSpanId }),
    ...(aborted && { aborted }),
    ...(request.failure !== undefined && { error: request.failure.code })
  }
  if (status >= 500) request.log.error(line, 'request failed')
  else request.log.info(line, 'request')
}
