import { isInitializeRequest as isInitialize, isJSONRPCErrorResponse, isJSONRPCNotification, isJSONRPCRequest, isJSONRPCResultResponse, ProtocolErrorCode, SUPPORTED_PROTOCOL_VERSIONS, type AuthInfo, type InitializeRequest, type JSONRPCMessage, type Server } from '@modelcontextprotocol/server'
import { randomBytes } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Exchange } from './exchange.ts'
import { follow, idOf, positionOf, type Sent } from './follow.ts'
import { respond, type Frame } from './frames.ts'
import { Journal, only, standing, type Entry, type Stream } from './journal.ts'
import { messagesOfAll, tell, type News } from './news.ts'
import { Records, type Record } from './records.ts'

export interface Sessions {
  /** Answers a message of the 2025 revisions that opens a session or is of one. */
  post: (request: FastifyRequest, reply: FastifyReply) => Promise<Response>
  /** The standing stream of a session, or one that its client has lost. */
  get: (request: FastifyRequest, reply: FastifyReply) => Promise<Response>
  delete: (request: FastifyRequest) => Promise<Response>
  /** The transport of revision 2024-11-05: one stream, and a place to post to. */
  open: (request: FastifyRequest, reply: FastifyReply) => Promise<Response>
  send: (request: FastifyRequest, id: string) => Promise<Response>
}

interface Parts {
  app: FastifyInstance
  /** A server for one exchange; `id` names its session. */
  serverFor: (request: FastifyRequest, id: string) => Server
  authOf: (request: FastifyRequest) => AuthInfo
  news: News
}

const retryMs = 1_000
const batchVersion = '2025-03-26'
const emptyDataVersion = '2025-11-25'

