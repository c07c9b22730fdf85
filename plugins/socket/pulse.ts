import type { Socket } from 'node:net'
import type { WebSocket } from '@fastify/websocket'

/** Whether there is still somebody: asks now and then, and takes any byte for an answer, since one that comes behind a large frame may be late. */
export class Pulse {
  readonly #socket: WebSocket
  readonly #raw: Socket
  #askAt: number
  #asked: { at: number, bytesRead: number } | undefined

  constructor (socket: WebSocket, raw: Socket, firstAt: number) {
    this.#socket = socket
    this.#raw = raw
    this.#askAt = firstAt
    socket.on('pong', () => { this.#asked = undefined })
  }

  /** Nothing can be heard for a while: what was asked stays without an answer. */
  hush (): void {
    this.#asked = undefined
  }

  /** Answers whether it is alive, as far as is known. */
  beat (now: number, everyMs: number): boolean {
    if (this.#asked !== undefined && this.#raw.bytesRead > this.#asked.bytesRead) this.#asked = undefined
    if (this.#asked !== undefined) return now - this.#asked.at < everyMs * 2 / 5
    if (now < this.#askAt) return true
    this.#askAt = now + everyMs
    this.#asked = { at: now, bytesRead: this.#raw.bytesRead }
    this.#socket.ping()
    return true
  }
}
