import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import type { ChatEvent, ChatInput, RoutedMessage, ToolCall } from '../../schemas/chat.ts'
import { LRUCache } from 'lru-cache'
import { Departure } from '../../core/departure.ts'
import { ApiError } from '../../errors.ts'
import { filesOf } from './attachments.ts'
import { eventsOf, withId } from './events.ts'
import { ChatRecords, type NumberedEvent } from './record.ts'

/** A chat that the Core has taken on: its events as they come, or the whole answer at its end. Read it one way or the other. */
export interface Chat { events: AsyncIterable<NumberedEvent>, answer: () => Promise<RoutedMessage> }

type Claim = NonNullable<FastifyRequest['claim']>

const keptMs = 86_400_000

interface Exchange { id: string, userId: string, sessionId: string | undefined, input: ChatInput }

declare module 'fastify' {
  interface FastifyInstance {
    /** Makes a user known to the Core, once. */
    introduce: (request: FastifyRequest, userId: string) => Promise<void>
  }
  interface FastifyRequest {
    /** Sends a message to one agent, or to the one that the overlord picks; resolves when the Core has begun to answer. */
    chat: (input: ChatInput, agentId?: string) => Promise<Chat>
  }
}

/** The one way to talk to an agent, for every protocol. */
export default fp(async (app) => {
  const records = new ChatRecords(app)
  app.decorate('introduce', introductions())

  app.decorateRequest('chat', async function (this: FastifyRequest, input, agentId) {
    const { claim, headers: { 'last-event-id': lastEventId }, routeOptions: { config: { ownRecord } } } = this
    if (ownRecord !== true) return await begin(this, { id: newId(), input, agentId, signal: this.departure })
    if (lastEventId !== undefined) return streamOf(await resumed(this, String(lastEventId)))
    if (claim !== undefined) return streamOf(await once(this, claim, { input, agentId }))
    return await begin(this, { id: newId(), input, agentId, signal: this.departure })
  })

  /** The first call with a key runs whoever reads; the others read what it made. */
  async function once (request: FastifyRequest, { place, fingerprint, replayed }: Claim, what: Pick<Start, 'input' | 'agentId'>): Promise<AsyncIterable<NumberedEvent>> {
    const { cluster, seal } = app
    const id = newId()
    const mine = seal.close(JSON.stringify({ fingerprint, id }), place)
    if (await cluster.set(place, mine, keptMs, { value: undefined })) {
      const departure = new Departure()
      try {
        const { events } = await begin(request, { ...what, id, signal: departure })
        await cluster.set(`chat:${id}:owner`, request.caller.digest, keptMs)
        records.keep(id, events, { requestId: request.id, stop: () => { departure.leave() } })
          .catch((error: unknown) => { request.log.error({ err: error }, 'the answer of a chat could not be kept') })
      } catch (error) {
        await cluster.delete(place, { value: mine })
        throw error
      }
      return records.follow(id, 0)
    }
    const found = seal.open(await cluster.get(place) ?? '', place)
    const first = found === undefined ? undefined : JSON.parse(found || 'null') as { fingerprint: string, id: string } | null
    if (first != null && first.fingerprint !== fingerprint) throw new ApiError('unprocessable', 'this Idempotency-Key was used with another request')
    const events = first == null ? undefined : await records.read(first.id, 0) ?? await records.answer(first.id)
    if (events === undefined) throw new ApiError('conflict', 'the first call with this Idempotency-Key has not begun to answer', { retryAfter: 1 })
    replayed()
    return events
  }

  /** What came after the last event that the caller has, of a chat of its own. */
  async function resumed ({ caller }: FastifyRequest, lastEventId: string): Promise<AsyncIterable<NumberedEvent>> {
    const [, id, number] = /^(msg_[\w-]{1,64}):(\d{1,9})$/.exec(lastEventId) ?? []
    const own = id !== undefined && await app.cluster.get(`chat:${id}:owner`) === caller.digest
    const events = own ? await records.read(id, Number(number) + 1) : undefined
    if (events === undefined) throw new ApiError('not_found', 'no stream to resume after that Last-Event-ID: only a chat with an Idempotency-Key is kept, until a minute after its end')
    return events
  }
}, { name: 'chat', dependencies: ['auth', 'cluster', 'core', 'idempotency', 'usage'] })