/** Sessions of the revisions that have them. Nothing of one is held here between two requests: each goes on at whatever instance the next one reaches. */
export function createSessions (parts: Parts): Sessions {
  const { app } = parts
  const records = new Records(app)
  const serverOf = (request: FastifyRequest, id: string) => {
    const server = parts.serverFor(request, id)
    keep(server, records, id)
    return server
  }

  return {
    post: async (request, reply) => {
      const { headers: { accept = '', 'mcp-session-id': id } } = request
      if (!accept.includes('application/json') || !accept.includes('text/event-stream')) return refused(406, -32_000, 'Not Acceptable: Client must accept both application/json and text/event-stream')
      const messages = messagesOf(request.body)
      if (messages === undefined) return refused(400, ProtocolErrorCode.InvalidRequest, 'this is no message of JSON-RPC 2.0, nor a batch of up to 100')
      if (id === undefined) return await initialize(request, reply, messages)
      const record = await records.find(String(id), request)
      if (record?.transport !== 'http') return unknownSession()
      const fault = faultOf(request, record, messages)
      if (fault !== undefined) return refused(400, ProtocolErrorCode.InvalidRequest, fault)
      return await serve(request, reply, String(id), record, messages)
    },
    get: async (request, reply) => {
      const { headers: { accept = '', 'mcp-session-id': id, 'last-event-id': last } } = request
      if (!accept.includes('text/event-stream')) return refused(406, -32_000, 'Not Acceptable: Client must accept text/event-stream')
      if (id === undefined) return refused(400, -32_000, 'Bad Request: Mcp-Session-Id header is required: initialize first')
      const record = await records.find(String(id), request)
      if (record?.transport !== 'http') return unknownSession()
      const position = last === undefined || last === '' ? { stream: standing, seq: 0 } : positionOf(String(last))
      if (position === undefined || position.stream === only) return refused(400, -32_000, 'Bad Request: Last-Event-ID is none of this session')
      return await listen(request, reply, { id: String(id), ...position, first: { retry: retryMs } })
    },
    delete: async (request) => {
      const { 'mcp-session-id': id } = request.headers
      if (id === undefined) return refused(400, -32_000, 'Bad Request: Mcp-Session-Id header is required')
      const record = await records.find(String(id), request)
      if (record?.transport !== 'http') return unknownSession()
      await end(String(id))
      return new Response(null, { status: 200 })
    },
    open: async (request, reply) => {
      const id = await records.open(request, { transport: 'sse' })
      const journal = new Journal(app, id)
      const over = new AbortController()
      reply.raw.once('close', () => { end(id).catch(() => {}) })
      const letGo = tell(journal, only, request, parts.news, async () => await records.subscriptions(id))
      over.signal.addEventListener('abort', letGo)
      const frames = framesOf(follow(app, journal, only, 0, over.signal), async () => { await records.renew(id) })
      // What a client asks for once holds for all that it posts.
      const query = new URLSearchParams({ session_id: id, ...(request.query as { tools?: string }) })
      const path = app.config.api.public_url === undefined ? '' : new URL(app.config.api.public_url).pathname.replace(/\/$/, '')
      return respond(request, reply, withoutIds(frames), { end: over, lifeMs: app.config.api.stream_life_ms, first: { event: 'endpoint', data: `${path}/api/v1/mcp/request?${query.toString()}` } })
    },
    send: async (request, id) => {
      const messages = messagesOf(request.body)
      if (messages === undefined) return refused(400, ProtocolErrorCode.InvalidRequest, 'this is no message of JSON-RPC 2.0, nor a batch of up to 100')
      const record = await records.find(id, request)
      if (record?.transport !== 'sse') return unknownSession()
      const journal = new Journal(app, id)
      await hear(journal, messages)
      const requests = messages.filter(isJSONRPCRequest)
      const initial = messages.find((message) => isInitialize(message))
      if (requests.length > 0) {
        const exchange = new Exchange({ app, journal, stream: only, requests, request })
        exchange.run(serverOf(request, id), record, parts.authOf(request), true).catch((error: unknown) => { app.log.warn({ err: error }, 'an MCP call could not be answered') })
      }
      if (initial !== undefined) await records.change(id, (changed) => { changed.init = initOf(initial) })
      return new Response('Accepted', { status: 202 })
    }
  }

  async function initialize (request: FastifyRequest, reply: FastifyReply, messages: JSONRPCMessage[]): Promise<Response> {
    const [message] = messages
    if (messages.length !== 1 || !isInitialize(message)) return refused(400, ProtocolErrorCode.InvalidRequest, 'a session begins with initialize, alone')
    const id = await records.open(request, { transport: 'http', init: initOf(message) })
    return await serve(request, reply, id, { owner: '', transport: 'http', subscriptions: [] }, messages)
  }

  async function serve (request: FastifyRequest, reply: FastifyReply, id: string, record: Record, messages: JSONRPCMessage[]): Promise<Response> {
    const journal = new Journal(app, id)
    await hear(journal, messages)
    const requests = messages.filter(isJSONRPCRequest)
    if (requests.length === 0) return new Response(null, { status: 202 })
    for (const { method, params } of requests) {
      const { level } = (params ?? {}) as { level?: unknown }
      if (method === 'logging/setLevel' && typeof level === 'string') await records.change(id, (changed) => { changed.logLevel = level })
    }
    const stream = newStream()
    const exchange = new Exchange({ app, journal, stream, requests, request })
    const outcome = await exchange.run(serverOf(request, id), record, parts.authOf(request))
    const own = { 'mcp-session-id': id }
    if ('answers' in outcome) return Response.json(Array.isArray(request.body) ? outcome.answers : outcome.answers[0], { headers: own })
    // An id without data, so that the stream can be found again before its first message (MCP 2025-11-25, Sending Messages to the Server).
    const isPrimed = record.init !== undefined && record.init.version >= emptyDataVersion
    return await listen(request, reply, { id, stream, seq: outcome.after, first: { retry: retryMs, ...(isPrimed && { id: idOf(stream, outcome.after), data: '' }) } })
  }

  async function listen (request: FastifyRequest, reply: FastifyReply, { id, stream, seq, first }: { id: string, stream: Stream, seq: number, first: Frame }): Promise<Response> {
    const journal = new Journal(app, id)
    const over = new AbortController()
    if (stream !== standing && (await journal.look(1)).first > seq + 1) return refused(400, -32_000, 'Bad Request: what came after that Last-Event-ID is kept no more')
    const subscriptions = async () => await records.subscriptions(id)
    if (stream === standing) over.signal.addEventListener('abort', tell(journal, stream, request, parts.news, subscriptions))
    const frames = framesOf(follow(app, journal, stream, seq, over.signal, async () => messagesOfAll(await subscriptions())), async () => { await records.renew(id) })
    const last = { retry: retryMs + Math.floor(Math.random() * 4 * retryMs) }
    return respond(request, reply, frames, { end: over, first, ...(stream === standing && { last, lifeMs: app.config.api.stream_life_ms }), own: { 'mcp-session-id': id } })
  }

  /** What a client says to those who work for it, wherever they are. */
  async function hear (journal: Journal, messages: JSONRPCMessage[]): Promise<void> {
    const heard = messages.filter((message) => isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message) || (isJSONRPCNotification(message) && message.method === 'notifications/cancelled'))
    if (heard.length > 0) await journal.append(heard.map((from): Entry => ({ from })))
  }

  async function end (id: string): Promise<void> {
    await records.delete(id)
    await new Journal(app, id).append([{ over: true }])
  }

  function newStream (): Stream { return `${app.cluster.id}-${randomBytes(6).toString('hex')}` }
}

