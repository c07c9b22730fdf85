import { Type, type Static } from '@sinclair/typebox'
import { Timestamp, oneOf, withDefault } from './common.ts'
import { endEvent } from './event-stream.ts'

export const RtcSessionId = Type.String({ pattern: '^rtc_[A-Za-z0-9_-]{1,64}$', description: 'The session', examples: ['rtc_4f90d13a42'] })
export const ParticipantId = Type.String({ pattern: '^prt_[A-Za-z0-9_-]{1,64}$', description: 'The participant', examples: ['prt_A'] })
export const SignalId = Type.String({ pattern: '^sig_[A-Za-z0-9_-]{1,64}$', description: 'The signal', examples: ['sig_17'] })
export const NegotiationId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'One offer, its answer and their candidates; a new one with each offer', examples: ['neg_3'] })
export const participantToken = Type.String({ minLength: 1, maxLength: 128, description: 'What `participant_token` was when the participant joined: it alone speaks for the participant, and without it there is no such session', examples: ['Qm3xT0aPz1LkQm3xT0aPz1LkQm3xT0aPz1LkQm3xT0a'] })

export const sessionStates = ['new', 'connecting', 'connected', 'disconnected', 'failed', 'closed'] as const
/** As `RTCPeerConnection.connectionState` (W3C WebRTC, section 4.4.2). */
export const connectionStates = ['new', 'connecting', 'connected', 'disconnected', 'failed', 'closed'] as const
export const candidateTypes = ['host', 'srflx', 'prflx', 'relay'] as const
/** What is tried, one after the other, when two peers do not reach each other. */
export const fallbackSteps = ['ice_restart', 'relay_only', 'sse', 'data_relay'] as const
export type FallbackStep = typeof fallbackSteps[number]

export const Media = Type.Object({
  audio: withDefault(Type.Boolean(), true),
  video: withDefault(Type.Boolean(), false),
  screen: withDefault(Type.Boolean(), false)
}, { title: 'RtcMedia', description: 'What the peers mean to send; told to all who join', additionalProperties: false, examples: [{ audio: true, video: true, screen: false }] })

export const IceServer = Type.Object({
  urls: Type.Array(Type.String({ examples: ['turn:turn.example.net:3478?transport=udp'] })),
  username: Type.Optional(Type.String({ examples: ['1767225600:prt_A'] })),
  credential: Type.Optional(Type.String({ description: 'Good until `expires_at`; `ice_servers` events bring the next one' })),
  expires_at: Type.Optional(Timestamp)
}, { title: 'RtcIceServer', description: 'As `RTCIceServer`, for `iceServers` of a peer connection' })

export const Participant = Type.Object({
  participant_id: ParticipantId,
  user_id: Type.String({ examples: ['u42'] }),
  state: oneOf(['joined', 'reconnecting'], { description: 'reconnecting: it was heard, and is not now; it comes back, or leaves within 30 s' }),
  order: Type.Integer({ minimum: 1, description: 'Who joined later has the greater one. Of two, the later offers first (`initiator`) and gives way when both offer at once (`polite`)', examples: [1] }),
  generation: Type.Integer({ minimum: 0, description: 'Grows each time it is heard anew', examples: [1] }),
  transport: Type.Optional(oneOf(['socket', 'sse'], { description: 'How it listens, while it does' })),
  connection_state: Type.Optional(oneOf(connectionStates, { description: 'As it reported last' })),
  joined_at: Timestamp,
  last_seen_at: Timestamp
}, { title: 'RtcParticipant' })
export type Participant = Static<typeof Participant>

const Stats = Type.Object({
  offers: Type.Integer({ minimum: 0, examples: [1] }),
  answers: Type.Integer({ minimum: 0, examples: [1] }),
  candidates: Type.Integer({ minimum: 0, examples: [1] }),
  restarts: Type.Integer({ minimum: 0, examples: [0], description: 'Offers with `ice_restart`' }),
  resumes: Type.Integer({ minimum: 0, examples: [0], description: 'Participants that were away and came back' }),
  time_to_connect_ms: Type.Optional(Type.Integer({ minimum: 0, description: 'From the first offer to the first `connected`', examples: [840] }))
}, { title: 'RtcStats' })

const sessionFields = {
  session_id: RtcSessionId,
  status: oneOf(sessionStates),
  mode: oneOf(['p2p']),
  media: Media,
  max_participants: Type.Integer({ examples: [2] }),
  version: Type.Integer({ minimum: 1, description: 'Grows with every change of who is there and of what is negotiated; an event with a smaller one is older', examples: [4] }),
  created_at: Timestamp,
  expires_at: Timestamp,
  closed_at: Type.Optional(Timestamp),
  metadata: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'As given when it was opened', examples: [{ topic: 'review' }] })),
  participants: Type.Array(Participant),
  stats: Stats,
  fallbacks: Type.Array(oneOf(fallbackSteps), { description: 'What is tried in turn when peers do not connect', examples: [[...fallbackSteps]] })
}

