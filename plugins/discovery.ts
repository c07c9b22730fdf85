import fp from 'fastify-plugin'
import type { FastifyRequest, onSendHookHandler } from 'fastify'
import { ApiError } from '../errors.ts'
import type { ProtectedResource } from '../schemas/discovery.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether somebody issues tokens for /mcp; where nobody does, keys are no OAuth tokens. */
    hasIssuer: boolean
  }
  interface FastifyRequest {
    /** The address under which the caller reaches this server, without a slash at its end. */
    address: () => string
    /** What an OAuth client must know of /mcp; throws where no issuer is configured. */
    protectedResource: () => ProtectedResource
  }
}

const host = /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/

/** Says where this server is and, where an issuer is configured, how an OAuth client gets a token for /mcp (RFC 9728). */
export default fp(async (app) => {
  app.decorateRequest('address', function (this: FastifyRequest) {
    const { api } = app.config
    if (api.public_url !== undefined) return api.public_url.replace(/\/+$/, '')
    return `${this.protocol}://${host.test(this.host) ? this.host : `localhost:${api.port}`}`
  })

  const { api: { jwt_issuer: issuer = '', docs, mcp }, core } = app.config
  // An issuer that is no address says nothing about where to go.
  const hasIssuer = mcp && /^https?:\/\//.test(issuer)
  app.decorate('hasIssuer', hasIssuer)
  app.decorateRequest('protectedResource', function (this: FastifyRequest) {
    if (!hasIssuer) throw new ApiError('not_found', 'no issuer is configured here: send a key of the MUXI Core as Authorization: Bearer <key>')
    const base = this.address()
    return {
      resource: `${base}/mcp`,
      authorization_servers: [issuer],
      bearer_methods_supported: ['header' as const],
      scopes_supported: [...new Set([...core.user_roles, ...core.admin_roles])],
      resource_name: 'MUXI API',
      ...(docs && { resource_documentation: `${base}/docs/mcp` })
    }
  })
  if (!hasIssuer) return

  /** MCP, Authorization: whoever is turned away learns where to look. */
  const lead: onSendHookHandler = (request, reply, payload, done) => {
    if (reply.statusCode === 401) reply.header('www-authenticate', `Bearer realm="muxi", resource_metadata="${request.address()}/.well-known/oauth-protected-resource/mcp"`)
    done(null, payload)
  }
  app.addHook('onRoute', (route) => {
    if (route.config?.bucket === 'mcp') route.onSend = [lead, ...[route.onSend ?? []].flat()]
  })
}, { name: 'discovery' })
