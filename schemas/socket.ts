import { Type, type Static, type TObject, type TSchema } from '@sinclair/typebox'
import { chatEvents, ChatInput } from './chat.ts'
import { AgentId, TicketQuery, oneOf } from './common.ts'
import type { Contract } from './contract.ts'
import { ErrorBody } from './errors.ts'
import { gapEvent } from './event-stream.ts'
import { ParticipantId, Receipt, RtcSessionId, inputs, rtcEnd, rtcSignal, rtcState } from './rtc.ts'

/** What the server answers in `Sec-WebSocket-Protocol` where the client offers it. */
export const subprotocol = 'muxi.v1'
/** Bytes of a frame at most, whatever its type; a chat may have attachments, and be as large as over REST. */
export const frameBytes = 65_536

export const FrameId = Type.String({ minLength: 1, maxLength: 128, description: 'Of the request, chosen by the client: every answer repeats it', examples: ['req_1'] })
const traceparent = Type.Optional(Type.String({ maxLength: 256, description: 'The place in a trace that this belongs to (W3C Trace Context); that of the socket when absent', examples: ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'] }))
const nothing = Type.Optional(Type.Object({}, { additionalProperties: false, title: 'Nothing', description: 'Nothing more is said' }))
const strict = { additionalProperties: false }

/** A frame of a client; what is asked for is answered under its id. */
function asked<const T extends string, D extends TSchema> (type: T, data: D, description: string) {
  return Type.Object({ type: Type.Literal(type), id: FrameId, data }, { ...strict, description })
}

/** The same, where it may stand in a trace of the client's own. */
function traced<const T extends string, D extends TSchema> (type: T, data: D, description: string) {
  return Type.Object({ type: Type.Literal(type), id: FrameId, data, traceparent }, { ...strict, description })
}

/** A frame of the server, under the id that it answers; without where it answers nothing. */
function told<const T extends string, D extends TSchema> (type: T, data: D, description: string) {
  return Type.Object({ type: Type.Literal(type), id: Type.Optional(FrameId), data }, { ...strict, description })
}

const EventId = Type.Optional(Type.String({ description: 'Its place in the room: `last_event_id` of the next `rtc_subscribe`', examples: ['kq3xT0aPz1Lk.17.b3f0'] }))
/** What happens in a room, under the id of its `rtc_subscribe`. */
function heard<const T extends string, D extends TSchema> (type: T, data: D, description: string) {
  return Type.Object({ type: Type.Literal(type), id: FrameId, event_id: EventId, data }, { ...strict, description })
}

const room = { session_id: RtcSessionId }
const participant = { ...room, participant_id: ParticipantId }

const ChatData = Type.Object({ ...ChatInput.properties, agent_id: Type.Optional({ ...AgentId, description: 'Who is to answer; the overlord picks one when absent' }) }, { title: 'SocketChatInput', additionalProperties: false, examples: [{ content: 'What is 6 times 7?', user_id: 'u42' }] })
const SubscribeData = Type.Object({
  ...participant,
  participant_token: Type.String({ minLength: 1, maxLength: 128, description: 'As it was given to who joined' }),
  last_event_id: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: '`event_id` of the last event that came: it goes on after it' }))
}, { ...strict, title: 'RtcSubscribeInput' })

/** A signal of each type: what REST takes in a body, with the type. Without an id it has no receipt; a failure is told all the same. */
export const signalFrames = Object.fromEntries(Object.entries(inputs).map(([type, input]) => {
  const data = Type.Object({ type: Type.Literal(type), ...input.properties }, { ...strict, title: `${String(input.title).replace('Input', '')}Signal` })
  return [type, Type.Object({ type: Type.Literal('rtc_signal'), id: Type.Optional(FrameId), data }, strict)]
})) as unknown as { [T in keyof typeof inputs]: TObject }

/** Every frame that a client may send, by type. */
export const clientFrames = {
  chat: traced('chat', ChatData, 'Says something to an agent. Several may be at work at once; they are told apart by their ids'),
  chat_cancel: asked('chat_cancel', nothing, 'Stops the chat with the same id: it ends with `chat_end`, `cancelled`'),
  ping: Type.Object({ type: Type.Literal('ping'), id: Type.Optional(FrameId), data: nothing }, { ...strict, description: 'Asks for a `pong`, for programs that cannot see the protocol\'s own' }),
  rtc_subscribe: asked('rtc_subscribe', SubscribeData, 'Listens in a room as a participant, which from then on this socket speaks for'),
  rtc_unsubscribe: asked('rtc_unsubscribe', Type.Object(room, strict), 'Listens no more. The participant is `reconnecting` until it comes back, or leaves'),
  rtc_signal: Type.Union(Object.values(signalFrames), { description: 'Sends a signal to the others, or to one. Those of one socket arrive in their order' }),
  rtc_leave: asked('rtc_leave', Type.Object(participant, strict), 'Leaves a room')
} as const

const { message_start: start, content, tool_call_start: toolStart, tool_call_end: toolEnd } = chatEvents
const { created_at: createdAt, agent_id: agentId, routing_confidence: confidence } = start.properties
const MessageId = Type.String({ description: 'The message; the Core knows the request by the same id', examples: ['msg_20417'] })

