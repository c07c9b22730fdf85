import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import type { FastifyRequest, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Departure } from '../core/departure.ts'

/** What is to be called, and how. */
export type Call = Pick<InjectOptions, 'method' | 'url' | 'payload'> & {
  traceparent?: string | undefined
  /** Besides those of the caller that hold for all operations. */
  headers?: Record<string, string> | undefined
  /** Ends the call earlier than its caller's leaving does. */
  until?: Departure | undefined
  /** Hears of the answer while it is made, where the operation tells of it. */
  heard?: FastifyRequest['heard']
  /** The id of the call, where one request makes many; that of the request when absent. */
  requestId?: string
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The request on whose behalf this one runs, when it came through `call`. */
    outer: FastifyRequest | undefined
    /** Calls another operation of this server as the same caller, in the same trace: as a part of this request, or of the part of it that `traceparent` names. The answer is read in full. */
    call: (options: Call) => Promise<LightMyRequestResponse>
    /** Of a request that came through `call`: what ends it, where that is not its caller's leaving. */
    until: Departure | undefined
    /** Of a request that came through `call`: who hears of the answer while it is made, and may make it wait. */
    heard: ((event: { event: string, data: unknown }) => void | Promise<void>) | undefined
  }
}

const passed = ['authorization', 'x-api-key', 'x-muxi-user-id', 'x-user-id', 'user-agent', 'idempotency-key', 'x-muxi-idempotency-key'] as const

/** Lets one request call another operation by the same way as any caller: validation, level and log hold because they are the same ones. */
export default fp(async (app) => {
  // Nobody outside knows it, so the header cannot be forged.
  const secret = randomBytes(32).toString('base64url')
  const running = new Map<string, Pick<FastifyRequest, 'outer' | 'until' | 'heard'>>()
  let count = 0

  app.decorateRequest('outer')
  app.decorateRequest('until')
  app.decorateRequest('heard')
  app.decorateRequest('call', async function (this: FastifyRequest, { traceparent = this.traceparent, headers: more, until, heard, requestId = this.id, ...options }) {
    const id = `${secret}${++count}`
    const headers: Record<string, string> = {
      'x-muxi-inner': id,
      'x-request-id': requestId,
      traceparent,
      ...more
    }
    for (const name of passed) if (typeof this.headers[name] === 'string') headers[name] = this.headers[name]
    if (options.payload !== undefined) headers['content-type'] = 'application/json'
    running.set(id, { outer: this, until, heard })
    try {
      return await app.inject({ ...options, headers, remoteAddress: this.ip, signal: until?.signal ?? this.gone })
    } finally {
      running.delete(id)
    }
  })

  app.addHook('onRequest', (request, reply, done) => {
    const id = request.headers['x-muxi-inner']
    if (id !== undefined) Object.assign(request, running.get(String(id)))
    done()
  })
}, { name: 'inner' })
