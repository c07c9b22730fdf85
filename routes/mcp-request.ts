import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { chatBytes } from '../schemas/chat.ts'
import { mcpRequestSend } from '../schemas/mcp-request.ts'

const config = { access: 'user', bucket: 'mcp', tellsLimit: true } as const
/** As much as a chat with attachments needs. */
const bodyLimit = chatBytes

const mcpRequest: FastifyPluginAsyncTypebox = async (app) => {
  if (!app.config.api.mcp) return

  app.post('/api/v1/mcp/request', { schema: mcpRequestSend, config, bodyLimit, errorHandler: app.mcp.refuse }, async (request, reply) => {
    const { session_id: session } = request.query
    return await (session === undefined ? app.mcp.bridge(request, reply) : app.mcp.sse.send(request, session))
  })
}

export default mcpRequest