/** What a session subscribes to is kept with it. */
function keep (server: Server, records: Records, id: string): void {
  if (server.getCapabilities().resources?.subscribe !== true) return
  server.setRequestHandler('resources/subscribe', async ({ params: { uri } }) => {
    await records.subscribe(id, uri)
    return {}
  })
  server.setRequestHandler('resources/unsubscribe', async ({ params: { uri } }) => {
    await records.unsubscribe(id, uri)
    return {}
  })
}

/** One message, or a batch; undefined for what is neither. */
function messagesOf (body: unknown): JSONRPCMessage[] | undefined {
  const messages = Array.isArray(body) ? body : [body]
  const isMessage = (message: unknown) => isJSONRPCRequest(message) || isJSONRPCNotification(message) || isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)
  return messages.length > 0 && messages.length <= 100 && messages.every(isMessage) ? messages as JSONRPCMessage[] : undefined
}

function faultOf ({ headers, body }: FastifyRequest, { init }: Record, messages: JSONRPCMessage[]): string | undefined {
  const version = headers['mcp-protocol-version']
  if (version !== undefined && !SUPPORTED_PROTOCOL_VERSIONS.includes(String(version))) return `Bad Request: Unsupported protocol version (supported versions: ${SUPPORTED_PROTOCOL_VERSIONS.join(', ')})`
  if (Array.isArray(body) && init?.version !== batchVersion) return `batches are of revision ${batchVersion} alone`
  if (messages.some(isInitialize)) return 'this session is initialized already'
  return undefined
}

function initOf ({ params }: InitializeRequest): NonNullable<Record['init']> {
  const { protocolVersion: asked } = params
  return { params, version: SUPPORTED_PROTOCOL_VERSIONS.includes(asked) ? asked : SUPPORTED_PROTOCOL_VERSIONS[0]! }
}

async function * framesOf (source: AsyncGenerator<Sent | undefined>, onQuiet: () => Promise<void>): AsyncGenerator<Frame | undefined> {
  for await (const sent of source) {
    if (sent === undefined) await onQuiet().catch(() => {})
    yield sent === undefined ? undefined : { id: sent.id, event: 'message', data: JSON.stringify(sent.message) }
  }
}

async function * withoutIds (frames: AsyncGenerator<Frame | undefined>): AsyncGenerator<Frame | undefined> {
  for await (const frame of frames) yield frame === undefined ? undefined : { event: frame.event!, data: frame.data! }
}

function refused (status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status })
}

function unknownSession (): Response {
  return refused(404, -32_001, 'Session not found: initialize a new one')
}
