import { Type } from '@sinclair/typebox'
import { AgentId, IfMatch, Pagination, TicketQuery, UserId, limit, offset, oneOf, withDefault } from './common.ts'
import type { Contract } from './contract.ts'
import { eventStream, gapEvent } from './event-stream.ts'
import { AnswerInput, CandidateInput, DataInput, Media, OfferInput, ParticipantId, Receipt, RtcJoined, RtcSession, RtcSessionId, StateInput, participantToken, rtcEnd, rtcSignal, rtcState, sessionStates } from './rtc.ts'

/** Who comes without it is told, as all who are not there, that there is no such session. */
const ParticipantToken = Type.Object({ 'x-participant-token': Type.Optional(participantToken) })
const Params = Type.Object({ session_id: RtcSessionId })
const ParticipantParams = Type.Object({ session_id: RtcSessionId, participant_id: ParticipantId })
const ParticipantInput = Type.Object({ user_id: Type.Optional(UserId) }, { title: 'RtcParticipantInput', additionalProperties: false, examples: [{ user_id: 'u43' }] })
const tags = ['rtc']
const signalHeaders = Type.Object({ ...ParticipantToken.properties, ...IfMatch.properties })

export const rtcSessionCreate = {
  operationId: 'rtc_session_create',
  summary: 'Open a room for WebRTC peers',
  description: 'This server passes their offers, answers and candidates on, and touches no media. The caller is its first participant. `mode: agent` is reserved.',
  tags,
  body: Type.Object({
    user_id: Type.Optional(UserId),
    mode: withDefault(oneOf(['p2p', 'agent'], { description: 'agent: a peer for an agent; not there yet' }), 'p2p'),
    agent_id: Type.Optional(AgentId),
    media: Type.Optional(Media),
    max_participants: withDefault(Type.Integer({ minimum: 2, maximum: 16, description: 'How many may be in it at once' }), 2),
    ttl_seconds: withDefault(Type.Integer({ minimum: 60, maximum: 86_400, description: 'How long it lives at most' }), 3_600),
    metadata: Type.Optional(Type.Record(Type.String({ minLength: 1, maxLength: 64 }), Type.String({ maxLength: 512 }), { maxProperties: 16, description: 'For all who join' }))
  }, { title: 'RtcSessionInput', additionalProperties: false, examples: [{ user_id: 'u42', media: { audio: true, video: true, screen: false } }] }),
  failures: ['not_implemented'],
  response: { 201: RtcJoined }
} satisfies Contract

export const rtcSessionGet = {
  operationId: 'rtc_session_get',
  summary: 'Read one room',
  description: 'For its participants and for admins; to all others there is none.',
  tags,
  params: Params,
  headers: ParticipantToken,
  response: { 200: RtcSession }
} satisfies Contract

export const rtcSessionList = {
  operationId: 'rtc_session_list',
  summary: 'List the rooms, the newest first',
  description: 'Those that somebody is in, and those that were closed a short while ago.',
  tags,
  querystring: Type.Object({ limit: limit(50), offset: offset(), status: Type.Optional(oneOf(sessionStates)) }, { additionalProperties: false }),
  response: { 200: Type.Object({ sessions: Type.Array(RtcSession), pagination: Pagination }, { title: 'RtcSessionList' }) }
} satisfies Contract

export const rtcSessionDelete = {
  operationId: 'rtc_session_delete',
  summary: 'Close one room',
  description: 'For who opened it, and for admins. It can be read for five more minutes.',
  tags,
  params: Params,
  headers: ParticipantToken,
  response: { 200: Type.Object({ status: Type.Literal('closed'), session_id: RtcSessionId }, { title: 'RtcSessionClosed' }) }
} satisfies Contract

export const rtcParticipantCreate = {
  operationId: 'rtc_participant_create',
  summary: 'Join a room',
  description: 'Who joins offers to those who are there. A room that is full takes nobody more, but the same user again in the place of one that is not heard.',
  tags,
  params: Params,
  body: ParticipantInput,
  failures: ['conflict'],
  response: { 201: RtcJoined }
} satisfies Contract