/** Of a new user's first chats at once the real Core fails all but one: it is told of each user before the first. */
function introductions (): (request: FastifyRequest, userId: string) => Promise<void> {
  const known = new LRUCache<string, Promise<void>>({ max: 10_000 })
  return async ({ core, server, log }, userId) => {
    if (!server.core.offers('users.resolve')) return
    let introduced = known.get(userId)
    if (introduced === undefined) {
      introduced = core.post('/users/resolve', { identifier: userId }, { user: userId }).then(() => {}, (error: unknown) => {
        known.delete(userId)
        log.debug({ err: error }, 'the MUXI Core was not told of the user')
      })
      known.set(userId, introduced)
    }
    await introduced
  }
}

interface Start { id: string, input: ChatInput, agentId: string | undefined, signal: Departure }

/** Asks the Core; resolves when it has begun to answer. */
async function begin (request: FastifyRequest, { id, input, agentId, signal }: Start): Promise<Chat> {
  const { content, session_id, attachments, metadata } = input
  const userId = request.userId(input.user_id)
  const files = filesOf(attachments ?? [])
  // The Core would answer with prose for an agent that it does not know.
  if (agentId !== undefined) await request.core.get(`/agents/${agentId}`, { what: `agent ${agentId}` })
  if (metadata !== undefined) request.log.info({ metadata }, 'chat metadata')

  await request.server.introduce(request, userId)

  const tokens = await request.core.stream('/chat', {
    message: content,
    stream: true,
    // One id for both sides: the Core finds its request by it.
    request_id: id,
    ...(session_id !== undefined && { session_id }),
    ...(agentId !== undefined && { agent_id: agentId }),
    ...(files.length > 0 && { files })
  }, { user: userId, signal }).catch((error: unknown) => { throw withId(error, id) })
  const exchange: Exchange = { id, userId, sessionId: session_id, input }
  const events = counted(eventsOf(tokens, id, (made) => { exchange.sessionId ??= made }), (agent) => { request.server.usage.answered(agent, userId) })
  return { events: numbered(events, id), answer: async () => await collect(events, exchange) }
}

function newId (): string {
  return `msg_${randomBytes(12).toString('base64url')}`
}

/** A chat that is read as a stream alone. */
function streamOf (events: AsyncIterable<NumberedEvent>): Chat {
  return { events, answer: async () => { throw new Error('this chat is kept as a stream') } }
}

/** Tells who has answered, once they have. */
async function * counted (events: AsyncIterable<ChatEvent>, onAnswer: (agentId: string | undefined) => void): AsyncGenerator<ChatEvent, void, undefined> {
  let agentId: string | undefined
  for await (const event of events) {
    if (event.event === 'message_start' || event.event === 'message_end') agentId = event.data.agent_id ?? agentId
    if (event.event === 'message_end') onAnswer(agentId)
    yield event
  }
}

async function * numbered (events: AsyncIterable<ChatEvent>, id: string): AsyncGenerator<NumberedEvent, void, undefined> {
  let count = 0
  for await (const event of events) yield { ...event, id: `${id}:${count++}` }
}

/** Reads a chat to its end. */
async function collect (events: AsyncIterable<ChatEvent>, exchange: Exchange): Promise<RoutedMessage> {
  const { id, userId, input } = exchange
  const calls = new Map<string, ToolCall>()
  let text = ''
  let message: Partial<RoutedMessage> = {}
  for await (const { event, data } of events) {
    if (event === 'message_start') message = data
    else if (event === 'content') text = data.replace === true ? data.content : text + data.content
    else if (event === 'tool_call_start') calls.set(data.id, data)
    else if (event === 'tool_call_end') calls.set(data.id, { ...calls.get(data.id) ?? { name: 'tool', parameters: {} }, ...data })
    else if (event === 'message_end') message.agent_id = data.agent_id ?? message.agent_id
  }
  return {
    id,
    agent_id: message.agent_id,
    user_id: userId,
    session_id: exchange.sessionId,
    user_message: { role: 'user', content: input.content },
    agent_response: { role: 'assistant', content: text, ...(calls.size > 0 && { tool_calls: [...calls.values()] }) },
    created_at: message.created_at ?? new Date().toISOString(),
    routing_confidence: message.routing_confidence
  }
}
