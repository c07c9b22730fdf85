import { Type, type Static } from '@sinclair/typebox'
import { AgentId, SessionId, TicketQuery, Timestamp, UserId, oneOf } from './common.ts'
import type { Contract } from './contract.ts'
import { ErrorBody } from './errors.ts'
import { eventStream } from './event-stream.ts'

export const mediaTypes = [
  'image/jpeg', 'image/png', 'image/gif', 'image/webp', 'audio/mpeg', 'audio/wav', 'audio/ogg', 'application/pdf',
  'application/msword', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  'application/vnd.ms-excel', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  'application/vnd.ms-powerpoint', 'application/vnd.openxmlformats-officedocument.presentationml.presentation'
] as const

/** Bytes of a chat's body at most: 11 MiB of attachments, in base64, and the rest. */
export const chatBytes = 16 * 1_048_576

export const Attachment = Type.Object({
  type: oneOf(mediaTypes, { description: 'Media type' }),
  name: Type.String({ minLength: 1, maxLength: 255, pattern: '^[^/\\\\\\u0000-\\u001f]+$', description: 'File name', examples: ['photo.jpg'] }),
  data: Type.String({ minLength: 4, maxLength: 14_680_064, contentEncoding: 'base64', description: 'Base64 (RFC 4648 section 4); 10 MiB at most, 11 MiB for all of a message', examples: ['aGVsbG8='] })
}, { title: 'Attachment', additionalProperties: false })
export type Attachment = Static<typeof Attachment>

export const ChatInput = Type.Object({
  content: Type.String({ minLength: 1, maxLength: 100_000, description: 'What the user says' }),
  user_id: Type.Optional(UserId),
  session_id: Type.Optional(SessionId),
  attachments: Type.Optional(Type.Array(Attachment, { maxItems: 10, description: 'Files that go with the message' })),
  metadata: Type.Optional(Type.Record(
    Type.String({ minLength: 1, maxLength: 64 }), Type.String({ maxLength: 512 }),
    { maxProperties: 16, description: 'Labels of the client\'s own, written to its trace' }
  ))
}, { title: 'ChatInput', additionalProperties: false, examples: [{ content: 'What is 6 times 7?', user_id: 'u42' }] })
export type ChatInput = Static<typeof ChatInput>

export const ToolCall = Type.Object({
  id: Type.Optional(Type.String()),
  name: Type.String({ examples: ['calculator'] }),
  parameters: Type.Unknown({ description: 'What the tool was given' }),
  output: Type.Optional(Type.Unknown({ description: 'What the tool gave back' })),
  error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }))
}, { title: 'ToolCall', description: 'A tool that the agent used on its way to the answer' })
export type ToolCall = Static<typeof ToolCall>

const messageFields = {
  id: Type.String({ description: 'The message; the Core knows the request by the same id', examples: ['msg_20417'] }),
  agent_id: Type.Optional(Type.String({ description: 'Who answered', examples: ['analyst'] })),
  user_id: Type.String(),
  session_id: Type.Optional(Type.String({ description: 'As given, else the one that the Core made' })),
  user_message: Type.Object({ role: Type.Literal('user'), content: Type.String({ examples: ['What is 6 times 7?'] }) }),
  agent_response: Type.Object({
    role: Type.Literal('assistant'),
    content: Type.String({ examples: ['6 * 7 = 42.'] }),
    tool_calls: Type.Optional(Type.Array(ToolCall))
  }),
  created_at: Timestamp
}

const Confidence = Type.Number({ minimum: 0, maximum: 1, description: 'How sure the overlord was of its choice', examples: [0.92] })

export const Message = Type.Object(messageFields, { title: 'Message', description: 'One exchange with an agent' })
export const RoutedMessage = Type.Object(
  { ...messageFields, routing_confidence: Type.Optional(Confidence) },
  { title: 'RoutedMessage', description: 'One exchange with the agent that the overlord chose' }
)
export type RoutedMessage = Static<typeof RoutedMessage>