export const RtcSession = Type.Object(sessionFields, { title: 'RtcSession', description: 'A room: who is there, and how far they are' })
export type RtcSession = Static<typeof RtcSession>

/** What one who joined is told, and nobody else. */
export const RtcJoined = Type.Object({
  ...sessionFields,
  participant_id: ParticipantId,
  participant_token: Type.String({ description: 'Sent as `X-Participant-Token` on every later call; told here and never again', examples: participantToken.examples as string[] }),
  ice_servers: Type.Array(IceServer)
}, { title: 'RtcJoined', description: 'The room as its newest participant sees it' })
export type RtcJoined = Static<typeof RtcJoined>

const Description = (types: readonly ('offer' | 'answer' | 'pranswer')[]) => Type.Object({
  type: oneOf(types),
  sdp: Type.String({ minLength: 1, maxLength: 65_536, description: 'As the browser made it; only its first lines are looked at', examples: ['v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n'] })
}, { title: types.includes('offer') ? 'RtcOfferDescription' : 'RtcAnswerDescription', description: 'As `RTCSessionDescriptionInit`', additionalProperties: false })
const Offer = Description(['offer'])
const Answer = Description(['answer', 'pranswer'])

const text = (maxLength: number) => Type.Optional(Type.Union([Type.String({ maxLength }), Type.Null()]))
const Candidate = Type.Object({
  candidate: Type.String({ maxLength: 2_048, examples: ['candidate:1 1 udp 2113937151 192.0.2.7 54400 typ host'] }),
  sdpMid: text(256),
  sdpMLineIndex: Type.Optional(Type.Union([Type.Integer({ minimum: 0, maximum: 65_535 }), Type.Null()])),
  usernameFragment: text(256)
}, { title: 'RtcCandidate', description: 'As `RTCIceCandidateInit`', additionalProperties: false })
const MaybeCandidate = Type.Union([Candidate, Type.Null()], { description: 'null: there will be no more (end of candidates)' })

/** The pair of peers that a state is about reached each other by. */
const Route = Type.Object({ local: oneOf(candidateTypes), remote: oneOf(candidateTypes), protocol: Type.Optional(oneOf(['udp', 'tcp'])) }, { title: 'RtcRoute', description: 'The kinds of the selected candidates', additionalProperties: false })

const sent = { session_id: RtcSessionId, participant_id: ParticipantId, to: Type.Optional({ ...ParticipantId, description: 'The participant that it is for; all others when absent' }) }
const ice_restart = Type.Optional(Type.Boolean({ description: 'The connection is there, and looks for another way. Over REST it needs `If-Match`' }))
const negotiation_id = Type.Optional({ ...NegotiationId, description: 'Of an offer: a name of your own for what it begins. Of candidates: the offer that they belong to; otherwise `usernameFragment` says so' })

export const OfferInput = Type.Object({ ...sent, description: Offer, negotiation_id, ice_restart }, { title: 'RtcOfferInput', additionalProperties: false })
export const AnswerInput = Type.Object({
  ...sent, description: Answer, in_reply_to: { ...SignalId, description: 'The `signal_id` of the offer' }
}, { title: 'RtcAnswerInput', additionalProperties: false })
export const CandidateInput = Type.Object({
  ...sent,
  candidate: Type.Optional(MaybeCandidate),
  candidates: Type.Optional(Type.Array(MaybeCandidate, { minItems: 1, maxItems: 50, description: 'Several, in their order; instead of `candidate`' })),
  negotiation_id
}, { title: 'RtcCandidateInput', additionalProperties: false })
export const StateInput = Type.Object({
  ...sent,
  connection_state: oneOf(connectionStates, { description: 'Of the connection to `to`' }),
  route: Type.Optional(Route),
  negotiation_id: Type.Optional({ ...NegotiationId, description: 'The one that came to this. A failure of an older one is told of, and nothing is tried for it' })
}, { title: 'RtcStateInput', additionalProperties: false })
export const DataInput = Type.Object({
  ...sent, data: Type.String({ minLength: 1, maxLength: 21_848, description: 'At most 16 KiB, in base64 or as text', examples: ['aGVsbG8='] }), encoding: Type.Optional(oneOf(['text', 'base64'], { description: 'text when absent' }))
}, { title: 'RtcDataInput', additionalProperties: false })

