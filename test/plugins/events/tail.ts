import { createParser } from 'eventsource-parser'
import { expect } from 'vitest'

/** One event as a client sees it. */
export interface Seen { event: string, id: string, data: Record<string, unknown> }

/** A client of a stream: what it has seen, and the last id that it would resume with. */
export class Tail {
  readonly seen: Seen[] = []
  readonly headers: Headers
  readonly status: number
  retry: number | undefined
  text = ''
  ended = false
  #abort: AbortController

  private constructor (res: Response, abort: AbortController) {
    this.headers = res.headers
    this.status = res.status
    this.#abort = abort
    this.#read(res).catch(() => {}).finally(() => { this.ended = true })
  }

  static async open (url: string, headers: Record<string, string>): Promise<Tail> {
    const abort = new AbortController()
    return new Tail(await fetch(url, { headers: { accept: 'text/event-stream', ...headers }, signal: abort.signal }), abort)
  }

  /** Of frames without an event, too: that is how a browser keeps it. */
  get lastId (): string {
    return [...this.text.matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? ''
  }

  of (event: string): Seen[] {
    return this.seen.filter((one) => one.event === event)
  }

  messages (): unknown[] {
    return this.of('log').map(({ data }) => data.message)
  }

  async until (holds: (tail: Tail) => boolean): Promise<void> {
    await expect.poll(() => holds(this), { interval: 10 }).toBe(true)
  }

  close (): void {
    this.#abort.abort()
  }

  async #read (res: Response): Promise<void> {
    const parser = createParser({
      onEvent: ({ event = '', id = '', data }) => { this.seen.push({ event, id, data: JSON.parse(data) as Record<string, unknown> }) },
      onRetry: (ms) => { this.retry = ms }
    })
    const decoder = new TextDecoder()
    for await (const chunk of res.body!) {
      const text = decoder.decode(chunk as Uint8Array, { stream: true })
      this.text += text
      parser.feed(text)
    }
  }
}