/** Every frame that the server may send, by type. */
export const serverFrames = {
  chat_start: told('chat_start', Type.Object({ message_id: MessageId, created_at: createdAt, agent_id: agentId, routing_confidence: confidence }, strict), 'The agent begins to answer'),
  chat_content: told('chat_content', content, 'A piece of the answer'),
  chat_tool_start: told('chat_tool_start', toolStart, 'The agent calls a tool'),
  chat_tool_end: told('chat_tool_end', toolEnd, 'The tool answered or failed'),
  chat_end: told('chat_end', Type.Object({
    message_id: Type.Optional(MessageId), agent_id: agentId, session_id: Type.Optional(Type.String({ examples: ['s-1'] })), cancelled: Type.Optional(Type.Literal(true, { description: 'By `chat_cancel`' }))
  }, strict), 'The last frame of a chat that went well, or was cancelled'),
  error: told('error', ErrorBody.properties.error, 'What was asked under this id has failed; without an id: something about the socket itself'),
  pong: told('pong', nothing, 'The answer to `ping`'),
  rtc_subscribed: told('rtc_subscribed', Type.Object(participant, strict), 'The room is listened to: `rtc_state` with all who are there comes next, or what was missed'),
  rtc_unsubscribed: told('rtc_unsubscribed', Type.Object(room, strict), 'The room is listened to no more'),
  rtc_left: told('rtc_left', Type.Object(participant, strict), 'The room is left'),
  rtc_receipt: told('rtc_receipt', Receipt, 'What became of an `rtc_signal`'),
  rtc_signal: heard('rtc_signal', rtcSignal, 'A signal of another participant'),
  rtc_state: heard('rtc_state', rtcState, 'Who is in the room, and what becomes of their connections'),
  gap: heard('gap', gapEvent, 'Events of a room were left out'),
  rtc_end: told('rtc_end', Type.Object({ ...room, reason: rtcEnd.properties.reason }, strict), 'This server ends the subscription'),
  going_away: told('going_away', Type.Object({
    reason: oneOf(['shutdown', 'lifetime'], { description: 'shutdown: this instance stops, another takes over; lifetime: the socket was open for long enough' }),
    reconnect_after_ms: Type.Integer({ minimum: 0, examples: [840] })
  }, strict), 'This socket ends as soon as its chats have: open another one')
} as const

/** What each frame of a client is answered with, beside `error`. */
export const answers: Record<keyof typeof clientFrames, (keyof typeof serverFrames)[]> = {
  chat: ['chat_start', 'chat_content', 'chat_tool_start', 'chat_tool_end', 'chat_end'],
  chat_cancel: ['chat_end'],
  ping: ['pong'],
  rtc_subscribe: ['rtc_subscribed', 'rtc_state', 'rtc_signal', 'gap', 'rtc_end'],
  rtc_unsubscribe: ['rtc_unsubscribed'],
  rtc_signal: ['rtc_receipt'],
  rtc_leave: ['rtc_left']
}

export type ClientType = keyof typeof clientFrames
export type ServerType = keyof typeof serverFrames
/** A frame of a client, by its type; signals are as `SignalInput` says. */
export type ClientFrame<T extends Exclude<ClientType, 'rtc_signal'>> = Static<(typeof clientFrames)[T]>
export type ServerFrame = { [T in ServerType]: Static<(typeof serverFrames)[T]> }[ServerType]

/** Why a socket ends, by code: below 4400 come back, from there on do not. */
export const closeCodes = {
  1000: 'normal',
  1001: 'the page or program of the client goes away',
  1002: 'no WebSocket frame as RFC 6455 has it',
  1005: 'closed without a code',
  1006: 'the connection broke, or a ping was not answered',
  1007: 'text that is not UTF-8',
  1008: 'five frames in a row that were none of the protocol',
  1009: 'a frame larger than 16 MiB',
  1011: 'this server failed; report the request id of the `error` before it',
  1012: 'this instance stops: come back after `reconnect_after_ms`',
  1013: 'too much was not read for too long, or the key could not be checked: try later',
  4000: 'it was open for long enough: come back after `reconnect_after_ms`',
  4401: 'the key is valid no more',
  4403: 'the key has a lower level by now, or an admin closed this socket',
  4409: 'the participant listens elsewhere by now',
  4429: 'more frames than may be sent, for five seconds in a row'
} as const
export type CloseCode = keyof typeof closeCodes

export const wsConnect = {
  operationId: 'ws_connect',
  summary: 'Open a socket for chat and signaling',
  description: 'WebSocket (RFC 6455), with JSON text frames `{type, id, data}`; `/asyncapi.json` describes each. A browser sends the key as a second subprotocol beside `muxi.v1`, `bearer.<key>`, or a ticket in the query. ' +
    'A page of another Origin than this server\'s must be listed in `api.cors_origins`. Whoever is refused is so before the upgrade.',
  tags: ['socket'],
  querystring: TicketQuery,
  failures: ['upgrade_required'],
  response: { 101: Type.Null({ description: 'The connection is a WebSocket from here on' }) }
} satisfies Contract
