import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { protectedResourceGet, protectedResourceMcpGet } from '../schemas/discovery.ts'

const config = { access: 'public' } as const

const wellKnown: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/.well-known/oauth-protected-resource', { schema: protectedResourceGet, config }, async (request) => request.protectedResource())

  // The path of the resource stands behind the well-known one (RFC 9728, section 3.1).
  app.get('/.well-known/oauth-protected-resource/mcp', { schema: protectedResourceMcpGet, config }, async (request) => request.protectedResource())
}

export default wellKnown
