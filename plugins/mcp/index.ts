import { createMcpHandler, isInitializeRequest, isLegacyRequest, legacyStatelessFallback, ProtocolErrorCode, type AuthInfo, type McpServerFactory, type RequestStateCodec, type ServerNotifier } from '@modelcontextprotocol/server'
import fp from 'fastify-plugin'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { bodyOf, failureOf } from '../../errors.ts'
import { agentFeatures } from './agents/index.ts'
import { heardIn, mayHear } from './agents/resources.ts'
import { createBridge, type Bridge } from './bridge.ts'
import { busOf, createChanges } from './changes.ts'
import { answerDirectly } from './dispatch.ts'
import type { Feature } from './feature.ts'
import { Listing, type ToolPage } from './listing.ts'
import type { Offer } from './offer.ts'
import { checkOrigin } from './origin.ts'
import { keptOpen } from './patience.ts'
import { createRequestState } from './request-state.ts'
import { callsIn, refusalOf } from './revisions.ts'
import { createServer } from './server.ts'
import { createSessions, type Sessions } from './sessions/index.ts'
import { subsetOf } from './subset.ts'
import { createTasks } from './tasks/index.ts'
import { toolsOf, type Tool } from './tools.ts'

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
  /** One page of the tools that the caller may call. */
  list: (request: FastifyRequest, cursor?: string) => Promise<ToolPage>
  /** Answers one message in the answer itself, for clients without streams, also in its short form. */
  bridge: Bridge
  /** The transport of revision 2024-11-05. */
  sse: Pick<Sessions, 'open' | 'send'>
  /** Resolves when no task runs at this instance. */
  idle: () => Promise<void>
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

  const changes = createChanges(app)
  const features: Feature[] = agentFeatures(app, changes)
  const listing = new Listing(app, tools, features)
  const requestState = createRequestState(app)
  const tasks = createTasks({ app, tools, features, requestState })
  features.push(tasks.feature)
  const offer: Offer = { app, about, tools, features, listing, requestState, tasks }
  const factory: McpServerFactory = ({ authInfo }) => createServer(offer, (authInfo!.extra as { request: FastifyRequest }).request)
  const onError = (error: Error) => { app.log.debug({ err: error }, 'mcp') }
  const modern = createMcpHandler(factory, { legacy: 'reject', onerror: onError, bus: busOf(changes) })
  const stateless = legacyStatelessFallback(factory, onError)
  const sessions = createSessions({ app, serverFor: (request) => createServer(offer, request), authOf, news: { follow: changes.follow, mayHear } })

  app.decorate('mcp', {
    tools,
    features,
    requestState,
    notify: modern.notify,
    handle: async (request, reply) => {
      checkOrigin(request, app.config)
      checkLimit(request)
      subsetOf(request)
      const direct = answerDirectly(offer, request)
      if (direct !== undefined) {
        reply.type('application/json')
        return await keptOpen(request, reply, direct)
      }
      const refusal = refusalOf(request)
      if (refusal !== undefined) return refusal
      await chargeFor(request)
      const { web, isOld } = await webOf(request)
      // In the order of age: who sends the envelope of 2026-07-28, who has a session or wants one, and who asks without.
      if (isOld && app.config.api.mcp_sessions && request.headers['mcp-protocol-version'] !== '2026-07-28') {
        if (request.method === 'GET') return await sessions.get(request, reply)
        if (request.method === 'DELETE') return await sessions.delete(request)
        if (request.headers['mcp-session-id'] !== undefined || isInitializeRequest(request.body)) return await sessions.post(request, reply)
      }
      // A call that outlives its key ends as if its caller had left.
      reply.raw.once('close', request.whileAllowed(() => { request.departure.leave() }))
      return await keptOpen(request, reply, (isOld ? stateless : modern.fetch)(web, { parsedBody: heardIn(request.body, request), authInfo: authOf(request) }))
    },
    list: async (request, cursor) => await listing.page(request, cursor),
    bridge: createBridge(offer, async (request, reply) => await app.mcp.handle(request, reply), (request) => { checkOrigin(request, app.config) }),
    sse: {
      open: async (request, reply) => {
        checkOrigin(request, app.config)
        return await sessions.open(request, reply)
      },
      send: async (request, id) => {
        checkOrigin(request, app.config)
        checkLimit(request)
        await chargeFor(request)
        return await sessions.send(request, id)
      }
    },
    idle: tasks.idle,
    refuse: (error, request, reply) => {
      const failure = failureOf(error)
      if (failure.code !== 'bad_request' && failure.code !== 'unsupported_media_type' && failure.code !== 'not_acceptable') throw error
      request.failure = failure
      const code = failure.code === 'bad_request' ? ProtocolErrorCode.ParseError : -32_000
      // As text: the contract's schema for 400 is that of our own error body.
      return reply.code(failure.statusCode).type('application/json').send(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message: failure.message, data: bodyOf(failure, request.id).error } }))
    }
  } satisfies Mcp)

  app.addHook('onReady', async () => {
    for (const [name, tool] of toolsOf(app.operations)) tools.set(name, tool)
  })
  app.addHook('preClose', async () => {
    await tasks.close()
    await modern.close()
  })
  app.addHook('onClose', async () => { await changes.close() })
}, { name: 'mcp', dependencies: ['auth', 'core', 'inner', 'operations'] })

/** A caller that has come to its limit is told so by the result of a call, where its model sees it; everything else of it is refused. */
function checkLimit ({ limited, body }: FastifyRequest): void {
  if (limited !== undefined && (body as { method?: unknown } | null)?.method !== 'tools/call') throw limited
}

/** One call is counted when it comes; those that come with it, here. */
async function chargeFor (request: FastifyRequest): Promise<void> {
  const calls = callsIn(request.body)
  if (calls > 1) await request.charge(calls - 1)
}

/** The request as the SDK takes it, without the key, and whether it is of a revision before 2026-07-28. */
async function webOf ({ method, url, headers: { authorization, 'x-api-key': apiKey, ...headers }, body, gone }: FastifyRequest): Promise<{ web: Request, isOld: boolean }> {
  const web = new Request(`http://mcp${url}`, { method, headers: headers as Record<string, string>, signal: gone })
  return { web, isOld: method !== 'POST' || await isLegacyRequest(web, body) }
}

/** Says to the SDK who calls, but not with what: nothing of the protocol needs the key. */
function authOf (request: FastifyRequest): AuthInfo {
  return { token: '', clientId: request.caller.digest, scopes: [request.caller.access], extra: { request } }
}
