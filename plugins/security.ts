import cors from '@fastify/cors'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'

/** What a browser may do with our answers: nothing beyond reading them, and that from listed origins only. */
export default fp(async (app: FastifyInstance) => {
  const { cors_origins: origins } = app.config.api
  const headers = {
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': origins.length > 0 ? 'cross-origin' : 'same-origin',
    'cache-control': 'no-store'
  }
  // In onRequest, since a hijacked reply passes no later hook.
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers)
    if (request.protocol === 'https') reply.header('strict-transport-security', 'max-age=31536000; includeSubDomains')
    done()
  })

  // Without origins no page may read anything: there is nothing to say to one.
  if (origins.length === 0) return
  await app.register(cors, {
    origin: origins.map(matcher),
    methods: ['GET', 'POST', 'PATCH', 'DELETE'],
    allowedHeaders: [
      'Authorization', 'Content-Type', 'X-API-Key', 'X-Request-Id', 'X-Muxi-User-Id', 'Idempotency-Key', 'If-Match', 'If-None-Match', 'traceparent',
      'Last-Event-ID', 'Mcp-Session-Id', 'MCP-Protocol-Version', 'Mcp-Method', 'Mcp-Name', 'X-Participant-Token'
    ],
    exposedHeaders: [
      'X-Request-Id', 'X-Trace-Id', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset', 'RateLimit', 'RateLimit-Policy',
      'Retry-After', 'Mcp-Session-Id', 'ETag', 'Link'
    ],
    maxAge: 600
  })
}, { name: 'security' })

/** `http://localhost:*` takes every port; all else is compared in full. */
export function matcher (origin: string): string | RegExp {
  return origin.endsWith(':*') ? new RegExp(`^${origin.slice(0, -2).replace(/[.[\]]/g, '\\$&')}(?::\\d{1,5})?$`) : origin
}
