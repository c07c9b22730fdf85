import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const token = '"message":"n='
/** From there on, a number and a time are within so many characters. */
const reach = token.length + 48

/** A client of the log stream on a bare socket: it takes events as they come, or nothing at all until it is told to. */
export class StreamReader {
  events = 0
  /** Events whose number did not follow the one before. */
  disordered = 0
  readonly delays: number[] = []
  readonly gaps: { reason: string, count?: number }[] = []
  readonly #socket: Socket
  #text = ''
  #last: number | undefined

  private constructor (socket: Socket) {
    this.#socket = socket
  }

  static async open (url: string, key: string, query = ''): Promise<StreamReader> {
    const { hostname, port, host } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    socket.write(`GET /api/v1/logs/stream?${query} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${key}\r\n\r\n`)
    await once(socket, 'readable')
    return new StreamReader(socket)
  }

  /** Begins to read; before that nothing is taken but what the socket itself holds. */
  read (): this {
    this.#socket.setEncoding('latin1').on('data', (text: string) => { this.#take(text) })
    return this
  }

  close (): void {
    this.#socket.destroy()
  }

  #take (text: string): void {
    const now = Date.now()
    const all = this.#text + text
    let from = 0
    for (let at = all.indexOf(token); at !== -1 && at + reach <= all.length; at = all.indexOf(token, from)) {
      const [, n, sent] = /n=(\d+) at=(\d+)/.exec(all.slice(at, at + reach))!
      this.#tellGaps(all.slice(from, at))
      this.events++
      if (this.#last !== undefined && Number(n) !== this.#last + 1) this.disordered++
      this.#last = Number(n)
      this.delays.push(now - Number(sent))
      from = at + reach
    }
    this.#text = all.slice(from)
  }

  /** A gap stands right before the event that follows it. */
  #tellGaps (between: string): void {
    for (const [, data] of between.matchAll(/event: gap\n(?:id: .*\n)?data: (.*)\n/g)) {
      this.gaps.push(JSON.parse(data!) as { reason: string, count?: number })
      this.#last = undefined
    }
  }
}