const CallId = Type.String({ description: 'Joins the end of a tool call to its start', examples: ['call_1'] })

/** The events of a chat stream, by name. */
export const chatEvents = {
  message_start: Type.Object({
    id: Type.String(), created_at: Timestamp, agent_id: Type.Optional(Type.String()), routing_confidence: Type.Optional(Confidence)
  }, { description: 'first', additionalProperties: false }),
  content: Type.Object({
    content: Type.String(),
    replace: Type.Optional(Type.Literal(true, { description: 'Forget the pieces before: this is the whole text' }))
  }, { description: 'a piece of the answer', additionalProperties: false }),
  tool_call_start: Type.Object({ id: CallId, name: Type.String(), parameters: Type.Unknown() }, { description: 'the agent calls a tool', additionalProperties: false }),
  tool_call_end: Type.Object({
    id: CallId,
    output: Type.Optional(Type.Unknown()),
    error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }))
  }, { description: 'the tool answered or failed', additionalProperties: false }),
  message_end: Type.Object({ id: Type.String(), agent_id: Type.Optional(Type.String()), session_id: Type.Optional(Type.String()) }, { description: 'last, when all went well', additionalProperties: false }),
  error: { ...ErrorBody, description: 'last, when it did not; the body of any failure' }
}

/** One event of a chat stream: its name and its data. */
export type ChatEvent = { [Name in keyof typeof chatEvents]: { event: Name, data: Static<(typeof chatEvents)[Name]> } }[keyof typeof chatEvents]

const stream = eventStream('ChatStreamEvent', 'The answer, piece by piece', chatEvents, [
  { event: 'message_start', id: 'msg_20417:0', data: { id: 'msg_20417', created_at: '2026-03-02T09:30:45.120Z', agent_id: 'analyst' } },
  { event: 'tool_call_start', id: 'msg_20417:1', data: { id: 'call_1', name: 'calculator', parameters: { expression: '6 * 7' } } },
  { event: 'tool_call_end', id: 'msg_20417:2', data: { id: 'call_1', output: { result: 42 } } },
  { event: 'content', id: 'msg_20417:3', data: { content: '6 * 7 ' } },
  { event: 'content', id: 'msg_20417:4', data: { content: '= 42.' } },
  { event: 'message_end', id: 'msg_20417:5', data: { id: 'msg_20417', agent_id: 'analyst' } }
])

const agentParams = Type.Object({ agent_id: AgentId })

export const chatSend = {
  operationId: 'chat_send',
  summary: 'Talk to MUXI and wait for the whole answer',
  description: 'The overlord picks the agent that fits the message best; `agent_id` of the answer names it, `agent_response.content` is what it says. With `session_id` of that answer the next message goes on from there.',
  tags: ['chat'],
  body: ChatInput,
  response: { 200: RoutedMessage }
} satisfies Contract

export const chatStream = {
  operationId: 'chat_stream',
  summary: 'Talk to MUXI and read the answer as it is written',
  description: 'The overlord picks the agent that fits the message best; `message_start` names it.',
  tags: ['chat'],
  querystring: TicketQuery,
  body: ChatInput,
  response: { 200: stream }
} satisfies Contract

export const agentChatSend = {
  operationId: 'agent_chat_send',
  summary: 'Talk to one agent and wait for the whole answer',
  description: 'For when it must be this one: no other agent is asked. `agent_response.content` is what it says. With `session_id` of that answer the next message goes on from there.',
  tags: ['chat'],
  params: agentParams,
  body: ChatInput,
  response: { 200: Message }
} satisfies Contract

export const agentChatStream = {
  operationId: 'agent_chat_stream',
  summary: 'Talk to one agent and read the answer as it is written',
  description: 'No other agent is asked.',
  tags: ['chat'],
  params: agentParams,
  querystring: TicketQuery,
  body: ChatInput,
  response: { 200: stream }
} satisfies Contract
