import { randomBytes } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Departure } from '../../core/departure.ts'
import { introduce } from '../../core/users.ts'
import type { ChatEvent, ChatInput, RoutedMessage, ToolCall } from '../../schemas/chat.ts'
import { filesOf } from './attachments.ts'
import { eventsOf, withId } from './events.ts'
import type { NumberedEvent } from './record.ts'
import { ChatSpans } from './spans.ts'

/** A chat that the Core has taken on: its events as they come, or the whole answer at its end. Read it one way or the other. */
export interface Chat { events: AsyncIterable<NumberedEvent>, answer: () => Promise<RoutedMessage> }

interface Exchange { id: string, userId: string, sessionId: string | undefined, input: ChatInput }

/** Of a new user's first chats at once the real Core fails all but one: it is told of each user before the first. */
export function introductions (): (request: FastifyRequest, userId: string) => Promise<void> {
  const known = new LRUCache<string, Promise<void>>({ max: 10_000 })
  let meetings = 0
  return async ({ core, server, log }, userId) => {
    if (!server.core.offers('users.resolve')) return
    if (meetings !== server.core.meetings) {
      // The Core was away: its users may not be those it had.
      known.clear()
      meetings = server.core.meetings
    }
    let introduced = known.get(userId)
    if (introduced === undefined) {
      introduced = introduce(core, userId).catch((error: unknown) => {
        known.delete(userId)
        log.debug({ err: error }, 'the MUXI Core was not told of the user')
      })
      known.set(userId, introduced)
    }
    await introduced
  }
}

export interface Start { id: string, input: ChatInput, agentId: string | undefined, signal: Departure }

/** Asks the Core; resolves when it has begun to answer. */
export async function begin (request: FastifyRequest, { id, input, agentId, signal }: Start): Promise<Chat> {
  const { content, session_id, attachments, metadata } = input
  const userId = request.userId(input.user_id)
  const files = filesOf(attachments ?? [])
  const spans = new ChatSpans(request, id, input, agentId)
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
  }, { user: userId, signal, requestId: id }).catch((error: unknown) => {
    spans.end(error)
    throw withId(error, id)
  })
  const exchange: Exchange = { id, userId, sessionId: session_id, input }
  const inSession = (made: string) => {
    exchange.sessionId ??= made
    spans.inSession(exchange.sessionId)
  }
  const events = followed(eventsOf(tokens, id, inSession), spans, (agent) => { request.server.usage.answered(agent, userId) })
  return { events: numbered(events, id), answer: async () => await collect(events, exchange, request.heard) }
}

export function newId (): string {
  return `msg_${randomBytes(12).toString('base64url')}`
}

/** Tells what happens, and who has answered once they have. */
async function * followed (events: AsyncIterable<ChatEvent>, spans: ChatSpans, onAnswer: (agentId: string | undefined) => void): AsyncGenerator<ChatEvent, void, undefined> {
  let failure: unknown
  try {
    for await (const event of events) {
      spans.see(event)
      if (event.event === 'message_end') onAnswer(spans.answeredBy)
      yield event
    }
  } catch (error) {
    failure = error
    throw error
  } finally {
    spans.end(failure)
  }
}

async function * numbered (events: AsyncIterable<ChatEvent>, id: string): AsyncGenerator<NumberedEvent, void, undefined> {
  let count = 0
  for await (const event of events) yield { ...event, id: `${id}:${count++}` }
}

/** Reads a chat to its end, and tells of its events on the way. */
async function collect (events: AsyncIterable<ChatEvent>, exchange: Exchange, heard: FastifyRequest['heard']): Promise<RoutedMessage> {
  const { id, userId, input } = exchange
  const calls = new Map<string, ToolCall>()
  let text = ''
  let message: Partial<RoutedMessage> = {}
  for await (const one of events) {
    await heard?.(one)
    const { event, data } = one
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
