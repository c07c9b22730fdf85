import { fallbackSteps, type Participant, type RtcSession } from '../../schemas/rtc.ts'
import { isOpen, type Member, type Room } from './room.ts'

/** A room as it is shown. */
export function viewOf (room: Room): RtcSession {
  const { id, media, max, metadata, version, stats, offeredAt, connectedAt } = room
  return {
    session_id: id,
    status: statusOf(room),
    mode: 'p2p',
    media,
    max_participants: max,
    version,
    created_at: timeOf(room.createdAt),
    expires_at: timeOf(room.expiresAt),
    ...(room.closedAt !== undefined && { closed_at: timeOf(room.closedAt) }),
    ...(metadata !== undefined && { metadata }),
    participants: rosterOf(room),
    stats: { ...stats, ...(offeredAt !== undefined && connectedAt !== undefined && { time_to_connect_ms: Math.max(0, connectedAt - offeredAt) }) },
    fallbacks: [...fallbackSteps]
  }
}

/** All who are there, in the order in which they came. */
export function rosterOf (room: Room): Participant[] {
  return room.members.map((member) => participantOf(room, member))
}

function participantOf ({ pairs }: Room, { id, userId, isAway, order, generation, heard, joinedAt, seenAt }: Member): Participant {
  const state = worst(Object.entries(pairs).flatMap(([key, { states }]) => key.split(' ').includes(id) && states[id] !== undefined ? [states[id]] : []))
  return {
    participant_id: id,
    user_id: userId,
    state: isAway === true ? 'reconnecting' : 'joined',
    order,
    generation,
    ...(heard !== undefined && { transport: heard.transport }),
    ...(state !== undefined && { connection_state: state }),
    joined_at: timeOf(joinedAt),
    last_seen_at: timeOf(seenAt)
  }
}

type State = RtcSession['status']
const fromWorst = ['failed', 'disconnected', 'connecting', 'connected', 'new', 'closed'] as const

/** Of several connections the one that needs looking after. */
function worst (states: State[]): State | undefined {
  return fromWorst.find((state) => states.includes(state))
}

function statusOf (room: Room): State {
  if (!isOpen(room)) return 'closed'
  const states = Object.values(room.pairs).flatMap(({ states: by }): State[] => Object.values(by)).filter((state) => state !== 'closed' && state !== 'new')
  return worst(states) ?? (room.offeredAt === undefined ? 'new' : 'connecting')
}

export function timeOf (ms: number): string {
  return new Date(ms).toISOString()
}
