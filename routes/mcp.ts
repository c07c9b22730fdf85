import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { chatBytes } from '../schemas/chat.ts'
import { mcpMessageSend, mcpMessageStream, mcpSessionDelete, mcpStreamOpen } from '../schemas/mcp.ts'

const config = { access: 'user', bucket: 'mcp' } as const
/** As much as a chat with attachments needs. */
const bodyLimit = chatBytes

const mcp: FastifyPluginAsyncTypebox = async (app) => {
  if (!app.config.api.mcp) return

  app.post('/mcp', { schema: mcpMessageSend, config: { ...config, tellsLimit: true }, bodyLimit, errorHandler: app.mcp.refuse }, async (request, reply) => await app.mcp.handle(request, reply))

  app.get('/mcp', { schema: mcpMessageStream, config, exposeHeadRoute: false, errorHandler: app.mcp.refuse }, async (request, reply) => await app.mcp.handle(request, reply))

  app.delete('/mcp', {
    schema: mcpSessionDelete,
    config,
    errorHandler: app.mcp.refuse,
    // The Python clients say of what they do not send that it is JSON.
    onRequest: async ({ headers }) => { delete headers['content-type'] }
  }, async (request, reply) => await app.mcp.handle(request, reply))

  app.get('/api/v1/mcp/stream', { schema: mcpStreamOpen, config, exposeHeadRoute: false }, async (request, reply) => await app.mcp.sse.open(request, reply))
}

export default mcp
