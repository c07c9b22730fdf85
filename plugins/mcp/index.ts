import { createMcpHandler, ProtocolErrorCode } from '@modelcontextprotocol/server'
import fp from 'fastify-plugin'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { bodyOf, failureOf } from '../../errors.ts'
import { rank } from '../../schemas/contract.ts'
import { callTool } from './call.ts'
import { called, directOf, discovered, listed } from './dispatch.ts'
import type { Feature } from './feature.ts'
import { checkOrigin } from './origin.ts'
import { createServer, type Offer } from './server.ts'
import { toolsOf, type Tool, type ToolDefinition } from './tools.ts'

export interface Mcp {
  /** All tools by name, whoever may call them. */
  tools: Map<string, Tool>
  /** What is offered beside the operations; to be added to before the server is ready. */
  features: Feature[]
  /** Answers one HTTP request of the protocol, of any revision. */
  handle: (request: FastifyRequest, reply: FastifyReply) => Promise<Response | string>
  /** Gives what is no JSON the error of JSON-RPC; leaves every other failure to the server. */
  refuse: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => FastifyReply
}

declare module 'fastify' {
  interface FastifyInstance { mcp: Mcp }
}

const instructions = 'Tools of a MUXI server: chat_send talks to the agent that fits best, agent_chat_send to a given one. ' +
  'A failed call carries an error object with a code, a message that says what to do, and a request_id.'

/** Serves every JSON operation as a tool of the Model Context Protocol, stateless, for the 2026-07-28 and the 2025 revisions. */
export default fp(async (app) => {
  const tools = new Map<string, Tool>()
  const about = { info: { name: 'muxi-api', title: 'MUXI API', version: app.release }, instructions }

  /** What the caller may call and the Core can do. */
  const visible = ({ caller }: FastifyRequest): ToolDefinition[] => [...tools.values()]
    .filter(({ operation: { access, capability } }) => rank[caller.access] >= rank[access] && (capability === undefined || app.core.offers(capability)))
    .map(({ definition }) => definition)

  const features: Feature[] = []
  const hasTools = () => features.some((feature) => feature.tools !== undefined)
  const offer: Offer = { about, tools, visible, features }
  // Set below, with every request.
  const handler = createMcpHandler(({ authInfo }) => createServer(offer, (authInfo!.extra as { request: FastifyRequest }).request), { onerror: (error) => { app.log.debug({ err: error }, 'mcp') } })

  app.decorate('mcp', {
    tools,
    features,
    handle: async (request, reply) => {
      checkOrigin(request, app.config)
      const direct = directOf(request)
      const tool = direct?.method === 'tools/call' ? tools.get(direct.name) : undefined
      if (direct?.method === 'tools/call' && tool !== undefined) {
        reply.type('application/json')
        return called(direct.id, await callTool(tool, direct.args, request), about)
      }
      if (direct === undefined || direct.method === 'tools/call' || (direct.method === 'tools/list' ? hasTools() : features.length > 0)) return await bySdk(request, reply)
      reply.type('application/json')
      return direct.method === 'tools/list' ? listed(direct.id, JSON.stringify(visible(request)), about) : discovered(direct.id, about)
    },
    refuse: (error, request, reply) => {
      const failure = failureOf(error)
      if (failure.code !== 'bad_request' && failure.code !== 'unsupported_media_type') throw error
      request.failure = failure
      const code = failure.code === 'bad_request' ? ProtocolErrorCode.ParseError : -32_000
      // As text: the contract's schema for 400 is that of our own error body.
      return reply.code(failure.statusCode).type('application/json').send(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message: failure.message, data: bodyOf(failure, request.id).error } }))
    }
  } satisfies Mcp)

  async function bySdk (request: FastifyRequest, reply: FastifyReply): Promise<Response> {
    const { authorization, 'x-api-key': apiKey, ...headers } = request.headers
    const web = new Request(`http://mcp${request.url}`, { method: request.method, headers: headers as Record<string, string>, signal: request.gone })
    // A call that outlives its key ends as if its caller had left.
    reply.raw.once('close', request.whileAllowed(() => { request.departure.leave() }))
    return await handler.fetch(web, { parsedBody: request.body, authInfo: { token: '', clientId: request.caller.digest, scopes: [request.caller.access], extra: { request } } })
  }

  app.addHook('onReady', async () => {
    for (const [name, tool] of toolsOf(app.operations)) tools.set(name, tool)
  })
  app.addHook('preClose', async () => { await handler.close() })
}, { name: 'mcp', dependencies: ['auth', 'core', 'inner', 'operations'] })
