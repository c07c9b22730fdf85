import type { FastifyInstance } from 'fastify'
import { ApiError } from '../../errors.ts'
import type { ClientType } from '../../schemas/socket.ts'
import { Bucket } from './bucket.ts'
import type { Client } from './client.ts'
import { read, type Frame, type FrameOf } from './frames.ts'

/** What is done for each type of frame. What is thrown, now or later, is told under the id of the frame. */
export type Handlers = { [T in ClientType]: (frame: FrameOf<T>) => void | Promise<void> }

interface Options { client: Client, handlers: Handlers, rate: () => number, now: () => number, onFrame: (type: ClientType | 'unknown') => void, limited: FastifyInstance['metrics']['limited'] }

const mostFaults = 5
const secondMs = 1_000
/** A large frame costs as much as several: in all of it there may be something to look at. */
const tokenBytes = 262_144

/** Reads what a socket sends: not too much of it, and not much that is none of the protocol. */
export class Incoming {
  readonly #options: Options
  readonly #bucket: Bucket
  #faults = 0
  #over = { since: -Infinity, seconds: 0, dropped: 0 }

  constructor (options: Options) {
    this.#options = options
    this.#bucket = new Bucket(options.rate, options.now())
  }

  /** Never throws: what did would end the process. */
  receive (message: Buffer, isBinary: boolean): void {
    const { client, onFrame } = this.#options
    try {
      // What has come before the socket was closed is of no interest any more.
      if (!client.isOpen || !this.#isWithinRate(1 + Math.floor(message.length / tokenBytes))) return
      const frame = read(message, isBinary)
      onFrame(frame.type)
      if ('failure' in frame) {
        client.fail(frame.failure, frame.id)
        if (++this.#faults >= mostFaults) client.close(1008, `${mostFaults} frames in a row were none of the protocol`)
        return
      }
      this.#faults = 0
      this.#handle(frame)
    } catch (error) {
      client.fail(error)
    }
  }

  /** A ping is answered by the package; it counts all the same. */
  pinged (): void {
    this.#isWithinRate(1)
  }

  #handle (frame: Frame): void {
    const { client, handlers } = this.#options
    const fail = (error: unknown) => { client.fail(error, frame.id) }
    try {
      // The frame is of the type that its handler is for.
      const done = (handlers[frame.type] as (frame: Frame) => void | Promise<void>)(frame)
      if (done !== undefined) done.catch(fail)
    } catch (error) {
      fail(error)
    }
  }

  #isWithinRate (tokens: number): boolean {
    const { client, rate, now, limited } = this.#options
    const at = now()
    if (this.#bucket.take(tokens, at)) return true
    const over = this.#over
    over.dropped++
    if (at - over.since < secondMs) return false
    this.#over = { since: at, seconds: at - over.since < 2 * secondMs ? over.seconds + 1 : 1, dropped: 0 }
    limited.inc({ scope: 'socket' })
    client.fail(new ApiError('rate_limited', `more than ${rate()} frames a second: those beyond are not looked at`, { retryAfter: 1, details: { limit: rate(), dropped: over.dropped, retry_after: 1 } }))
    if (this.#over.seconds >= mostFaults) client.close(4429, 'more frames than may be sent')
    return false
  }
}
