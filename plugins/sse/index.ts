import fp from 'fastify-plugin'
import { FastifySSEPlugin, type EventMessage } from 'fastify-sse-v2'
import type { FastifyReply } from 'fastify'
import { ApiError, bodyOf, failureOf } from '../../errors.ts'
import { guard, type SseEvent } from './guard.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Answers with server-sent events. A failure before the first one is an ordinary error; a later one is the last event, `error`. */
    events: (source: AsyncIterable<SseEvent>) => Promise<FastifyReply>
  }
}

const heartbeatMs = 15_000
const farewellMs = 1_000

/** Streams of one request as server-sent events (WHATWG HTML, section 9.2). */
export default fp(async (app) => {
  await app.register(FastifySSEPlugin, { retryDelay: 3_000 })

  app.addHook('onRoute', (route) => {
    const { 200: ok } = (route.schema?.response ?? {}) as Record<number, { content?: Record<string, unknown> } | undefined>
    const types = Object.keys(ok?.content ?? {})
    if (types.length !== 1 || types[0] !== 'text/event-stream') return
    route.config = { ...route.config, component: 'sse' }
    route.preParsing = [async (request) => {
      const { accept } = request.headers
      if (accept !== undefined && !takesEvents(accept)) throw new ApiError('not_acceptable', 'this operation answers with text/event-stream: accept it')
    }, ...[route.preParsing ?? []].flat()]
  })

  app.decorateReply('events', async function (this: FastifyReply, source) {
    const { request } = this
    const iterator = source[Symbol.asyncIterator]()
    const first = await iterator.next()
    const sent = { events: 0, bytes: 0 }
    this.header('x-accel-buffering', 'no')
    if (request.raw.httpVersionMajor > 1) withoutConnection(this.raw)
    this.sse(guard(iterator, first, {
      signal: request.gone,
      heartbeatMs,
      onSend: (event) => {
        sent.events++
        sent.bytes += sizeOf(event)
      },
      whileAllowed: (end) => {
        const letGo = [request.whileAllowed(end), listed(this, sent, end)]
        return () => { for (const go of letGo) go() }
      },
      onEnd: (isCut) => {
        // Else what made the events would run on until the next one: its caller is still there, but may hear no more.
        if (isCut) request.departure.leave()
      },
      onError: (error) => {
        const failure = failureOf(error)
        request.failure = failure
        request.log[failure.code === 'internal_error' ? 'error' : 'warn']({ err: failure.cause ?? error, code: failure.code }, failure.message)
        return { event: 'error', data: bodyOf(failure, request.id) }
      }
    }))
    return this
  })
}, { name: 'sse', dependencies: ['auth', 'connections', 'errors', 'telemetry'] })

/** Notes that a stream is open; when this instance stops it runs to its end. Answers the function that lets go. */
function listed ({ request, raw, server }: FastifyReply, sent: { events: number, bytes: number }, cut: (reason: ApiError) => void): () => void {
  let isClosed = false
  return server.connections.add(request, {
    kind: 'chat_stream',
    look: () => ({ ...sent }),
    end: (reason) => {
      if (reason !== 'closed' || isClosed) return
      isClosed = true
      // Who does not read cannot be told either.
      setTimeout(() => { if (!raw.writableFinished) raw.destroy() }, farewellMs).unref()
      cut(new ApiError('forbidden', 'an admin closed this stream'))
    }
  }).remove
}

/** The bytes of an event on the wire: each field has a line of its own. */
function sizeOf ({ id, event = '', data = '' }: EventMessage): number {
  return (id === undefined ? 0 : 'id: \n'.length + id.length) + 'event: \ndata: \n\n'.length + event.length + Buffer.byteLength(data)
}

/** Whether an Accept header takes event streams: the range that fits best decides (RFC 9110, section 12.5.1). */
function takesEvents (accept: string): boolean {
  const ranges = accept.toLowerCase().split(',').map((range) => range.split(';').map((part) => part.trim()))
  const best = ['text/event-stream', 'text/*', '*/*', ''].map((type) => ranges.find(([name]) => name === type)).find((range) => range !== undefined)
  return best !== undefined && !best.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
}

/** The package names the connection's fate in a header, which HTTP/2 forbids (RFC 9113, section 8.2.2) and Node complains about. */
function withoutConnection (raw: FastifyReply['raw']): void {
  const set = raw.setHeader.bind(raw)
  raw.setHeader = (name, value) => name.toLowerCase() === 'connection' ? raw : set(name, value)
}
