import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { RtcJoined } from '../../../schemas/rtc.ts'
import { keys } from '../oracle/instances.ts'

interface Frame { type: string, id?: string, event_id?: string, data: Record<string, unknown> & { code?: string, details?: { reason?: string } } }

/** A participant on a socket, that keeps all that it was told. */
export class SocketPeer {
  readonly joined: RtcJoined
  readonly frames: Frame[] = []
  onFrame: (frame: Frame) => void = () => {}
  readonly #socket: WebSocket
  readonly #waiting = new Map<string, (frame: Frame) => void>()
  #count = 0

  private constructor (socket: WebSocket, joined: RtcJoined) {
    this.#socket = socket
    this.joined = joined
    socket.on('message', (message: Buffer) => {
      const frame = JSON.parse(message.toString()) as Frame
      this.frames.push(frame)
      const answer = frame.id === undefined || frame.type === 'rtc_state' || frame.type === 'rtc_signal' ? undefined : this.#waiting.get(frame.id)
      if (answer !== undefined) {
        this.#waiting.delete(frame.id!)
        answer(frame)
      }
      this.onFrame(frame)
    })
  }

  static async connect (url: string, joined: RtcJoined): Promise<SocketPeer> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/ws`, { headers: { authorization: `Bearer ${keys.user}` } })
    await once(socket, 'open')
    const peer = new SocketPeer(socket, joined)
    const { session_id: session, participant_id: participant, participant_token: token } = joined
    const answer = await peer.ask('rtc_subscribe', { session_id: session, participant_id: participant, participant_token: token })
    if (answer.type !== 'rtc_subscribed') throw new Error(JSON.stringify(answer))
    return peer
  }

  get id (): string { return this.joined.participant_id }

  /** Resolves with the frame that answers it. */
  async ask (type: string, data: object): Promise<Frame> {
    const id = `r${++this.#count}`
    const answer = new Promise<Frame>((resolve) => { this.#waiting.set(id, resolve) })
    this.#socket.send(JSON.stringify({ type, id, data }))
    return await answer
  }

  async signal (data: object): Promise<Frame> {
    return await this.ask('rtc_signal', { session_id: this.joined.session_id, participant_id: this.id, ...data })
  }

  close (): void { this.#socket.close() }
}
