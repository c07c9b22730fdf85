import { promisify } from 'node:util'
import cors, { type FastifyCorsOptions } from '@fastify/cors'
import fp from 'fastify-plugin'
import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import { requestHeaders, responseHeaders } from '../schemas/headers.ts'

/** What a browser may do with our answers: nothing beyond reading them, and that from listed origins only. */
export default fp(async (app: FastifyInstance) => {
  const headersFor = (policy: string) => ({
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': policy,
    'cache-control': 'no-store'
  })
  const [closed, open] = [headersFor('same-origin'), headersFor('cross-origin')]
  // In onRequest, since a hijacked reply passes no later hook.
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(app.config.api.cors_origins.length > 0 ? open : closed)
    if (request.protocol === 'https') reply.header('strict-transport-security', 'max-age=31536000; includeSubDomains')
    done()
  })

  let origins: readonly string[] = []
  let matchers: (string | RegExp)[] = []
  const options: FastifyCorsOptions = {
    origin: (origin, done) => {
      const { cors_origins: listed } = app.config.api
      if (origins !== listed) {
        origins = listed
        matchers = listed.map(matcher)
      }
      done(null, matchers)
    },
    methods: ['GET', 'POST', 'PATCH', 'DELETE'],
    allowedHeaders: ['Authorization', 'Content-Type', 'X-API-Key', 'X-Request-Id', 'traceparent', ...Object.keys(requestHeaders), 'Mcp-Session-Id', 'X-Participant-Token'],
    exposedHeaders: [...Object.keys(responseHeaders), 'Mcp-Session-Id'],
    maxAge: 600
  }
  // Without origins no page may read anything: there is nothing to say to one, and the package's hook would cost every request 1 µs.
  const gated = Object.create(app, {
    addHook: {
      value: (name: 'onRequest', hook: onRequestHookHandler) => app.addHook(name, function (request, reply, done) {
        if (app.config.api.cors_origins.length > 0) hook.call(this, request, reply, done)
        else done()
      })
    }
  }) as FastifyInstance
  await promisify<FastifyInstance, FastifyCorsOptions, void>(cors)(gated, options)
}, { name: 'security' })

/** `http://localhost:*` takes every port; all else is compared in full. */
export function matcher (origin: string): string | RegExp {
  return origin.endsWith(':*') ? new RegExp(`^${origin.slice(0, -2).replace(/[.[\]]/g, '\\$&')}(?::\\d{1,5})?$`) : origin
}
