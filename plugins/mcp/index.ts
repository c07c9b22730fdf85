import { createMcpHandler, isInitializeRequest, isLegacyRequest, legacyStatelessFallback, ProtocolErrorCode, type AuthInfo, type McpServerFactory, type RequestStateCodec, type ServerNotifier } from '@modelcontextprotocol/server'
import fp from 'fastify-plugin'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { bodyOf, failureOf } from '../../errors.ts'
import { rank } from '../../schemas/contract.ts'
import { callTool } from './call.ts'
import { called, directOf, discovered, listed } from './dispatch.ts'
import type { Feature } from './feature.ts'
import { checkOrigin } from './origin.ts'
import { createRequestState } from './request-state.ts'
import { createServer, type Offer } from './server.ts'
import { createSessions, type Sessions } from './sessions/index.ts'
import { toolsOf, type Tool, type ToolDefinition } from './tools.ts'

export interface Mcp {
  /** All tools by name, whoever may call them. */
  tools: Map<string, Tool>
  /** What is offered beside the operations; to be added to before the server is ready. */
  features: Feature[]
  /** Signs what a call that asks its client something wants to know again with the answer. */
  requestState: RequestStateCodec
  /** Tells the subscriptions of 2026-07-28 that are open here of a change. */
  notify: ServerNotifier
  /** Answers one HTTP request of the protocol, of any revision. */
  handle: (request: FastifyRequest, reply: FastifyReply) => Promise<Response | string>
  /** The transport of revision 2024-11-05. */
  sse: Pick<Sessions, 'open' | 'send'>
  /** Gives what is no JSON, or takes no stream, the error of JSON-RPC; leaves every other failure to the server. */
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
  const requestState = createRequestState(app)
  const offer: Offer = { about, tools, visible, features, requestState }
  const factory: McpServerFactory = ({ authInfo }) => createServer(offer, (authInfo!.extra as { request: FastifyRequest }).request)
  const onError = (error: Error) => { app.log.debug({ err: error }, 'mcp') }
  const modern = createMcpHandler(factory, { legacy: 'reject', onerror: onError })
  const stateless = legacyStatelessFallback(factory, onError)
  const sessions = createSessions({ app, serverFor: (request) => createServer(offer, request), authOf })

  app.decorate('mcp', {
    tools,
    features,
    requestState,
    notify: modern.notify,
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
    sse: {
      open: async (request, reply) => {
        checkOrigin(request, app.config)
        return await sessions.open(request, reply)
      },
      send: async (request, id) => {
        checkOrigin(request, app.config)
        return await sessions.send(request, id)
      }
    },
    refuse: (error, request, reply) => {
      const failure = failureOf(error)
      if (failure.code !== 'bad_request' && failure.code !== 'unsupported_media_type' && failure.code !== 'not_acceptable') throw error
      request.failure = failure
      const code = failure.code === 'bad_request' ? ProtocolErrorCode.ParseError : -32_000
      // As text: the contract's schema for 400 is that of our own error body.
      return reply.code(failure.statusCode).type('application/json').send(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message: failure.message, data: bodyOf(failure, request.id).error } }))
    }
  } satisfies Mcp)

  /** In the order of age: who sends the envelope of 2026-07-28, who has a session or wants one, and who asks without. */
  async function bySdk (request: FastifyRequest, reply: FastifyReply): Promise<Response> {
    const { authorization, 'x-api-key': apiKey, ...headers } = request.headers
    const { method, body } = request
    const web = new Request(`http://mcp${request.url}`, { method, headers: headers as Record<string, string>, signal: request.gone })
    const options = { parsedBody: body, authInfo: authOf(request) }
    const isOld = method !== 'POST' || await isLegacyRequest(web, body)
    if (isOld && app.config.api.mcp_sessions && headers['mcp-protocol-version'] !== '2026-07-28') {
      if (method === 'GET') return await sessions.get(request, reply)
      if (method === 'DELETE') return await sessions.delete(request)
      if (headers['mcp-session-id'] !== undefined || isInitializeRequest(body)) return await sessions.post(request, reply)
    }
    // A call that outlives its key ends as if its caller had left.
    reply.raw.once('close', request.whileAllowed(() => { request.departure.leave() }))
    return await (isOld ? stateless : modern.fetch)(web, options)
  }

  app.addHook('onReady', async () => {
    for (const [name, tool] of toolsOf(app.operations)) tools.set(name, tool)
  })
  app.addHook('preClose', async () => { await modern.close() })
}, { name: 'mcp', dependencies: ['auth', 'core', 'inner', 'operations'] })

/** Says to the SDK who calls, but not with what: nothing of the protocol needs the key. */
function authOf (request: FastifyRequest): AuthInfo {
  return { token: '', clientId: request.caller.digest, scopes: [request.caller.access], extra: { request } }
}
