import { randomBytes } from 'node:crypto'
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { ApiError, bodyOf } from '../errors.ts'

const late = () => new ApiError('request_timeout', 'the request did not arrive in time')

/** Ends HTTP/2 requests whose bodies do not arrive in time. Those of HTTP/1.1 Node ends itself, and tells `clientErrorHandler`. */
export default fp(async (app) => {
  const { tls_cert: cert, request_timeout_ms: timeout } = app.config.api
  if (cert === undefined) return
  app.addHook('preParsing', (request, reply, payload, done) => {
    if (request.raw.httpVersionMajor > 1) {
      // What Fastify calls an IncomingMessage is the other one, then.
      const raw = request.raw as unknown as Http2ServerRequest
      if (!raw.stream.endAfterHeaders) watch(raw)
    }
    done(null, payload)
  })

  function watch (raw: Http2ServerRequest): void {
    const { stream } = raw
    const timer = setTimeout(() => {
      // The rest is not wanted: without this the stream stays open for as long as its caller likes.
      stream.once('finish', () => { stream.close() })
      fail(raw, late())
    }, timeout)
    const arrived = () => { clearTimeout(timer) }
    raw.once('end', arrived)
    stream.once('close', arrived)
  }
}, { name: 'arrival', dependencies: ['telemetry'] })

/** Node's own mark of the answer that a connection is busy with; its own handler looks at it, too. */
interface Busy extends Socket { _httpMessage?: ServerResponse | null }
type Body = Pick<NodeJS.EventEmitter, 'emit' | 'listenerCount' | 'on'>
/** The parser complains of every further piece of what it has refused. */
const refused = new WeakSet<Socket>()

/** Answers what the HTTP parser refused. */
export function clientErrorHandler (this: FastifyInstance, error: Error & { code?: string }, socket: Busy): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || refused.has(socket)) return
  refused.add(socket)
  const failure = failureOf(error.code)
  const answer = socket._httpMessage ?? undefined
  if (answer !== undefined) {
    // Bytes of ours before or in the midst of an answer would be taken for it: it ends as it can, and the connection with it.
    answer.shouldKeepAlive = false
    answer.once('finish', () => { socket.destroySoon() })
    if (!answer.req.complete) {
      fail(answer.req, failure)
      return
    }
  }
  const id = `req_${randomBytes(12).toString('base64url')}`
  this.log.info({ requestId: id, error: failure.code, code: error.code }, 'request refused by the parser')
  this.metrics.refused.inc({ code: failure.code })
  if (answer === undefined) socket.end(bytesOf(failure, id), () => { socket.destroy() })
}

function failureOf (code: string | undefined): ApiError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return late()
  if (code === 'HPE_HEADER_OVERFLOW') return new ApiError('headers_too_large', 'the headers have more than 16 KiB')
  return new ApiError('bad_request', 'this is not HTTP as RFC 9112 has it')
}

/** Tells whoever reads the body, now or later, so that the request fails as any other: with its own id, in one line. */
function fail (raw: Body, failure: ApiError): void {
  if (raw.listenerCount('error') > 0) raw.emit('error', failure)
  else raw.on('newListener', (event) => { if (event === 'error') process.nextTick(() => { if (raw.listenerCount('error') > 0) raw.emit('error', failure) }) })
}

/** There is no request yet, so the bytes are written by hand. */
function bytesOf (failure: ApiError, id: string): string {
  const body = JSON.stringify(bodyOf(failure, id))
  const head = ['Connection: close', 'Content-Type: application/json; charset=utf-8', `Content-Length: ${Buffer.byteLength(body)}`, `X-Request-Id: ${id}`]
  return `HTTP/1.1 ${failure.statusCode} ${STATUS_CODES[failure.statusCode]}\r\n${head.join('\r\n')}\r\n\r\n${body}`
}
