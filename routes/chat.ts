import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { agentChatSend, agentChatStream, chatBytes, chatSend, chatStream } from '../schemas/chat.ts'

const config = { access: 'user', capability: 'chat' } as const
/** A stream that is sent again goes on where it was: its record holds events, not one answer. */
const streamed = { ...config, ownRecord: true, ticket: true } as const
const bodyLimit = chatBytes

const chat: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/api/v1/chat', { schema: chatSend, config, bodyLimit }, async (request) =>
    await (await request.chat(request.body)).answer())

  app.post('/api/v1/chat/stream', { schema: chatStream, config: streamed, bodyLimit }, async (request, reply) =>
    await reply.events((await request.chat(request.body)).events))

  app.post('/api/v1/agents/:agent_id/chat', { schema: agentChatSend, config, bodyLimit }, async (request) =>
    await (await request.chat(request.body, request.params.agent_id)).answer())

  app.post('/api/v1/agents/:agent_id/chat/stream', { schema: agentChatStream, config: streamed, bodyLimit }, async (request, reply) =>
    await reply.events((await request.chat(request.body, request.params.agent_id)).events))
}

export default chat
