import { ProtocolError, ProtocolErrorCode, Server, type RequestStateCodec, type ServerCapabilities, type ServerContext, type Tool as ListedTool } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import { callTool } from './call.ts'
import type { About } from './dispatch.ts'
import type { Feature } from './feature.ts'
import type { Tool, ToolDefinition } from './tools.ts'

export interface Offer {
  about: About
  /** All operations as tools, by name. */
  tools: ReadonlyMap<string, Tool>
  /** Those of them that the caller may call and the Core can do. */
  visible: (request: FastifyRequest) => ToolDefinition[]
  features: readonly Feature[]
  requestState: Pick<RequestStateCodec, 'verify'>
}

/** How long a host may keep a list; it depends on the caller's level. */
export const listHints = { ttlMs: 60_000, cacheScope: 'private' } as const

/** The server of one exchange, of whatever revision: the SDK knows the protocol, what is offered comes from here. */
export function createServer ({ about: { info, instructions }, tools, visible, features, requestState }: Offer, request: FastifyRequest): Server {
  const capabilities: ServerCapabilities = Object.assign({ tools: {} }, ...features.map((feature) => feature.capabilities))
  const cacheHints = { 'tools/list': listHints, 'resources/list': listHints, 'resources/templates/list': listHints, 'resources/read': { ttlMs: 0, cacheScope: 'private' }, 'prompts/list': listHints } as const
  const server = new Server(info, { capabilities, instructions, cacheHints, requestState })
  server.setRequestHandler('tools/list', async () => {
    const more = await Promise.all(features.map(async (feature) => await feature.tools?.list(request) ?? []))
    return { tools: [...visible(request), ...more.flat()] as ListedTool[] }
  })
  server.setRequestHandler('tools/call', async ({ params: { name, arguments: args = {} } }, context: ServerContext) => {
    const tool = tools.get(name)
    if (tool === undefined) {
      for (const feature of features) {
        const result = feature.tools?.call(name, args, request, context)
        if (result !== undefined) return await result
      }
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `no tool ${name}`)
    }
    const { json, failed } = await callTool(tool, args, request)
    const content = [{ type: 'text' as const, text: json }]
    return failed ? { content, isError: true } : { content, structuredContent: JSON.parse(json) as Record<string, unknown> }
  })
  for (const feature of features) feature.install?.(server, request)
  return server
}
