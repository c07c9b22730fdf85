import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { mcpMessageSend, mcpMessageStream, mcpSessionDelete } from '../schemas/mcp.ts'

const config = { access: 'user', bucket: 'mcp' } as const
/** As much as a chat with attachments needs. */
const bodyLimit = 16 * 1_048_576

const mcp: FastifyPluginAsyncTypebox = async (app) => {
  if (!app.config.api.mcp) return

  app.post('/mcp', { schema: mcpMessageSend, config, bodyLimit }, async (request) => await app.mcp.handle(request))

  app.get('/mcp', { schema: mcpMessageStream, config, exposeHeadRoute: false }, async (request) => await app.mcp.handle(request))

  app.delete('/mcp', { schema: mcpSessionDelete, config }, async (request) => await app.mcp.handle(request))
}

export default mcp
