import type { FastifyRequest } from 'fastify'
import type { Receipt, RtcEndReason, RtcEvent, RtcJoined, RtcSession, SignalInput } from '../../schemas/rtc.ts'

/** Who speaks: a participant, by the token that it alone was given. */
export interface Claim { session_id: string, participant_id: string, token: string | undefined }

/** An event of a room on its way to one participant; `json` is its data, encoded once for all who get the same. */
export interface Delivered { event: RtcEvent['event'] | 'gap', id: string | undefined, json: string }

/** Who listens: told of events in their order, then once of the end. Neither may throw. */
export interface Ear {
  transport: 'socket' | 'sse'
  /** The place after which it goes on; undefined: it begins anew. */
  lastEventId: string | undefined
  onEvents: (events: readonly Delivered[]) => void
  onEnd: (reason: RtcEndReason) => void
}

/** A participant that is heard. `close` says that its connection is gone: it is `reconnecting` until it comes back or its time is over. Nothing comes after it. */
export interface Listening { close: () => void }

/** Rooms of WebRTC peers, the same at all instances. All of it throws ApiErrors; to who is not in a room there is none (`not_found`). */
export interface Signaling {
  create: (request: FastifyRequest, input: { user_id?: string, mode: string, agent_id?: string, media?: RtcSession['media'], max_participants: number, ttl_seconds: number, metadata?: Record<string, string> }) => Promise<RtcJoined>
  join: (request: FastifyRequest, sessionId: string, userId: string | undefined) => Promise<RtcJoined>
  leave: (request: FastifyRequest, claim: Claim) => Promise<void>
  get: (request: FastifyRequest, sessionId: string, token: string | undefined) => Promise<RtcSession>
  /** Of all rooms, the newest first. */
  list: () => Promise<RtcSession[]>
  close: (request: FastifyRequest, sessionId: string, token: string | undefined) => Promise<void>
  /** Passes a signal on. With `ifMatch` only while the session is as that tag says. */
  send: (request: FastifyRequest, token: string | undefined, signal: SignalInput, ifMatch?: string) => Promise<Receipt>
  /** Begins to listen; takes the place of whoever listens as the same participant. Its first event is `welcome`, or what was missed. */
  listen: (request: FastifyRequest, claim: Claim, ear: Ear) => Promise<Listening>
}

declare module 'fastify' {
  interface FastifyInstance { signaling: Signaling }
}
