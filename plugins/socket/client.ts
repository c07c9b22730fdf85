import type { Socket } from 'node:net'
import type { WebSocket } from '@fastify/websocket'
import type { FastifyRequest } from 'fastify'
import { ApiError, bodyOf, failureOf } from '../../errors.ts'
import type { CloseCode, ServerFrame, ServerType } from '../../schemas/socket.ts'
import { write } from './frames.ts'
import { Outflow, pauseBytes } from './outflow.ts'
import { Pulse } from './pulse.ts'

/** What the settings say of sockets; read when used, so that a reload holds at once. */
export interface Settings { socket_ping_ms: number, socket_rate: number, stream_life_ms: number, stream_stall_ms: number, drain_timeout_ms: number }

/** Told of what is written, and of the end. */
export interface Observer { onFrame: (type: ServerType) => void, onEnd: (code: number) => void }

interface Options { socket: WebSocket, request: FastifyRequest, settings: () => Settings, now: () => number, observer: Observer }

/** Bytes that wait to be read from which on the socket ends: what can wait does long before. */
export const mostBytes = 4 * pauseBytes
const leavingCodes = { shutdown: 1012, lifetime: 4000 } as const satisfies Record<string, CloseCode>
/** One by one they come back to other instances. */
const backMs = { least: 200, most: 2_000 }

/** One open socket: what is written to it, whether it is alive, and how it ends. */
export class Client {
  frames = 0
  readonly request: FastifyRequest
  /** Whether something runs that should come to its end first. */
  isBusy: () => boolean = () => false
  readonly #socket: WebSocket
  readonly #raw: Socket
  readonly #options: Options
  readonly #endsAt: number
  #asked = 0
  readonly #pulse: Pulse
  readonly #outflow: Outflow
  #leaving: { code: CloseCode, until: number } | undefined

  constructor (options: Options) {
    const { socket, request, settings, now } = options
    this.#options = options
    this.#socket = socket
    this.request = request
    this.#raw = request.raw.socket
    const { socket_ping_ms: pingMs, stream_life_ms: life } = settings()
    this.#pulse = new Pulse(socket, this.#raw, now() + pingMs)
    this.#endsAt = life === 0 ? Infinity : now() + life * (0.8 + Math.random() * 0.4)
    this.#outflow = new Outflow(socket, this.#raw, now)
    socket.once('close', (code) => { options.observer.onEnd(code) })
  }

  get isOpen (): boolean {
    return this.#socket.readyState === this.#socket.OPEN
  }

  get bytes (): number {
    return this.#raw.bytesWritten
  }

  get unsent (): number {
    return this.#outflow.unsent
  }

  /** Names one thing that was asked for, in logs and failures. */
  newId (): string {
    return `${this.request.id.slice(0, 112)}.${++this.#asked}`
  }

  /** Nothing is written to a socket that is about to close. */
  send (frame: ServerFrame): void {
    if (this.isOpen) this.sendText(frame.type, write(frame))
  }

  /** The same for a frame that is text already. */
  sendText (type: ServerType, text: string): void {
    if (!this.isOpen) return
    this.frames++
    this.#options.observer.onFrame(type)
    this.#outflow.write(text)
    if (this.unsent > mostBytes) this.close(1013, 'too much was not read')
  }

  /** Resolves when so much has been read that more may be written, or the socket is closed; undefined when that is so. */
  drained (): Promise<void> | undefined {
    return this.#outflow.drained()
  }

  /** Tells of a failure; what is no failure of the caller's is logged, and is the end of this socket alone. */
  fail (error: unknown, id?: string, requestId = this.newId()): void {
    const failure = failureOf(error)
    const isOurs = failure.code === 'internal_error'
    this.request.log[isOurs ? 'error' : 'info']({ requestId, frame: id, code: failure.code, ...(isOurs && { err: failure.cause ?? error }) }, isOurs ? 'the socket failed' : 'a frame was refused')
    this.send({ type: 'error', ...(id !== undefined && { id }), data: bodyOf(failure, requestId).error })
    if (isOurs) this.close(1011, 'this server failed')
  }

  /** Says what there is to say before the end: the key is good no more, or an admin has ended it. */
  refuse (reason: ApiError): void {
    this.fail(reason)
    this.close(reason.code === 'unauthorized' ? 4401 : reason.code === 'forbidden' ? 4403 : 1013, reason.code)
  }

  /** Ends when its chats have, and in any case after so many ms. */
  goAway (reason: 'shutdown' | 'lifetime', withinMs = this.#options.settings().drain_timeout_ms): void {
    const until = this.#options.now() + withinMs
    if (this.#leaving === undefined) this.send({ type: 'going_away', data: { reason, reconnect_after_ms: Math.round(backMs.least + Math.random() * (backMs.most - backMs.least)) } })
    this.#leaving = { code: leavingCodes[reason], until: Math.min(until, this.#leaving?.until ?? Infinity) }
    this.settle()
  }

  /** To be called when something has come to its end. */
  settle (now = this.#options.now()): void {
    if (this.#leaving !== undefined && (now >= this.#leaving.until || !this.isBusy())) this.close(this.#leaving.code, 'going away')
  }

  close (code: CloseCode, reason: string): void {
    if (!this.isOpen) return
    this.#socket.close(code, reason)
    // Its close frame would never be read.
    this.#socket.resume()
  }

  terminate (): void {
    this.#socket.terminate()
  }

  /** Every second or so: signs of life, a reader that takes nothing, the end of its time. */
  tick (now: number): void {
    const { socket_ping_ms: pingMs, stream_stall_ms: stallMs } = this.#options.settings()
    if (!this.isOpen) return
    const { stalledSince } = this.#outflow
    if (stalledSince !== undefined) {
      // Its pongs are not read either.
      this.#pulse.hush()
      if (now - stalledSince >= stallMs) this.close(1013, 'what was sent is not read')
      return
    }
    if (!this.#pulse.beat(now, pingMs)) {
      this.terminate()
      return
    }
    if (now >= this.#endsAt && this.#leaving === undefined) this.goAway('lifetime')
    this.settle(now)
  }
}
