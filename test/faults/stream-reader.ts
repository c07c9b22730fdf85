import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { createParser } from 'eventsource-parser'
import { expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as } from '../app.ts'
import type { Seen } from '../plugins/events/tail.ts'

/** A client of a stream that reads only while it is told to: what it does not take stays in the kernels, then in the server. */
export class Reader {
  readonly seen: Seen[] = []
  text = ''
  /** The connection is at its end, whoever ended it. */
  ended = false
  readonly socket: Socket
  readonly #res: IncomingMessage

  private constructor (res: IncomingMessage) {
    this.#res = res
    this.socket = res.socket
    const parser = createParser({ onEvent: ({ event = '', id = '', data }) => { this.seen.push({ event, id, data: JSON.parse(data) as Record<string, unknown> }) } })
    res.setEncoding('utf8')
    res.on('data', (text: string) => {
      this.text += text
      parser.feed(text)
    })
    res.pause()
    // A connection that was cut is what is looked for.
    for (const one of [res, res.socket]) one.on('error', () => {}).on('close', () => { this.ended = true })
  }

  /** Opens a stream, with a body where one is given; takes no more of it than its head. */
  static async open (url: string, body = ''): Promise<Reader> {
    const asked = request(url, { agent: false, headers: { ...as('admin'), ...(body !== '' && { 'content-length': body.length }) } })
    asked.end(body)
    const [res] = await once(asked, 'response') as [IncomingMessage]
    return new Reader(res)
  }

  read (): void { this.#res.resume() }
  pause (): void { this.#res.pause() }

  async until (holds: (reader: Reader) => boolean): Promise<void> {
    await expect.poll(() => holds(this), { interval: 20 }).toBe(true)
  }

  /** Leaves as a program does that ends in order. */
  close (): void { this.socket.destroy() }

  /** Leaves as one does that is gone. */
  reset (): void { this.socket.resetAndDestroy() }
}

/** The server's end of each connection, by the port of the client. */
export function endsOf ({ server }: FastifyInstance): (reader: Reader) => Socket {
  const ends = new Map<number, Socket>()
  server.on('connection', (socket: Socket) => { ends.set(socket.remotePort!, socket) })
  return ({ socket }) => ends.get(socket.localPort!)!
}
