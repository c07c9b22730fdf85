import { setTimeout as sleep } from 'node:timers/promises'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { Random } from '../oracle/random.ts'
import { authorization } from '../oracle/instances.ts'
import type { Network } from './network.ts'

export type Kind = 'quick' | 'slow' | 'failing' | 'cancelled'
interface Message { id?: unknown, result?: { isError?: boolean, content?: { text: string }[], structuredContent?: Record<string, unknown> }, error?: { code: number } }
/** What became of a call, as its device knows it. `lost`: the network was gone before the call could be told apart from one that never came. */
export interface Call { id: string, kind: Kind, outcomes: ('answered' | 'refused' | 'cancelled' | 'lost')[], answer?: Message, endedAt?: number }

const patienceMs = 30_000
const latest = '2026-07-28'
const envelope = { 'io.modelcontextprotocol/protocolVersion': latest, 'io.modelcontextprotocol/clientCapabilities': {}, 'io.modelcontextprotocol/clientInfo': { name: 'device', version: '1' } }
const client = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'device', version: '1' } }

/** A small client of either era that speaks HTTP by itself, and does what a careful one would when the network is gone. */
export class Device {
  readonly name: string
  readonly calls: Call[] = []
  readonly isLatest: boolean
  readonly #network: Network
  readonly #random: Random
  #session: string | undefined

  constructor (name: string, network: Network, random: Random, isLatest: boolean) {
    this.name = name
    this.#network = network
    this.#random = random
    this.isLatest = isLatest
  }

  /** Calls one of each kind, in an order of its own, again and again. */
  async run (signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const kind of this.#random.shuffled(['quick', 'slow', 'failing', 'cancelled'] as const)) {
        if (signal.aborted) return
        await this.#call(kind)
        await sleep(this.#random.between(50, 500))
      }
    }
  }

  async #call (kind: Kind): Promise<void> {
    const call: Call = { id: `${this.name}-${this.calls.length}`, kind, outcomes: [] }
    if (!this.isLatest && !await this.#isOpen()) return
    this.calls.push(call)
    const leave = new AbortController()
    const cancelling = kind === 'cancelled' ? sleep(this.#random.between(200, 2_000)).then(async () => { await this.#cancel(call, leave) }) : undefined
    const message = await this.#send(call, leave.signal).catch(() => undefined)
    call.endedAt = performance.now()
    if (message === 'gone') this.#session = undefined
    if (message === undefined || message === 'gone') {
      if (!call.outcomes.includes('cancelled')) call.outcomes.push(message === 'gone' ? 'refused' : this.isLatest ? 'cancelled' : 'lost')
    } else if (!call.outcomes.includes('cancelled')) {
      call.answer = message
      call.outcomes.push(message.error !== undefined ? 'refused' : 'answered')
    }
    await cancelling
  }

  /** In 2026-07-28 to leave is to cancel; in a session the client says so. */
  async #cancel (call: Call, leave: AbortController): Promise<void> {
    if (call.outcomes.length > 0) return
    call.outcomes.push('cancelled')
    // Where the network is gone it says so when it is back.
    for (let isTold = this.isLatest; !isTold;) {
      isTold = await this.#post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: call.id } }).then(() => true, () => false)
      await sleep(300)
    }
    leave.abort()
  }

  /** The answer; 'gone' where the session is unknown by now. */
  async #send ({ id, kind }: Call, signal: AbortSignal): Promise<Message | 'gone' | undefined> {
    const [name, args] = callOf(kind, id)
    const params = { name, arguments: args, ...(this.isLatest && { _meta: envelope }) }
    const response = await this.#post({ jsonrpc: '2.0', id, method: 'tools/call', params }, signal, this.isLatest ? { 'mcp-method': 'tools/call', 'mcp-name': name } : {})
    if (response.status === 404) return 'gone'
    if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true) return await response.json() as Message
    const heard: { lastId?: string } = {}
    let message = await this.#read(response, heard).catch(() => undefined)
    // A stream that had an id can be found again.
    for (const end = performance.now() + patienceMs; !this.isLatest && message === undefined && heard.lastId !== undefined && !signal.aborted && performance.now() < end;) {
      await sleep(this.#random.between(100, 1_000))
      const again = await fetch(`${this.#network.url}/mcp`, { headers: { ...this.#headers(), 'last-event-id': heard.lastId }, signal }).catch(() => undefined)
      if (again?.status === 404) return 'gone'
      if (again?.status === 200) message = await this.#read(again, heard).catch(() => undefined)
    }
    return message
  }

  async #read ({ body }: Response, heard: { lastId?: string }): Promise<Message | undefined> {
    for await (const { id, data } of body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) {
      if (id !== undefined) heard.lastId = id
      const message = data === '' ? undefined : JSON.parse(data) as Message
      if (message?.result !== undefined || message?.error !== undefined) return message
    }
    return undefined
  }

  async #isOpen (): Promise<boolean> {
    if (this.#session !== undefined) return true
    const response = await this.#post({ jsonrpc: '2.0', id: 'initialize', method: 'initialize', params: client }).catch(() => undefined)
    this.#session = response?.headers.get('mcp-session-id') ?? undefined
    if (this.#session === undefined) await sleep(200)
    return this.#session !== undefined
  }

  async #post (message: object, signal?: AbortSignal, more: Record<string, string> = {}): Promise<Response> {
    return await fetch(`${this.#network.url}/mcp`, { method: 'POST', headers: { ...this.#headers(), 'content-type': 'application/json', ...more }, body: JSON.stringify(message), ...(signal !== undefined && { signal }) })
  }

  #headers (): Record<string, string> {
    return { ...authorization, accept: 'application/json, text/event-stream', 'mcp-protocol-version': this.isLatest ? latest : client.protocolVersion, ...(this.#session !== undefined && { 'mcp-session-id': this.#session }) }
  }
}

/** A chat is for a user of its own, so that the Core knows of which call it is. */
function callOf (kind: Kind, id: string): [string, object] {
  if (kind === 'quick') return ['agent_get', { agent_id: 'greeter' }]
  if (kind === 'failing') return ['agent_get', { agent_id: 'nobody' }]
  return ['chat_send', { content: `[fake: hang_ms=${kind === 'slow' ? 2_500 : 20_000}] I am ${id}`, user_id: id }]
}
