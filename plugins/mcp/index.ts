import { createMcpHandler, ProtocolError, ProtocolErrorCode, Server } from '@modelcontextprotocol/server'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { callTool } from './call.ts'
import { checkOrigin } from './origin.ts'
import { toolsOf, type Tool, type ToolDefinition } from './tools.ts'

export interface Mcp {
  /** All tools by name, whoever may call them. */
  tools: Map<string, Tool>
  /** Answers one HTTP request of the protocol, of any revision. */
  handle: (request: FastifyRequest) => Promise<Response>
}

declare module 'fastify' {
  interface FastifyInstance { mcp: Mcp }
}

const rank = { public: 0, user: 1, admin: 2 } as const
const instructions = 'Tools of a MUXI server. chat_send talks to the agent that fits best, agent_chat_send to a given one.'

/** Serves every JSON operation as a tool of the Model Context Protocol, stateless, for the 2026-07-28 and the 2025 revisions. */
export default fp(async (app) => {
  const tools = new Map<string, Tool>()
  const info = { name: 'muxi-api', title: 'MUXI API', version: app.release }

  const handler = createMcpHandler(({ authInfo }) => {
    const { request } = authInfo!.extra as { request: FastifyRequest }
    const server = new Server(info, { capabilities: { tools: {} }, instructions, cacheHints: { 'tools/list': { ttlMs: 60_000, cacheScope: 'private' } } })
    server.setRequestHandler('tools/list', async () => ({ tools: visible(app, tools, request) }))
    server.setRequestHandler('tools/call', async ({ params: { name, arguments: args = {} } }) => {
      const tool = tools.get(name)
      if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `no tool ${name}`)
      return await callTool(tool, args, request)
    })
    return server
  }, { onerror: (error) => { app.log.debug({ err: error }, 'mcp') } })

  app.decorate('mcp', {
    tools,
    handle: async (request) => {
      checkOrigin(request, app.config)
      const { authorization, 'x-api-key': apiKey, ...headers } = request.headers
      const web = new Request(`http://mcp${request.url}`, { method: request.method, headers: headers as Record<string, string>, signal: request.gone })
      return await handler.fetch(web, { parsedBody: request.body, authInfo: { token: '', clientId: request.caller.digest, scopes: [request.caller.access], extra: { request } } })
    }
  } satisfies Mcp)

  app.addHook('onReady', async () => {
    for (const [name, tool] of toolsOf(app.operations)) tools.set(name, tool)
  })
  app.addHook('preClose', async () => { await handler.close() })
}, { name: 'mcp', dependencies: ['auth', 'core', 'inner', 'operations'] })

/** What the caller may call and the Core can do. */
function visible ({ core }: FastifyInstance, tools: Map<string, Tool>, request: FastifyRequest): ToolDefinition[] {
  return [...tools.values()].filter((tool) => mayCall(tool, request) && (tool.operation.capability === undefined || core.offers(tool.operation.capability))).map(({ definition }) => definition)
}

function mayCall ({ operation }: Tool, { caller }: FastifyRequest): boolean {
  return rank[caller.access] >= rank[operation.access]
}
