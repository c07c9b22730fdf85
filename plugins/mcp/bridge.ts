import { InMemoryTransport, ProtocolErrorCode, type CallToolResult, type JSONRPCMessage, type Server } from '@modelcontextprotocol/server'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createParser } from 'eventsource-parser'
import { ApiError, bodyOf } from '../../errors.ts'
import type { ErrorBody } from '../../schemas/errors.ts'
import { replaceKey } from './chat-call.ts'
import { createServer } from './server.ts'
import type { Offer } from './offer.ts'
import { respond, type Frame } from './sessions/frames.ts'

/** Answers one message in the answer itself. */
export type Bridge = (request: FastifyRequest, reply: FastifyReply) => Promise<Response | string>

type Id = string | number
interface Short { id: Id, method: 'run_tool' | 'list_tools', params: Record<string, unknown> }
interface Told { id: Id | null, result?: unknown, error?: Partial<ErrorBody['error']>, chunk?: { text: string, isDelta: boolean } }
/** A piece of an answer that is being written; undefined is a sign of life. */
type Hear = (piece: Told['chunk'] | undefined) => void
/** A message with the parts that matter here. */
interface Message { id?: Id, method?: string, params?: { message?: string, _meta?: Record<string, unknown> }, result?: unknown, error?: { code: number, message: string, data?: { code?: 'not_found' } } }

/** For clients without streams, and for the short form that the bridge of MUXI speaks; `check` refuses pages as everywhere. */
export function createBridge (offer: Offer, handle: Bridge, check: (request: FastifyRequest) => void): Bridge {
  return async (request, reply) => {
    const { body, headers: { accept } } = request
    const isShort = isRecord(body) && body.jsonrpc === undefined && (body.method === 'run_tool' || body.method === 'list_tools')
    if (!isShort) return await plain(request, reply, handle)
    check(request)
    if (request.limited !== undefined && body.method !== 'run_tool') throw request.limited
    const short = shortOf(body)
    if (short instanceof ApiError) return reply.code(short.statusCode).type('application/json').send(encode({ id: null, error: bodyOf(short, request.id).error })) as never
    if (short.method === 'list_tools' || accept?.includes('text/event-stream') !== true) {
      reply.type('application/json')
      return encode(await answer(offer, request, short))
    }
    const end = new AbortController()
    end.signal.addEventListener('abort', () => { request.departure.leave() })
    return respond(request, reply, framesOf(short.id, async (hear) => await answer(offer, request, short, hear)), { end })
  }
}

/** JSON-RPC as at /mcp; what comes as a stream is gathered for those who take none. */
async function plain (request: FastifyRequest, reply: FastifyReply, handle: Bridge): Promise<Response | string> {
  if (request.headers.accept?.includes('text/event-stream') === true) return await handle(request, reply)
  request.headers.accept = 'application/json, text/event-stream'
  const answer = await handle(request, reply)
  if (typeof answer === 'string' || answer.headers.get('content-type')?.startsWith('text/event-stream') !== true) return answer
  const answers: Message[] = []
  const parser = createParser({
    onEvent: ({ data }) => {
      const message = (data === '' ? {} : JSON.parse(data)) as Message
      if (message.result !== undefined || message.error !== undefined) answers.push(message)
    }
  })
  parser.feed(await answer.text())
  const headers = new Headers(answer.headers)
  headers.set('content-type', 'application/json')
  return new Response(JSON.stringify(Array.isArray(request.body) ? answers : answers[0]), { status: answer.status, headers })
}

function shortOf ({ id, method, params = {} }: Record<string, unknown>): Short | ApiError {
  if ((typeof id !== 'string' || id.length > 256) && !Number.isFinite(id)) return new ApiError('bad_request', 'id must be a string of at most 256 characters, or a number')
  if (!isRecord(params)) return new ApiError('bad_request', 'params must be object')
  return { id: id as Id, method: method as Short['method'], params }
}

async function answer (offer: Offer, request: FastifyRequest, { id, method, params }: Short, hear?: Hear): Promise<Told> {
  const { tool_name: name, tool_params: args = {}, cursor } = params
  const message = method === 'list_tools'
    ? { method: 'tools/list', params: { ...(cursor !== undefined && { cursor }) } }
    : { method: 'tools/call', params: { name, arguments: args, ...(hear !== undefined && { _meta: { progressToken: 1 } }) } }
  const { result, error } = await exchange(createServer(offer, request), request, message, hear)
  if (error !== undefined) return { id, error: { code: error.data?.code ?? (error.code === ProtocolErrorCode.InvalidParams ? 'bad_request' : 'internal_error'), message: error.message, request_id: request.id } }
  if (method === 'run_tool') return { id, ...toldOf(result as CallToolResult) }
  const { tools, nextCursor } = result as { tools: { inputSchema: object }[], nextCursor?: string }
  return { id, result: { tools: tools.map((tool) => ({ ...tool, parameters: tool.inputSchema })), nextCursor } }
}

/** One request to a server of the SDK, and its answer. */
async function exchange (server: Server, request: FastifyRequest, message: { method: string, params: object }, hear: Hear | undefined): Promise<Message> {
  const [here, there] = InMemoryTransport.createLinkedPair()
  const over = () => { server.close().catch(() => {}) }
  try {
    await server.connect(there)
    return await new Promise((resolve, reject) => {
      here.onmessage = (told) => {
        const { id, method, params } = told as Message
        if (id !== undefined) resolve(told as Message)
        else if (method === 'notifications/progress') hear?.(params?.message === undefined ? undefined : { text: params.message, isDelta: params._meta?.[replaceKey] !== true })
      }
      here.onclose = () => { reject(new Error('the caller went away')) }
      request.departure.addEventListener('abort', over)
      here.start().then(async () => { await here.send({ jsonrpc: '2.0', id: 1, ...message } as JSONRPCMessage) }).catch(reject)
    })
  } finally {
    request.departure.removeEventListener('abort', over)
    await server.close()
  }
}

/** What a tool answered, bare; a failure as the error of the short form. */
function toldOf ({ content, structuredContent, isError }: CallToolResult): Pick<Told, 'result' | 'error'> {
  if (isError !== true) return { result: structuredContent ?? { content } }
  const text = content.map((part) => part.type === 'text' ? part.text : '').join('\n')
  try {
    const { error } = JSON.parse(text) as ErrorBody
    if (typeof error.code === 'string') return { error }
  } catch {
    // Of an agent's tool: prose.
  }
  return { error: { code: 'core_error', message: text } }
}

async function * framesOf (id: Id, run: (hear: Hear) => Promise<Told>): AsyncGenerator<Frame | undefined> {
  const queue: (Frame | undefined)[] = []
  let wake = () => {}
  let isDone = false
  const push = (told: Told | undefined) => {
    queue.push(told === undefined ? undefined : { event: 'message', data: encode(told) })
    wake()
  }
  const done = run((chunk) => { push(chunk === undefined ? undefined : { id, chunk }) }).then(push).finally(() => {
    isDone = true
    wake()
  })
  done.catch(() => {})
  for (;;) {
    while (queue.length > 0) yield queue.shift()
    if (isDone) break
    await new Promise<void>((resolve) => { wake = resolve })
  }
  await done
}

function encode (told: Told): string {
  return JSON.stringify(told)
}

function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
