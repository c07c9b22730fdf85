import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { mcpToolList } from '../schemas/mcp-tools.ts'

const config = { access: 'user', bucket: 'mcp', cacheable: true } as const

const mcpTools: FastifyPluginAsyncTypebox = async (app) => {
  if (!app.config.api.mcp) return

  app.get('/api/v1/mcp/tools', { schema: mcpToolList, config }, async (request) => {
    const { tools, ...more } = await app.mcp.list(request, request.query.cursor)
    return { tools: tools.map((tool) => ({ ...tool, parameters: tool.inputSchema })), ...more }
  })
}

export default mcpTools
