import { isJSONRPCErrorResponse, isJSONRPCRequest, isJSONRPCResultResponse, type AuthInfo, type JSONRPCMessage, type JSONRPCRequest, type RequestId, type Server, type Transport, type TransportSendOptions } from '@modelcontextprotocol/server'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { only, standing, type Entry, type Journal, type Stream } from './journal.ts'
import type { Record } from './records.ts'

type Answer = Exclude<JSONRPCMessage, JSONRPCRequest>
interface Parts { app: FastifyInstance, journal: Journal, stream: Stream, requests: JSONRPCRequest[], request: FastifyRequest }

/** How the answers come: all at once, or over a stream from that entry of the journal on. */
export type Outcome = { answers: Answer[] } | { after: number }

/** A call that is not answered by then is answered over a stream, which may be lost and found again. Until then a client that loses its network loses the call, too. */
const promptMs = 100
/** Whoever follows a stream says so this often; where nobody has for twice as long, its work is broken off. */
export const presentMs = 15_000

/** The key under which a follower of a stream says that it is there. */
export const presenceOf = (id: string, stream: Stream): string => `mcp:present:${id}:${stream}`

/** The work for the requests of one message of a session: the transport between the SDK's server and the session's journal. */
export class Exchange implements Transport {
  onmessage: Transport['onmessage']
  onclose: (() => void) | undefined
  onerror: ((error: Error) => void) | undefined
  readonly sessionId: string
  readonly #parts: Parts
  readonly #pending: Map<string, RequestId>
  readonly #answers: Answer[] = []
  readonly #handshake = deferred<undefined>()
  readonly #outcome = deferred<Outcome>()
  readonly #over = new AbortController()
  #server: Server | undefined
  #isStreaming = false
  #queue: Entry[] = []
  #writing: Promise<void> | undefined
  #timers: NodeJS.Timeout[] = []

  constructor (parts: Parts) {
    this.#parts = parts
    this.sessionId = parts.journal.id
    this.#pending = new Map(parts.requests.map(({ id }) => [JSON.stringify(id), id]))
  }

  async start (): Promise<void> {}

  /** Has the server do the work, as in the session of that record; `isStreamed`: whoever listens does so already. */
  async run (server: Server, { init, logLevel }: Record, authInfo: AuthInfo, isStreamed = false): Promise<Outcome> {
    this.#server = server
    await server.connect(this)
    const { requests, request } = this.#parts
    // A server of its own per exchange does not know what was agreed on at another, maybe at another instance.
    if (init !== undefined) {
      this.onmessage!({ jsonrpc: '2.0', id: handshakeId, method: 'initialize', params: init.params } as JSONRPCRequest)
      await this.#handshake.promise
      if (logLevel !== undefined && server.getCapabilities().logging !== undefined) this.onmessage!({ jsonrpc: '2.0', id: levelId, method: 'logging/setLevel', params: { level: logLevel } } as JSONRPCRequest)
    }
    const letGo = request.whileAllowed(() => { this.cancel('the key is valid no more') })
    this.#over.signal.addEventListener('abort', letGo)
    if (isStreamed) this.#stream()
    else this.#timers.push(setTimeout(() => { this.#stream() }, promptMs))
    for (const message of requests) this.onmessage!(message, { authInfo })
    return await this.#outcome.promise
  }

