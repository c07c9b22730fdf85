import type { Socket } from 'node:net'
import type { WebSocket } from '@fastify/websocket'

/** Bytes that wait to be read from which on whatever can wait does. */
export const pauseBytes = 1_048_576

/** What is written to a socket, and whether the other side takes it. */
export class Outflow {
  /** Since when too much waits. */
  stalledSince: number | undefined
  readonly #socket: WebSocket
  readonly #raw: Socket
  readonly #now: () => number
  #waiting: (() => void)[] = []
  #isGathering = false
  readonly #release = () => {
    this.#isGathering = false
    this.#raw.uncork()
  }

  constructor (socket: WebSocket, raw: Socket, now: () => number) {
    this.#socket = socket
    this.#raw = raw
    this.#now = now
    raw.on('drain', () => { this.#goOn() })
    socket.once('close', () => { this.#goOn() })
  }

  get unsent (): number {
    return this.#socket.bufferedAmount
  }

  write (text: string): void {
    this.#gather()
    this.#socket.send(text)
    if (this.stalledSince !== undefined || this.unsent <= pauseBytes) return
    this.stalledSince = this.#now()
    // What it asks for would only add to that.
    this.#socket.pause()
  }

  /** Resolves when so much has been read that more may be written, or the socket is closed; undefined when that is so. */
  drained (): Promise<void> | undefined {
    return this.stalledSince === undefined ? undefined : new Promise((resolve) => { this.#waiting.push(resolve) })
  }

  /** What is written in one turn goes out in one call of the system: the pieces of an answer that the Core sent together, or candidates in a row. */
  #gather (): void {
    if (this.#isGathering) return
    this.#isGathering = true
    this.#raw.cork()
    process.nextTick(this.#release)
  }

  #goOn (): void {
    this.stalledSince = undefined
    if (this.#socket.isPaused) this.#socket.resume()
    for (const go of this.#waiting.splice(0)) go()
  }
}