export const rtcParticipantDelete = {
  operationId: 'rtc_participant_delete',
  summary: 'Leave a room',
  description: 'The last one to leave closes it. Admins need no `X-Participant-Token`.',
  tags,
  params: ParticipantParams,
  headers: ParticipantToken,
  response: { 200: Type.Object({ status: Type.Literal('left'), session_id: RtcSessionId, participant_id: ParticipantId }, { title: 'RtcParticipantLeft' }) }
} satisfies Contract

const signal = (operationId: string, summary: string, description: string) => ({
  operationId,
  summary,
  description: `${description} With \`If-Match\` it is done only while the session is as its \`ETag\` said.`,
  tags,
  headers: signalHeaders
})

export const rtcOfferSend = {
  ...signal('rtc_offer_send', 'Offer a connection to a peer', 'Begins a negotiation, and takes the place of the one before. Where both offer at once, the offer of the one who joined earlier holds, and the other one is refused with 409.'),
  body: OfferInput,
  failures: ['not_found', 'conflict', 'precondition_failed', 'precondition_required'],
  response: { 202: Receipt }
} satisfies Contract

export const rtcAnswerSend = {
  ...signal('rtc_answer_send', 'Answer the offer of a peer', '409 when that offer is answered, or another has taken its place.'),
  body: AnswerInput,
  failures: ['not_found', 'conflict', 'precondition_failed'],
  response: { 202: Receipt }
} satisfies Contract

export const rtcCandidateSend = {
  ...signal('rtc_candidate_send', 'Tell a peer where it may reach you', 'ICE candidates, one or several. They reach the peer after the offer or answer that they belong to, and never a later negotiation.'),
  body: CandidateInput,
  failures: ['not_found', 'conflict', 'precondition_failed'],
  response: { 202: Receipt }
} satisfies Contract

export const rtcStateSend = {
  operationId: 'rtc_state_send',
  summary: 'Say how the connection to a peer is',
  description: 'As the `connectionState` of the peer connection changes. When it fails, an event `fallback` says to both peers what to try next.',
  tags,
  headers: ParticipantToken,
  body: StateInput,
  failures: ['not_found', 'conflict'],
  response: { 202: Receipt }
} satisfies Contract

export const rtcDataSend = {
  operationId: 'rtc_data_send',
  summary: 'Send data to a peer that is not reached otherwise',
  description: 'For pairs that have come to the last fallback, `data_relay`; 409 before. At most 64 KiB in a second.',
  tags,
  headers: ParticipantToken,
  body: DataInput,
  failures: ['not_found', 'conflict'],
  response: { 202: Receipt }
} satisfies Contract

const joined = { session_id: 'rtc_4f90d13a42', type: 'participant_joined' as const, version: 2, participant_id: 'prt_B', timestamp: '2026-03-02T09:30:45.120Z' }
const offered = { signal_id: 'sig_17', session_id: 'rtc_4f90d13a42', type: 'offer' as const, from: 'prt_B', to: 'prt_A', negotiation_id: 'neg_3', description: { type: 'offer' as const, sdp: 'v=0\r\n…' }, timestamp: '2026-03-02T09:30:45.240Z' }

export const rtcEventStream = {
  operationId: 'rtc_event_stream',
  summary: 'Listen in a room',
  description: 'What the socket sends after `rtc_subscribe`, for where sockets do not get through. One participant listens once: a later stream or socket takes the place of the one before. `Last-Event-ID` goes on after that event; without it the participant begins anew.',
  tags,
  params: Params,
  querystring: Type.Object({
    participant_id: ParticipantId,
    last_event_id: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'As the header `Last-Event-ID`, for where a page cannot set it' })),
    ...TicketQuery.properties
  }, { additionalProperties: false }),
  headers: ParticipantToken,
  response: {
    200: eventStream('RtcEvent', 'What happens in the room', { rtc_state: rtcState, rtc_signal: rtcSignal, gap: gapEvent, end: rtcEnd }, [
      { event: 'rtc_state', id: 'kq3xT0aPz1Lk.3', data: joined },
      { event: 'rtc_signal', id: 'kq3xT0aPz1Lk.4', data: offered }
    ])
  }
} satisfies Contract