  async send (message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (isAnswer(message)) this.#answer(message)
    else if (isJSONRPCRequest(message)) this.#push({ to: this.#parts.stream, message: { ...message, id: this.#outward(message.id) } })
    else if (options?.relatedRequestId === undefined) this.#push({ to: this.#parts.stream === only ? only : standing, message })
    else if (this.#pending.size > 0) this.#push({ to: this.#parts.stream, message })
  }

  async close (): Promise<void> { this.onclose?.() }

  /** Breaks the work off, and answers what is still asked. */
  cancel (why: string): void {
    for (const id of this.#pending.values()) this.#answer({ jsonrpc: '2.0', id, error: { code: -32_000, message: `cancelled: ${why}` } })
  }

  #answer (message: Answer & { id?: RequestId }): void {
    if (message.id === handshakeId) this.#handshake.resolve(undefined)
    if (message.id === undefined || !this.#pending.delete(JSON.stringify(message.id))) return
    if (this.#isStreaming) this.#push({ to: this.#parts.stream, message })
    else this.#answers.push(message)
    if (this.#pending.size === 0) this.#end()
  }

  #push (entry: Entry): void {
    if (this.#over.signal.aborted) return
    this.#queue.push(entry)
    if (!this.#isStreaming) this.#stream()
    else this.#flush()
  }

  /** From here on everything goes through the journal, and the client may be gone for a while. */
  async #stream (): Promise<void> {
    if (this.#isStreaming || this.#over.signal.aborted) return
    this.#isStreaming = true
    const { app, journal, stream, request } = this.#parts
    request.detached = true
    this.#queue.unshift(...this.#answers.splice(0).map((message): Entry => ({ to: stream, message })))
    const opened = journal.append([{ to: stream, open: { owner: app.cluster.id, ids: this.#parts.requests.map(({ id }) => id) } }])
    // Nothing is written before it.
    this.#writing = opened.then(() => {}, () => {})
    try {
      const after = await opened
      this.#outcome.resolve({ after })
      if (this.#pending.size > 0) this.#listen(after)
    } catch (error) {
      this.#outcome.reject(error as Error)
      this.#end()
    }
    this.#writing = undefined
    this.#flush()
  }

  /** One append at a time; what comes meanwhile goes together. */
  #flush (): void {
    if (this.#writing !== undefined || this.#queue.length === 0) return
    this.#writing = this.#parts.journal.append(this.#queue.splice(0))
      .then(() => {}, (error: unknown) => { this.#parts.app.log.warn({ err: error }, 'what an MCP call answered could not be kept for its client') })
      .finally(() => {
        this.#writing = undefined
        this.#flush()
      })
  }

  /** Hears what the client says meanwhile, and whether anybody still listens. */
  async #listen (after: number): Promise<void> {
    const { app, journal, stream } = this.#parts
    let absentMs = 0
    const look = async () => {
      absentMs = await app.cluster.get(presenceOf(journal.id, stream)) === undefined ? absentMs + presentMs : 0
      if (absentMs > 2 * presentMs) this.cancel('nobody listened')
    }
    this.#timers.push(setInterval(() => { look().catch(() => {}) }, presentMs))
    try {
      // What was cancelled just before is there, too.
      for await (const numbered of journal.follow(Math.max(1, after - 100), this.#over.signal, presentMs)) {
        if (numbered === undefined) continue
        if ('over' in numbered.entry) this.cancel('the session has ended')
        else if ('from' in numbered.entry) this.#hear(numbered.entry.from)
      }
    } catch (error) {
      app.log.warn({ err: error }, 'an MCP call cannot hear its client')
    }
  }

  #hear (message: JSONRPCMessage): void {
    if (isAnswer(message)) {
      const id = this.#inward(message.id)
      if (id !== undefined) this.onmessage?.({ ...message, id })
      return
    }
    if (!('method' in message) || message.method !== 'notifications/cancelled') return
    const { requestId } = message.params as { requestId?: RequestId }
    const key = JSON.stringify(requestId)
    const id = this.#pending.get(key)
    if (id === undefined) return
    this.onmessage?.(message)
    this.#pending.delete(key)
    this.#push({ to: this.#parts.stream, left: [id] })
    if (this.#pending.size === 0) this.#end()
  }

  /** Requests of several servers reach one client: each names its own. */
  #outward (id: RequestId): RequestId { return `${this.#parts.stream}/${JSON.stringify(id)}` }

  #inward (id: RequestId | undefined): RequestId | undefined {
    const [stream, own] = [this.#parts.stream, String(id)]
    return own.startsWith(`${stream}/`) ? JSON.parse(own.slice(stream.length + 1)) as RequestId : undefined
  }

  #end (): void {
    if (this.#over.signal.aborted) return
    if (!this.#isStreaming) this.#outcome.resolve({ answers: this.#answers })
    else this.#flush()
    for (const timer of this.#timers) clearTimeout(timer)
    this.#over.abort()
    // What still runs for nobody ends here; what has answered does not mind.
    if (this.#parts.request.detached) this.#parts.request.departure.leave()
    this.#server?.close()
  }
}

function deferred<T> () {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const promise = new Promise<T>((...settle) => { [resolve, reject] = settle })
  return { promise, resolve, reject }
}

// No client's request has such an id: theirs are compared as JSON.
const handshakeId = '\u0000initialize'
const levelId = '\u0000level'

function isAnswer (message: JSONRPCMessage): message is Answer & { id?: RequestId } {
  return isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)
}
