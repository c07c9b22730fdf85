import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { docsMcpGet } from '../schemas/discovery.ts'

const docsMcp: FastifyPluginAsyncTypebox = async (app) => {
  const { docs, mcp } = app.config.api
  if (!docs || !mcp) return

  app.get('/docs/mcp', { schema: { ...docsMcpGet, hide: true }, config: { access: 'public' } }, async (request, reply) => reply.hosts())
}

export default docsMcp
