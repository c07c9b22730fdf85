import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { Agent, request, type Dispatcher } from 'undici'
import { membersOf } from './message.ts'
import { Trouble, troubleIn, troubleOf } from './trouble.ts'

/** An answer with a good status; `type` is its media type. */
export interface Reply { status: number, type: string, headers: Record<string, string | string[] | undefined>, body: Dispatcher.ResponseData['body'] }

/** An event of a stream, or the time after which it wants to be asked again. */
export type Event = { id: string | undefined, data: string } | { retry: number }

/** The server does not know the session, or not any more: it has not looked at the message. */
export class SessionLost extends Trouble {}

/** An answer that is an error of JSON-RPC, whatever its status: it goes on as it is. */
export class Refusal extends Error {
  readonly text: string

  constructor (text: string) {
    super('the server answered with an error')
    this.text = text
  }
}

interface Settings { url: string, key: string, headers: Record<string, string>, timeoutMs: number }

const connectMs = 10_000
const most = 67_108_864

/** The server at the other end. Its calls throw `Trouble`, `Refusal` or `SessionLost`, and what an abort throws. */
export class Remote {
  readonly #settings: Settings
  readonly #agent: Agent
  /** Nobody has asked it yet, it has not answered yet, or it has at least once. */
  state: 'unasked' | 'silent' | 'known' = 'unasked'

  constructor (settings: Settings) {
    this.#settings = settings
    const { timeoutMs } = settings
    // One connection for each that waits: an answer that takes its time holds nobody up.
    this.#agent = new Agent({ connect: { timeout: Math.min(connectMs, timeoutMs) }, headersTimeout: timeoutMs, bodyTimeout: timeoutMs })
  }

  get url (): string { return this.#settings.url }

  async send (method: 'POST' | 'GET' | 'DELETE', own: Record<string, string>, { body, signal }: { body?: string, signal?: AbortSignal }): Promise<Reply> {
    const { url, key, headers: given } = this.#settings
    const headers = {
      'user-agent': 'muxi-api-mcp',
      ...given,
      authorization: `Bearer ${key}`,
      accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...own
    }
    if (this.state === 'unasked') this.state = 'silent'
    const reply = await request(url, { method, headers, body, signal, dispatcher: this.#agent }).catch((error: unknown) => { throw this.#trouble(error, signal) })
    this.state = 'known'
    const { statusCode: status, headers: answered, body: content } = reply
    if (status >= 200 && status < 300) return { status, type: String(answered['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase(), headers: answered, body: content }
    const text = await this.textOf(content, signal).catch(() => '')
    if (status === 404 && own['mcp-session-id'] !== undefined) throw new SessionLost(`${url} does not know this session any more: initialize a new one`)
    if (membersOf(text)?.error !== undefined) throw new Refusal(text)
    throw troubleIn({ status, headers: answered, text }, url)
  }

  async textOf (body: Reply['body'], signal?: AbortSignal): Promise<string> {
    const chunks: Buffer[] = []
    let size = 0
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        size += chunk.length
        if (size > most) throw new Trouble(`${this.url} answered with more than ${most} bytes: ask for less`, { isDone: 'maybe' })
        chunks.push(chunk)
      }
    } catch (error) {
      throw this.#trouble(error, signal)
    }
    return Buffer.concat(chunks).toString()
  }

  /** The events of a stream as they come; a reader that takes its time slows the server down. */
  async * eventsOf (body: Reply['body'], signal?: AbortSignal): AsyncGenerator<Event, void, undefined> {
    const events: Event[] = []
    const parser = createParser({
      maxBufferSize: most,
      onEvent: ({ id, data }: EventSourceMessage) => { events.push({ id, data }) },
      onRetry: (retry) => { events.push({ retry }) },
      onError: ({ type }) => { if (type === 'max-buffer-size-exceeded') throw new Trouble(`${this.url} sent an event of more than ${most} bytes: ask for less`, { isDone: 'maybe' }) }
    })
    const decoder = new TextDecoder()
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        parser.feed(decoder.decode(chunk, { stream: true }))
        yield * events.splice(0)
      }
    } catch (error) {
      throw this.#trouble(error, signal)
    }
  }

  /** Breaks off what is still open. */
  async close (): Promise<void> {
    await this.#agent.destroy()
  }

  #trouble (error: unknown, signal: AbortSignal | undefined): unknown {
    return signal?.aborted === true ? error : troubleOf(error, this.url, this.#settings.timeoutMs)
  }
}
