import { Type, type Static } from '@sinclair/typebox'
import { Message } from './chat.ts'
import { AgentId, SessionId, UserId, before, limit, older } from './common.ts'
import type { Contract } from './contract.ts'

const { agent_response: response, ...fields } = Message.properties

export const ConversationEntry = Type.Object({
  ...fields,
  agent_response: Type.Optional(response)
}, { title: 'ConversationEntry', description: 'One exchange with an agent; without `agent_response` where the answer was broken off, without `agent_id` where the Core does not tell who answered' })
export type ConversationEntry = Static<typeof ConversationEntry>

const messages = Type.Array(ConversationEntry, { description: 'Newest first' })
const agentParams = Type.Object({ agent_id: AgentId })

export const conversationList = {
  operationId: 'conversation_list',
  summary: 'Read what a user and the agents said to each other',
  description: 'Newest first, over all sessions of the user or in one. What the Core still has at hand; an unknown user has said nothing. With `agent_id`, entries whose agent the Core does not tell are shown, too.',
  tags: ['conversations'],
  params: Type.Object({ user_id: UserId }),
  querystring: Type.Object({
    limit: limit(20),
    before: before(),
    agent_id: Type.Optional(AgentId),
    session_id: Type.Optional(SessionId)
  }, { additionalProperties: false }),
  response: { 200: Type.Object({ user_id: Type.String(), messages, ...older }, { title: 'ConversationList' }) }
} satisfies Contract

export const agentConversationList = {
  operationId: 'agent_conversation_list',
  summary: 'Read what one user and one agent said to each other',
  description: 'Newest first; conversation_list has those with all agents. Entries whose agent the Core does not tell are shown, too.',
  tags: ['conversations'],
  params: agentParams,
  querystring: Type.Object({ user_id: UserId, limit: limit(20), before: before() }, { additionalProperties: false }),
  response: { 200: Type.Object({ messages, ...older }, { title: 'AgentConversationList' }) }
} satisfies Contract

export const agentConversationClear = {
  operationId: 'agent_conversation_clear',
  summary: 'Forget the conversations of one user',
  description: 'The Core keeps them by user and not by agent: those with other agents are forgotten, too. Lasting memories stay.',
  tags: ['conversations'],
  params: agentParams,
  querystring: Type.Object({ user_id: UserId }, { additionalProperties: false }),
  response: {
    200: Type.Object({
      status: Type.Literal('cleared'),
      agent_id: Type.String(),
      user_id: Type.String(),
      message_count: Type.Integer({ minimum: 0, description: 'Messages forgotten, in both directions', examples: [12] })
    }, { title: 'ConversationsCleared' })
  }
} satisfies Contract