/** What peers send each other, by type. */
export const inputs = { offer: OfferInput, answer: AnswerInput, candidate: CandidateInput, state: StateInput, data: DataInput } as const
export type SignalType = keyof typeof inputs
export type SignalInput = { [Type in SignalType]: { type: Type } & Static<(typeof inputs)[Type]> }[SignalType]

export const Receipt = Type.Object({
  status: oneOf(['delivered', 'queued', 'held', 'stale'], {
    description: 'queued: a recipient does not listen now; it gets it when it comes back within 10 s, otherwise `signal_expired` says so. held: candidates that came before their offer or answer, and go on with it. stale: they belong to a negotiation that is over, and went nowhere'
  }),
  signal_id: SignalId,
  session_id: RtcSessionId,
  recipients: Type.Integer({ minimum: 0, examples: [1] }),
  negotiation_id: Type.Optional(NegotiationId),
  version: Type.Integer({ minimum: 1, description: 'Of the session, as in its `ETag`', examples: [4] })
}, { title: 'RtcReceipt' })
export type Receipt = Static<typeof Receipt>

/** A signal as it comes to the peer that it is for. */
export const rtcSignal = Type.Object({
  signal_id: SignalId,
  session_id: RtcSessionId,
  type: oneOf(['offer', 'answer', 'candidate', 'data']),
  from: ParticipantId,
  to: Type.Optional(ParticipantId),
  description: Type.Optional(Type.Object({ type: oneOf(['offer', 'answer', 'pranswer']), sdp: Type.String() })),
  in_reply_to: Type.Optional(SignalId),
  ice_restart: Type.Optional(Type.Boolean()),
  negotiation_id: Type.Optional(NegotiationId),
  candidates: Type.Optional(Type.Array(MaybeCandidate, { description: 'In their order; null: there will be no more' })),
  data: Type.Optional(Type.String()),
  encoding: Type.Optional(oneOf(['text', 'base64'])),
  relayed: Type.Optional(Type.Literal(true, { description: 'These data came over this server, since the peers do not reach each other' })),
  timestamp: Timestamp
}, { title: 'RtcSignal', description: 'a signal of another participant' })
export type RtcSignal = Static<typeof rtcSignal>

export const stateTypes = [
  'welcome', 'participant_joined', 'participant_left', 'participant_reconnecting', 'participant_resumed', 'participant_restarted',
  'connection_state', 'fallback', 'signal_expired', 'ice_servers', 'session_closed', 'resync'
] as const
/** What happens in the room. */
export const rtcState = Type.Object({
  session_id: RtcSessionId,
  type: oneOf(stateTypes, {
    description: 'welcome: first on every stream, with all who are there; participant_resumed: it was away and goes on where it was; participant_restarted: it has begun anew, and its peers negotiate anew with it; ' +
      'fallback: the two try `step` now; signal_expired: `signal_id` did not reach `participant_id` in time; ice_servers: credentials for the next minutes; resync: signals were lost, negotiate anew'
  }),
  version: Type.Integer({ minimum: 1, description: 'Of the session. One with a smaller version than you have seen tells of the past' }),
  participants: Type.Optional(Type.Array(Participant, { description: 'All who are there, as of this version' })),
  participant_id: Type.Optional(ParticipantId),
  to: Type.Optional(ParticipantId),
  reason: Type.Optional(Type.String({ examples: ['left'] })),
  connection_state: Type.Optional(oneOf(connectionStates)),
  step: Type.Optional(oneOf(fallbackSteps)),
  negotiation_id: Type.Optional(NegotiationId),
  signal_id: Type.Optional(SignalId),
  ice_servers: Type.Optional(Type.Array(IceServer)),
  timestamp: Timestamp
}, { title: 'RtcState', description: 'who is there, and what becomes of their connections' })
export type RtcState = Static<typeof rtcState>

/** Why we end a stream of a room, on either way. */
export const rtcEnd = Type.Object({
  reason: oneOf([...endEvent.properties.reason.enum as string[], 'taken_over', 'left', 'session_closed', 'slow'], {
    description: `${String(endEvent.properties.reason.description)}; taken_over: the same participant listens elsewhere; left: it has left the room, or was away for too long; session_closed: the room is closed; slow: it was not read fast enough`
  })
}, { title: 'RtcEnd', description: 'this server ends the stream' })
export type RtcEndReason = 'shutdown' | 'lifetime' | 'closed' | 'unauthorized' | 'forbidden' | 'core_unavailable' | 'taken_over' | 'left' | 'session_closed' | 'slow'

/** An event of a room. `id` names its place, for `Last-Event-ID`. */
export type RtcEvent = { event: 'rtc_signal', id?: string, data: RtcSignal } | { event: 'rtc_state', id?: string, data: RtcState }
