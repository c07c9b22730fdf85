import { hash, timingSafeEqual } from 'node:crypto'
import type { FallbackStep, RtcSession, RtcState, RtcSignal } from '../../schemas/rtc.ts'

type ConnectionState = NonNullable<RtcState['connection_state']>

/** One who is in a room. */
export interface Member {
  id: string
  userId: string
  /** The digest of the key that it joined with. */
  owner: string
  /** SHA-256 of its token, in base64url. */
  token: string
  order: number
  /** Grows each time it is heard anew: what an earlier one was is over. */
  generation: number
  /** Where and how it is heard. */
  heard?: { instance: string, transport: 'socket' | 'sse' } | undefined
  /** It was heard, and is not now. */
  isAway?: boolean | undefined
  joinedAt: number
  seenAt: number
  /** The place in the journal before which nothing is for it. */
  since: string
  /** Signals for it while it is not heard. */
  queue: { id: string, from: string, bytes: number, at: number }[]
  /** Those that came too late. */
  expired: string[]
}

/** `version` is that of the room when it began: of two, the greater one holds. */
export interface Negotiation { id: string, version: number, offer: string, from: string, at: number, isAnswered: boolean, offerFragment?: string | undefined, answerFragment?: string | undefined }

type Candidates = NonNullable<RtcSignal['candidates']>
/** Candidates that came before the description that they belong to. */
export interface Early { from: string, name: string | undefined, candidates: Candidates, at: number }

/** What is between two members. */
export interface Pair {
  negotiation?: Negotiation
  /** Ids and ICE fragments of negotiations that are over. */
  past: string[]
  early: Early[]
  /** How far the fallbacks have come. */
  step?: FallbackStep | undefined
  /** The negotiation whose failure has been dealt with. */
  failed?: string | undefined
  /** By member. */
  states: { [member: string]: ConnectionState }
}

/** What has happened, to be told to all in the room, in the order of the versions. */
export interface Outcome { version: number, at: number, state: Omit<RtcState, 'session_id' | 'version' | 'participants' | 'timestamp'>, only?: string[] | undefined, generation?: number | undefined, showsRoster?: boolean | undefined }

/** All that instances share of a room, but its signals. */
export interface Room {
  id: string
  /** Closing it takes this token. */
  creator: string
  media: RtcSession['media']
  max: number
  metadata?: { [name: string]: string } | undefined
  createdAt: number
  expiresAt: number
  closedAt?: number | undefined
  version: number
  nextOrder: number
  members: Member[]
  /** The tokens of those who left: they may read how it ended. */
  gone: string[]
  pairs: { [key: string]: Pair }
  stats: { offers: number, answers: number, candidates: number, restarts: number, resumes: number }
  offeredAt?: number | undefined
  connectedAt?: number | undefined
  outbox: Outcome[]
}

const mostOutcomes = 16
const outboxMs = 10_000

export const digestOf = (token: string): string => hash('sha256', token, 'base64url')

export function isToken (digest: string, token: string | undefined): boolean {
  return token !== undefined && timingSafeEqual(Buffer.from(digest), Buffer.from(digestOf(token)))
}

export const pairKey = (a: string, b: string): string => a < b ? `${a} ${b}` : `${b} ${a}`

export function pairOf (room: Room, a: string, b: string): Pair {
  return room.pairs[pairKey(a, b)] ??= { past: [], early: [], states: {} }
}

export const isOpen = ({ closedAt }: Room): boolean => closedAt === undefined

/** Notes what has happened; whoever has written the room tells it. */
export function note (room: Room, state: Outcome['state'], more: Pick<Outcome, 'only' | 'generation' | 'showsRoster'> = {}): void {
  const now = Date.now()
  room.version++
  room.outbox = [...room.outbox.filter(({ at }) => now - at < outboxMs).slice(1 - mostOutcomes), { version: room.version, at: now, state, ...more }]
}

/** Takes a member out. The last one closes the room. */
export function remove (room: Room, id: string, reason: string): void {
  const member = room.members.find((one) => one.id === id)
  if (member === undefined) return
  room.members = room.members.filter((one) => one !== member)
  room.gone = [...room.gone, member.token].slice(-32)
  for (const key of Object.keys(room.pairs)) if (key.split(' ').includes(id)) delete room.pairs[key]
  note(room, { type: 'participant_left', participant_id: id, reason }, { showsRoster: true })
  if (room.members.length === 0) close(room, 'empty')
}

export function close (room: Room, reason: string): void {
  if (!isOpen(room)) return
  room.closedAt = Date.now()
  note(room, { type: 'session_closed', reason })
}
