import { headersOf, isRecord, lineOf, membersOf, type Message } from './message.ts'
import type { Patience } from './patience.ts'
import type { Remote, Reply } from './remote.ts'
import { Trouble } from './trouble.ts'

/** What was agreed on with `initialize` (revisions of 2025), and what it takes to agree on it again. */
export class Session {
  id: string | undefined
  revision: string | undefined
  readonly #remote: Remote
  readonly #patience: Patience
  readonly #signal: AbortSignal
  #begin: Message | undefined
  #restoring: Promise<void> | undefined
  #count = 0
  /** What the host has asked for since, that a new session must know: by method and what it is about. */
  readonly #wishes = new Map<string, string>()

  constructor (remote: Remote, patience: Patience, signal: AbortSignal) {
    this.#remote = remote
    this.#patience = patience
    this.#signal = signal
  }

  /** The headers of a message of the older revisions. */
  headers (message?: Message): Record<string, string> {
    if (message?.method === 'initialize') return {}
    return { ...(message === undefined ? this.revision !== undefined && { 'mcp-protocol-version': this.revision } : headersOf(message, this.revision)), ...(this.id !== undefined && { 'mcp-session-id': this.id }) }
  }

  /** Takes over what the server has answered to `initialize`. */
  begun (message: Message, { headers }: Reply, answer: string): void {
    const { result } = membersOf(answer) ?? {}
    if (!isRecord(result)) return
    this.#begin = message
    this.revision = typeof result.protocolVersion === 'string' ? result.protocolVersion : undefined
    const id = headers['mcp-session-id']
    this.id = typeof id === 'string' ? id : undefined
    this.#wishes.clear()
  }

  /** Remembers what a message of the host makes of the session, once the server has taken it. */
  keep ({ method, params, text }: Message): void {
    if (method === 'notifications/initialized' || method === 'logging/setLevel') this.#wishes.set(method, text)
    else if (method === 'resources/subscribe') this.#wishes.set(`subscribe ${String(params.uri)}`, text)
    else if (method === 'resources/unsubscribe') this.#wishes.delete(`subscribe ${String(params.uri)}`)
  }

  /** Makes a new session in place of that one, once for all who miss it. The host does not notice. */
  async restore (lost: string | undefined): Promise<void> {
    if (this.id !== lost) return
    this.#restoring ??= this.#patience.persist(async () => { await this.#again() }, { isRepeatable: true, signal: this.#signal }).finally(() => { this.#restoring = undefined })
    await this.#restoring
  }

  /** Tells the server that nobody needs the session. */
  async end (signal: AbortSignal): Promise<void> {
    if (this.id === undefined) return
    const { body } = await this.#remote.send('DELETE', this.headers(), { signal })
    await body.dump()
  }

  async #again (): Promise<void> {
    const begin = this.#begin!
    const id = this.#ownId()
    const reply = await this.#remote.send('POST', {}, { body: lineOf({ id, method: 'initialize', params: begin.params }), signal: this.#signal })
    const answer = await this.#answerTo(id, reply)
    const wishes = [...this.#wishes]
    this.begun(begin, reply, answer)
    if (this.revision === undefined) throw new Trouble(`${this.#remote.url} does not begin a new session: restart the host`)
    for (const [name, text] of wishes) {
      this.#wishes.set(name, text)
      const wish = JSON.parse(text) as { id?: unknown }
      const { body } = await this.#remote.send('POST', this.headers(), { body: wish.id === undefined ? text : lineOf({ ...wish, id: this.#ownId() }), signal: this.#signal })
      await body.dump()
    }
  }

  async #answerTo (id: string, reply: Reply): Promise<string> {
    if (reply.type === 'application/json') return await this.#remote.textOf(reply.body, this.#signal)
    for await (const event of this.#remote.eventsOf(reply.body, this.#signal)) {
      if ('data' in event && membersOf(event.data)?.id === id) return event.data
    }
    throw new Trouble(`${this.#remote.url} did not answer initialize`, { isPassing: true })
  }

  // The host's own ids are numbers, or of its own making.
  #ownId (): string { return `muxi-api-mcp-${++this.#count}` }
}
