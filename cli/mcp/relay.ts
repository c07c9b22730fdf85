import { exchange, type Parts, type Request } from './exchange.ts'
import { headersOf, isRequest, lineOf, messagesIn, type Message } from './message.ts'
import { Patience } from './patience.ts'
import type { Remote } from './remote.ts'
import { Session } from './session.ts'
import { stand } from './standing.ts'
import { errorOf, Trouble } from './trouble.ts'

interface Settings { remote: Remote, write: (text: string) => Promise<void>, say: (text: string) => void, retries: number, random?: () => number }
/** A request that the host waits for. */
interface Call { message: Request, over: AbortController, isStarted: boolean }

/** Requests under way at once. Cancellations and answers of the host are not held up by them. */
const mostRunning = 64
/** Messages that have been read and wait; then no more are read. */
const mostWaiting = 256
const endMs = 1_000
const listen = 'subscriptions/listen'
const cancelled = 'notifications/cancelled'

/** Carries the messages of one host to a server and back: each request is answered once, or cancelled. */
export class Relay {
  readonly #parts: Parts
  readonly #say: Settings['say']
  readonly #stopped = new AbortController()
  readonly #calls = new Map<string, Call>()
  #waiting: Call[] = []
  #running = 0
  #asides = 0
  /** What must be through before anything else of the session is sent. */
  #gate: Promise<unknown> = Promise.resolve()
  #standing: AbortController | undefined
  #wakes: (() => void)[] = []

  constructor ({ remote, write, say, retries, random }: Settings) {
    const patience = new Patience(retries, say, random)
    this.#say = say
    this.#parts = { remote, patience, write, session: new Session(remote, patience, this.#stopped.signal), repeatable: new Set() }
  }

  /** Takes a line of the host; resolves when there is room for the next. */
  async take (line: string | undefined): Promise<void> {
    const messages = line === undefined ? { code: -32_600, message: 'this line is too long' } : messagesIn(line)
    if (!Array.isArray(messages)) {
      await this.#parts.write(lineOf({ id: null, error: messages }))
      return
    }
    for (const message of messages) {
      if (isRequest(message)) await this.#ask(message)
      else if (message.method === cancelled) this.#cancel(message)
      else this.#tell(message)
    }
    while (this.#waiting.length + this.#asides >= mostWaiting && !this.#stopped.signal.aborted) await this.#wake()
  }

  /** The host says no more: what it has asked is still answered. */
  async finish (): Promise<void> {
    for (const [key, { message, over }] of this.#calls) {
      // Nothing ends these but their host.
      if (message.method !== listen) continue
      this.#calls.delete(key)
      over.abort()
    }
    while ((this.#calls.size > 0 || this.#asides > 0) && !this.#stopped.signal.aborted) await this.#wake()
    await this.stop()
  }

  /** Breaks off what is under way, and says so to the host. */
  async stop (): Promise<void> {
    if (this.#stopped.signal.aborted) return
    const open = [...this.#calls.values()]
    this.#calls.clear()
    for (const { message, over } of open) {
      over.abort()
      await this.#parts.write(lineOf({ id: message.id, error: { code: -32_000, message: 'cancelled: the bridge was stopped' } }))
    }
    this.#standing?.abort()
    this.#stopped.abort()
    this.#woken()
    await this.#parts.session.end(AbortSignal.timeout(endMs)).catch(() => {})
    await this.#parts.remote.close()
  }

  async #ask (message: Request): Promise<void> {
    const key = JSON.stringify(message.id)
    if (this.#calls.has(key)) {
      this.#say(`${message.method}: its id is that of a request that is not answered yet`)
      await this.#parts.write(lineOf({ id: message.id, error: { code: -32_600, message: 'a request with this id is not answered yet' } }))
      return
    }
    const call: Call = { message, over: new AbortController(), isStarted: false }
    this.#calls.set(key, call)
    this.#waiting.push(call)
    this.#fill()
  }

  #fill (): void {
    while (this.#running < mostRunning) {
      const call = this.#waiting.shift()
      if (call === undefined) return
      const isFirst = call.message.method === 'initialize' && call.message.revision === undefined
      const done = this.#run(call, this.#gate)
      if (isFirst) this.#gate = done
    }
  }

  /** Never rejects. */
  async #run (call: Call, gate: Promise<unknown>): Promise<void> {
    const { message, over } = call
    // One that stays open for hours holds nobody up.
    const weight = message.method === listen ? 0 : 1
    this.#running += weight
    if (message.revision === undefined) await gate
    if (!over.signal.aborted) {
      call.isStarted = true
      const answer = await exchange(message, this.#parts, over.signal).catch((error: unknown) => this.#failure(message, error, over.signal))
      if (this.#calls.get(JSON.stringify(message.id)) === call) {
        this.#calls.delete(JSON.stringify(message.id))
        await this.#parts.write(answer)
      }
    }
    this.#running -= weight
    this.#fill()
    this.#woken()
  }

  /** What a request without an answer is answered. */
  #failure ({ id, method, revision }: Request, error: unknown, { aborted }: AbortSignal): string {
    if (aborted) return ''
    this.#say(`${method}: ${(error as Error).message}`)
    // A server of the older revisions takes a lost connection for no cancellation.
    if (error instanceof Trouble && error.isSilent && revision === undefined) {
      const params = { requestId: id, reason: 'it took too long' }
      this.#tell({ text: lineOf({ method: cancelled, params }), id: undefined, method: cancelled, params, revision })
    }
    return lineOf({ id, error: errorOf(error) })
  }

  /** The host has no use for the answer: nobody gets one. */
  #cancel (message: Message): void {
    const key = JSON.stringify(message.params.requestId)
    const call = this.#calls.get(key)
    if (call === undefined) return
    this.#calls.delete(key)
    this.#waiting = this.#waiting.filter((one) => one !== call)
    call.over.abort()
    // From 2026-07-28 on the closed stream says it.
    if (call.isStarted && call.message.revision === undefined) this.#tell(message)
    this.#woken()
  }

  /** Sends what is not answered: a notification, or the host's answer to the server. */
  #tell (message: Message): void {
    const { session } = this.#parts
    const sent = this.#send(message, this.#gate)
    if (message.method !== 'notifications/initialized') return
    this.#gate = sent.then(() => {
      this.#standing?.abort()
      this.#standing = new AbortController()
      if (session.id !== undefined) stand(this.#parts, this.#say, this.#standing.signal).catch((error: unknown) => { this.#say((error as Error).message) })
    })
  }

  async #send (message: Message, gate: Promise<unknown>): Promise<boolean> {
    const { remote, session, patience } = this.#parts
    const { signal } = this.#stopped
    this.#asides++
    try {
      if (message.revision === undefined) await gate
      await patience.persist(async () => {
        const reply = await remote.send('POST', message.revision === undefined ? session.headers(message) : headersOf(message, undefined), { body: message.text, signal })
        await reply.body.dump()
      }, { isRepeatable: message.method !== undefined, signal })
      session.keep(message)
      return true
    } catch (error) {
      if (!signal.aborted) this.#say(`${message.method ?? 'an answer of the host'}: ${(error as Error).message}`)
      return false
    } finally {
      this.#asides--
      this.#woken()
    }
  }

  async #wake (): Promise<void> {
    await new Promise<void>((resolve) => { this.#wakes.push(resolve) })
  }

  #woken (): void {
    for (const wake of this.#wakes.splice(0)) wake()
  }
}
