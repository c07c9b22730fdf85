import { once } from 'node:events'
import type { ServerResponse } from 'node:http'

export interface FrameOptions {
  gone: AbortSignal
  isMalformed: boolean
  isSilent: boolean
}

const keepAliveMs = 1000
const malformed = [
  'data: {"token":{"type":"content","content":"brok\n\n',
  'data: {"token":{"type":"martian","content":"?","timestamp":0}}\n\n',
  'data: [1,2]\n\n',
  ': a comment\n\n',
  'data: {"token":{"type":"progress","content":"CRLF","stage":"init"}}\r\n\r\n',
  'data: {"token":{"type":"progress","content":"literal","stage":"init"}}\\n\\n\n\n'
]

/** The event stream of a chat: a comment at once and after each second without a frame. */
export class Frames {
  readonly #res: ServerResponse
  readonly #options: FrameOptions
  readonly #timer: NodeJS.Timeout | undefined
  #sent = 0

  constructor (res: ServerResponse, options: FrameOptions) {
    this.#res = res
    this.#options = options
    res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
    res.flushHeaders()
    if (options.isSilent) return
    res.write(': keepalive\n\n')
    this.#timer = setInterval(() => { res.write(': keepalive\n\n') }, keepAliveMs)
  }

  /** Sends a frame; waits while the client does not read. */
  async send (data: object): Promise<void> {
    if (this.#options.isMalformed) await this.#write(malformed[this.#sent++ % malformed.length] ?? '')
    await this.#write(`data: ${JSON.stringify(data)}\n\n`)
  }

  /** Ends a good stream. */
  async done (): Promise<void> {
    await this.#write('event: done\ndata: {"finished":true}\n\n')
    this.#res.end()
  }

  /** Ends a stream in which something broke that should not. */
  async fail (err: unknown): Promise<void> {
    const { name, message } = err instanceof Error ? err : new Error(String(err))
    await this.#write(`event: error\ndata: ${JSON.stringify({ error: message, type: name })}\n\n`)
    this.#res.end()
  }

  /** Destroys the socket, once the frames have left. */
  async cut (): Promise<void> {
    await new Promise(setImmediate)
    this.#res.destroy()
  }

  /** Stops the comments; belongs at the end of every stream. */
  close (): void {
    clearInterval(this.#timer)
  }

  async #write (text: string): Promise<void> {
    const { gone } = this.#options
    if (gone.aborted) return
    this.#timer?.refresh()
    if (!this.#res.write(text)) await once(this.#res, 'drain', { signal: gone }).catch(() => {})
  }
}
