import { setImmediate as turn } from 'node:timers/promises'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, preParsingHookHandler } from 'fastify'
import { ApiError } from '../../errors.ts'
import { otlpBytes, otlpJsonBytes, otlpRecords, type OtlpAnswer } from '../../schemas/otlp.ts'
import { encode, recordsIn } from './decode.ts'
import { inflate } from './inflate.ts'
import { eventOf, type Mapped } from './mapping.ts'
import { names, recordsOf, type Signal } from './records.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The operation takes OTLP of this signal. */
    otlp?: Signal
  }
  interface FastifyInstance {
    otlp: {
      /** Reads a body in protobuf, for routes with `config.otlp` alone. */
      parse: (request: FastifyRequest, body: Buffer, done: (error: null, body: Encoded) => void) => void
      /** Publishes what is in an OTLP request, and answers in its media type with what was left out. */
      take: (request: FastifyRequest, reply: FastifyReply) => Promise<OtlpAnswer | undefined>
    }
  }
}

type Publishable = Exclude<Mapped, { reason: string }>

const mostMs = 10
const atOnce = 256

/** A body in protobuf: what is in it is read when it is taken. */
class Encoded {
  readonly bytes: Buffer
  constructor (bytes: Buffer) {
    this.bytes = bytes
  }

  /** For the digest that an Idempotency-Key asks for. */
  toJSON (): string {
    return this.bytes.toString('base64')
  }
}

/** Takes logs and traces of other services, as OpenTelemetry exporters send them (OTLP/HTTP 1.x), into the streams. */
export default fp(async (app) => {
  app.addHook('onRoute', (route) => {
    if (route.config?.otlp !== undefined) route.preParsing = [open, ...[route.preParsing ?? []].flat()]
  })

  app.decorate('otlp', {
    parse: (_, body, done) => { done(null, new Encoded(body)) },
    take: async ({ body, routeOptions: { config } }, reply) => {
      const signal = config.otlp!
      // An exporter keeps what it has and comes back; here it would push out what waits.
      if (app.events.isCrowded(signal)) throw new ApiError('state_unavailable', `more ${signal} wait to be kept than can be: send these again later`, { retryAfter: 5 })
      const { events, rejected } = await read(body, signal)
      for (const [index, one] of events.entries()) {
        if (index % atOnce === atOnce - 1) await turn()
        if (one.once === undefined) app.events.publish('logs', one.event)
        else app.events.publish('traces', one.event, { once: one.once })
      }
      const answer = answerOf(rejected, signal)
      if (!(body instanceof Encoded)) return answer
      await reply.type('application/x-protobuf').send(await encode(answer))
      return undefined
    }
  })
}, { name: 'otlp', dependencies: ['errors', 'events', 'json'] })

/** Inflates a body that is gzip: nothing behind this meets an encoding. */
const open: preParsingHookHandler = (request, _, payload, done) => {
  const { 'content-encoding': encoding = 'identity', 'content-type': type = '' } = request.headers
  if (encoding === 'identity') {
    done(null, payload)
    return
  }
  if (encoding.toLowerCase() !== 'gzip') {
    done(new ApiError('unsupported_media_type', 'send the body as it is or with Content-Encoding: gzip'))
    return
  }
  delete request.headers['content-encoding']
  // Fastify's type asks for the very kind of stream that it gave.
  done(null, inflate(payload, /^application\/json\b/i.test(type) ? otlpJsonBytes : otlpBytes) as unknown as typeof payload)
}

/** All of a request before any of it is published: what is refused in part would be sent again in full. */
async function read (body: unknown, signal: Signal): Promise<{ events: Publishable[], rejected: Map<string, number> }> {
  const events: Publishable[] = []
  const rejected = new Map<string, number>()
  const now = new Date()
  const records = body instanceof Encoded ? await recordsIn(body.bytes, signal) : recordsOf(body, signal)
  let since = performance.now()
  for (const found of records) {
    const mapped = events.length < otlpRecords ? eventOf(found, signal, now) : { reason: `a request may have ${otlpRecords} records` }
    if ('reason' in mapped) rejected.set(mapped.reason, (rejected.get(mapped.reason) ?? 0) + 1)
    else events.push(mapped)
    if (performance.now() - since < mostMs) continue
    await turn()
    since = performance.now()
  }
  return { events, rejected }
}

function answerOf (rejected: Map<string, number>, signal: Signal): OtlpAnswer {
  if (rejected.size === 0) return {}
  const total = [...rejected.values()].reduce((sum, count) => sum + count)
  const errorMessage = [...rejected].map(([reason, count]) => `${count} left out: ${reason}`).join('; ')
  return { partialSuccess: { [names[signal].rejected]: String(total), errorMessage } }
}
