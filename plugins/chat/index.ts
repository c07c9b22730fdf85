import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import type { ChatEvent, ChatInput, RoutedMessage, ToolCall } from '../../schemas/chat.ts'
import { filesOf } from './attachments.ts'
import { eventsOf } from './events.ts'

/** A chat that the Core has taken on: its events as they come, or the whole answer at its end. Read it one way or the other. */
export interface Chat { events: AsyncIterable<ChatEvent & { id: string }>, answer: () => Promise<RoutedMessage> }

interface Exchange { id: string, userId: string, sessionId: string | undefined, input: ChatInput }

declare module 'fastify' {
  interface FastifyRequest {
    /** Sends a message to one agent, or to the one that the overlord picks; resolves when the Core has begun to answer. */
    chat: (input: ChatInput, agentId?: string) => Promise<Chat>
  }
}

/** The one way to talk to an agent, for every protocol. */
export default fp(async (app) => {
  app.decorateRequest('chat', async function (this: FastifyRequest, input, agentId) {
    const { content, session_id, attachments, metadata } = input
    const userId = this.userId(input.user_id)
    const files = filesOf(attachments ?? [])
    // The Core would answer with prose for an agent that it does not know.
    if (agentId !== undefined) await this.core.get(`/agents/${agentId}`, { what: `agent ${agentId}` })
    if (metadata !== undefined) this.log.info({ metadata }, 'chat metadata')

    // One id for both sides: the Core finds its request by it.
    const id = `msg_${randomBytes(12).toString('base64url')}`
    const tokens = await this.core.stream('/chat', {
      message: content,
      stream: true,
      request_id: id,
      ...(session_id !== undefined && { session_id }),
      ...(agentId !== undefined && { agent_id: agentId }),
      ...(files.length > 0 && { files })
    }, { user: userId })
    const exchange: Exchange = { id, userId, sessionId: session_id, input }
    const events = eventsOf(tokens, id, (made) => { exchange.sessionId ??= made })
    return { events: numbered(events, id), answer: async () => await collect(events, exchange) }
  })
}, { name: 'chat', dependencies: ['auth', 'core'] })

async function * numbered (events: AsyncIterable<ChatEvent>, id: string): AsyncGenerator<ChatEvent & { id: string }, void, undefined> {
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
