import type { FastifyInstance } from 'fastify'
import { ApiError } from '../../errors.ts'
import type { RtcEndReason } from '../../schemas/rtc.ts'
import { mostBytes, type Client } from './client.ts'
import type { FrameOf } from './frames.ts'

type Signaling = FastifyInstance['signaling']
type Listening = Awaited<ReturnType<Signaling['listen']>>
type Ear = Parameters<Signaling['listen']>[2]
type Delivered = Parameters<Ear['onEvents']>[0][number]

/** A room that is listened to. */
interface Room {
  participantId: string
  token: string
  listening: Listening | undefined
  /** What came before its subscription was answered. */
  early: Delivered[] | undefined
  /** Whether nothing more is said of it: it was left, or is listened to anew. */
  isSilent: boolean
  /** That it has ended, before its subscription was answered. */
  ended: RtcEndReason | undefined
  /** How each of its frames begins. */
  head: (event: Delivered['event']) => string
}

const most = 16
/** So many frames wait for their turn at most: as many as come at once. */
const mostWaiting = 256

/** The rooms that one socket speaks and listens in, as one participant in each. What it asks for is done in its order. */
export class Rooms {
  readonly #client: Client
  readonly #signaling: () => Signaling
  readonly #rooms = new Map<string, Room>()
  #last: Promise<void> = Promise.resolve()
  #waiting = 0
  readonly #isDone = () => { this.#waiting-- }

  constructor (client: Client, signaling: () => Signaling) {
    this.#client = client
    this.#signaling = signaling
  }

  /** Does it when all that came before is done. */
  async inOrder (what: () => Promise<void>): Promise<void> {
    if (this.#waiting >= mostWaiting) throw new ApiError('rate_limited', `${mostWaiting} frames wait for their turn: wait for their answers`, { retryAfter: 1, details: { limit: mostWaiting, retry_after: 1 } })
    const done = this.#waiting++ === 0 ? what() : this.#last.then(what)
    this.#last = done.then(this.#isDone, this.#isDone)
    await done
  }

  async subscribe ({ id, data: { session_id: sessionId, participant_id: participantId, participant_token: token, last_event_id: lastEventId } }: FrameOf<'rtc_subscribe'>): Promise<void> {
    const before = this.#rooms.get(sessionId)
    if (before !== undefined && before.participantId !== participantId) throw new ApiError('conflict', `this socket is ${before.participantId} in ${sessionId}: unsubscribe first, or open another one`)
    if (before === undefined && this.#rooms.size >= most) throw new ApiError('conflict', `this socket listens in ${most} rooms: unsubscribe from one, or open another socket`)
    const room: Room = { participantId, token, listening: undefined, early: [], isSilent: false, ended: undefined, head: headOf(id) }
    // This takes its place: that is no news.
    if (before !== undefined) before.isSilent = true
    try {
      room.listening = await this.#signaling().listen(this.#client.request, { session_id: sessionId, participant_id: participantId, token }, {
        transport: 'socket',
        lastEventId,
        onEvents: (events) => { this.#hear(room, events) },
        onEnd: (reason) => { this.#ended(sessionId, room, reason) }
      })
    } catch (error) {
      if (before !== undefined) before.isSilent = false
      throw error
    }
    this.#rooms.set(sessionId, room)
    if (!this.#client.isOpen) {
      this.#forget(sessionId, room)
      return
    }
    this.#client.send({ type: 'rtc_subscribed', id, data: { session_id: sessionId, participant_id: participantId } })
    const { early = [], ended } = room
    room.early = undefined
    this.#hear(room, early)
    if (ended !== undefined) this.#ended(sessionId, room, ended)
  }

  async unsubscribe ({ id, data: { session_id: sessionId } }: FrameOf<'rtc_unsubscribe'>): Promise<void> {
    this.#forget(sessionId, this.#in(sessionId))
    this.#client.send({ type: 'rtc_unsubscribed', id, data: { session_id: sessionId } })
  }

  async leave ({ id, data: { session_id: sessionId, participant_id: participantId } }: FrameOf<'rtc_leave'>): Promise<void> {
    const room = this.#in(sessionId, participantId)
    room.isSilent = true
    try {
      await this.#signaling().leave(this.#client.request, { session_id: sessionId, participant_id: participantId, token: room.token })
    } catch (error) {
      room.isSilent = false
      throw error
    }
    this.#forget(sessionId, room)
    this.#client.send({ type: 'rtc_left', id, data: { session_id: sessionId, participant_id: participantId } })
  }

  async signal ({ id, data }: FrameOf<'rtc_signal'>): Promise<void> {
    const { token } = this.#in(data.session_id, data.participant_id)
    const receipt = await this.#signaling().send(this.#client.request, token, data)
    if (id !== undefined) this.#client.send({ type: 'rtc_receipt', id, data: receipt })
  }

  /** The socket is gone: its participants are `reconnecting` from now on. */
  end (): void {
    for (const [sessionId, room] of this.#rooms) this.#forget(sessionId, room)
  }

  /** Who is not in a room is told that there is none. */
  #in (sessionId: string, participantId?: string): Room {
    const room = this.#rooms.get(sessionId)
    if (room === undefined) throw new ApiError('not_found', `this socket is in no session ${sessionId}: send rtc_subscribe first`)
    if (participantId !== undefined && participantId !== room.participantId) throw new ApiError('forbidden', `this socket speaks for ${room.participantId} in ${sessionId}, and for nobody else`)
    return room
  }

  #forget (sessionId: string, room: Room): void {
    room.isSilent = true
    if (this.#rooms.get(sessionId) === room) this.#rooms.delete(sessionId)
    room.listening?.close()
  }

  #hear (room: Room, events: readonly Delivered[]): void {
    if (room.isSilent) return
    if (room.early !== undefined) {
      room.early.push(...events)
      return
    }
    for (const { event, id, json } of events) {
      this.#client.sendText(event, `${room.head(event)}${id === undefined ? '' : `"event_id":${JSON.stringify(id)},`}"data":${json}}`)
    }
    if (this.#client.unsent > mostBytes) this.#client.close(1013, 'too much was not read')
  }

  #ended (sessionId: string, room: Room, reason: RtcEndReason): void {
    if (room.isSilent) return
    if (room.early !== undefined) {
      room.ended = reason
      return
    }
    room.isSilent = true
    if (this.#rooms.get(sessionId) === room) this.#rooms.delete(sessionId)
    this.#client.send({ type: 'rtc_end', data: { session_id: sessionId, reason } })
    // Nothing else is done over this socket: the same participant is on another one.
    if (reason === 'taken_over' && this.#rooms.size === 0 && !this.#client.isBusy()) this.#client.close(4409, 'the participant listens elsewhere by now')
  }
}

function headOf (id: string): Room['head'] {
  const text = JSON.stringify(id)
  const heads: Partial<Record<Delivered['event'], string>> = {}
  return (event) => heads[event] ??= `{"type":"${event}","id":${text},`
}
