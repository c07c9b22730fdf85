import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { Agent, fetch } from 'undici'
import type { CoreCall, EmbeddedCore, Fault } from '../../core/embedded/index.ts'
import { until } from './processes.ts'

interface Call { method?: string, headers?: Record<string, string>, body?: unknown, signal?: AbortSignal }

const envelope = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
const agents = '/api/v1/agents'
const chatting = '/api/v1/chat'
const streaming = '/api/v1/chat/stream'
const faults = [['silent', { silent: true }], ['slow', { delayMs: 700 }], ['failing', { status: 500 }], ['dropping', { drop: true }], ['mad', { garbage: 'html' }], ['cut', { cutAfter: 2 }]] as const
export const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

/** The calls of a long day, each kind under keys of its own. */
export class Traffic {
  /** Every key and token that was shown, by what was done with it. */
  readonly secrets = new Map<string, string>()
  /** How many answers had which status. */
  readonly statuses: Record<number, number> = {}
  /** Connections stay open, as those of clients do: what they hold must be no key either. */
  readonly agent = new Agent({ keepAliveTimeout: 600_000 })
  readonly #url: string
  readonly #core: EmbeddedCore
  /** Chats to which a silent Core gave no answer: they have a status when they have ended. */
  #lasting: CoreCall[] = []

  constructor (url: string, core: EmbeddedCore) {
    this.#url = url
    this.#core = core
  }

  /** A key that nobody has shown before; with a level the Core knows it. */
  key (name: string, scope?: 'user' | 'admin', more: { sub?: string, exp?: number, revoked?: boolean } = {}): string {
    const key = `sk_muxi_${scope ?? 'user'}_${randomBytes(18).toString('hex')}`
    this.secrets.set(name, key)
    if (scope !== undefined) this.#core.keys.set(key, { scope, ...more })
    return key
  }

  async call (path: string, { method, headers = {}, body, signal }: Call = {}): Promise<{ status: number, text: string }> {
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    const answer = await fetch(this.#url + path, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: { ...type, ...headers },
      signal,
      dispatcher: this.agent,
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
    })
    this.statuses[answer.status] = (this.statuses[answer.status] ?? 0) + 1
    return { status: answer.status, text: await answer.text() }
  }

  async run (): Promise<void> {
    await Promise.all([this.#good(), this.#bad(), this.#tools(), this.#derived(), this.#left()])
    await this.#revoked()
    await this.#broken()
    for (const [what, fault] of faults) await this.#under(what, fault)
  }

  /** A chat that can be resumed runs on for 10 s without its caller, and needs the key for as long. */
  async ended (): Promise<void> {
    await until(() => this.#lasting.every(({ status }) => status !== undefined))
  }

  async #good (): Promise<void> {
    for (let i = 0; i < 30; i++) {
      const user = this.key(`user ${i}`, 'user', i % 2 === 0 ? {} : { sub: `person-${i}` })
      const admin = this.key(`admin ${i}`, 'admin')
      await Promise.all([
        this.call(agents, { headers: bearer(admin) }), this.call(agents, { headers: { 'x-api-key': admin } }), this.call(agents, { headers: bearer(user) }),
        this.call(chatting, { headers: bearer(user), body: { content: 'Hi' } }), this.call(chatting, { headers: bearer(user), body: { content: 7 } }),
        this.call(streaming, { headers: bearer(user), body: { content: 'Hi' } }),
        this.call(streaming, { headers: { ...bearer(user), 'idempotency-key': `k${i}` }, body: { content: 'Hi' } }),
        this.call(agents, { headers: { ...bearer(admin), 'idempotency-key': `k${i}` }, body: { id: `made-${i}`, description: 'made', model: { provider: 'p', model: 'm' } } }),
        this.call('/api/v1/system/status', { headers: bearer(admin) }), this.call('/api/v1/nowhere', { headers: bearer(user) })
      ])
    }
  }

  async #bad (): Promise<void> {
    for (let i = 0; i < 10; i++) {
      const shown = [
        bearer(this.key(`unknown ${i}`)), { 'x-api-key': this.key(`unknown elsewhere ${i}`) }, { authorization: `Basic ${this.key(`basic ${i}`)}` },
        { authorization: `Basic ${Buffer.from(`me:${this.key(`basic in base64 ${i}`)}`).toString('base64')}` },
        bearer(`${this.key(`two words ${i}`)} more`), bearer('k'.repeat(600) + this.key(`too long ${i}`)), { authorization: this.key(`no scheme ${i}`) },
        bearer(this.key(`revoked ${i}`, 'user', { revoked: true })), bearer(this.key(`expired ${i}`, 'admin', { exp: 1 })),
        bearer(this.key(`expiring ${i}`, 'user', { exp: Math.floor(Date.now() / 1_000) + 1 })),
        bearer(`muxi_user_${this.key(`forged token ${i}`)}`)
      ]
      await Promise.all(shown.flatMap((headers) => [this.call(agents, { headers }), this.call(streaming, { headers, body: { content: 'Hi' } })]))
      await this.call(`${agents}?api_key=${this.key(`in the query ${i}`)}`)
      await this.call(`${streaming}?ticket=${this.key(`as a ticket ${i}`)}`, { body: { content: 'Hi' } })
    }
  }

  /** Both ways of MCP: the latest revision, answered directly, and one of 2025, by the SDK. */
  async #tools (): Promise<void> {
    const accept = { accept: 'application/json, text/event-stream' }
    const calls = [['tools/list', {}], ['tools/call', { name: 'agent_list', arguments: {} }], ['tools/call', { name: 'chat_send', arguments: { content: 'Hi' } }], ['tools/call', { name: 'nothing', arguments: {} }]] as const
    for (let i = 0; i < 8; i++) {
      const key = this.key(`tools ${i}`, i % 2 === 0 ? 'admin' : 'user')
      for (const [method, params] of calls) {
        const body = { jsonrpc: '2.0', id: 1, method, params: { _meta: envelope, ...params } }
        const names: Record<string, string> = 'name' in params ? { 'mcp-name': params.name } : {}
        await this.call('/mcp', { headers: { ...bearer(key), ...accept, 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...names }, body })
        await this.call('/mcp', { headers: { ...bearer(key), ...accept }, body: { jsonrpc: '2.0', id: 1, method, params } })
      }
      await this.call('/mcp', { headers: { ...bearer(key), ...accept }, body: { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'n', version: '1' } } } })
      await this.call('/mcp', { headers: { ...bearer(key), accept: 'text/event-stream' }, signal: AbortSignal.timeout(300) }).catch(() => {})
      await this.call('/mcp', { headers: { ...bearer(key), ...accept }, body: '{' })
    }
  }

  /** Tokens and tickets, which are secrets of their own. */
  async #derived (): Promise<void> {
    for (let i = 0; i < 8; i++) {
      const key = this.key(`parent ${i}`, 'user')
      const { token } = JSON.parse((await this.call('/api/v1/user-tokens', { headers: bearer(key), body: { user_id: `u${i}` } })).text) as { token: string }
      const { ticket } = JSON.parse((await this.call('/api/v1/stream-tickets', { headers: bearer(key), body: {} })).text) as { ticket: string }
      this.secrets.set(`token ${i}`, token).set(`ticket ${i}`, ticket)
      await this.call(chatting, { headers: bearer(token), body: { content: 'Hi' } })
      await this.call(agents, { headers: bearer(token) })
      for (let times = 0; times < 2; times++) await this.call(`${streaming}?ticket=${ticket}`, { body: { content: 'Hi' } })
    }
  }

  /** Callers that leave: in the midst of an answer, of a request, of a header. */
  async #left (): Promise<void> {
    for (let i = 0; i < 8; i++) {
      const body = { content: '[fake: tokens=40 delay_ms=50]' }
      for (const more of [{}, { 'idempotency-key': `left-${i}` }] as Record<string, string>[]) {
        await this.call(streaming, { headers: { ...bearer(this.key(`left ${i} ${Object.keys(more).length}`, 'user')), ...more }, body, signal: AbortSignal.timeout(200) }).catch(() => {})
      }
      const request = `POST ${chatting} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${this.key(`broken off ${i}`, 'user')}\r\nContent-Type: application/json\r\n`
      await this.#raw(`${request}Content-Length: 100\r\n\r\n{"content": `)
      await this.#raw(request)
      await this.#raw(`GET /health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${this.key(`refused by the parser ${i}`)}\r\nBad Header\r\n\r\n`)
    }
  }

  async #revoked (): Promise<void> {
    for (let i = 0; i < 6; i++) {
      const [key, admin] = [this.key(`taken back ${i}`, 'user'), this.key(`taking back ${i}`, 'admin')]
      const stream = this.call(streaming, { headers: bearer(key), body: { content: '[fake: tokens=100 delay_ms=50]' } })
      await this.call(chatting, { headers: bearer(key), body: { content: 'Hi' } })
      await this.call('/api/v1/auth/revocations', { headers: bearer(admin), body: i % 2 === 0 ? { key } : { key_sha256: createHash('sha256').update(key).digest('hex') } })
      await stream
      await this.call(chatting, { headers: bearer(key), body: { content: 'Hi' } })
    }
  }

  /** Keys in bodies that are refused: a parser likes to quote what it cannot read. */
  async #broken (): Promise<void> {
    const headers = bearer(this.key('breaking', 'admin'))
    for (const make of [(key: string) => `{"key":"${key}" oops`, (key: string) => `${key}`, (key: string) => `{"key":"${key}","more":1}`, (key: string) => `{"${key}":1}`, (key: string) => `{"key_sha256":"${key}"}`]) {
      await this.call('/api/v1/auth/revocations', { headers, body: make(this.key(`refused body ${String(make)}`)) })
    }
  }

  /** A Core that does wrong, to keys that it has seen and to new ones; then it heals. */
  async #under (what: string, fault: Fault): Promise<void> {
    const known = this.key(`known to a ${what} Core`, 'user')
    await this.call(chatting, { headers: bearer(known), body: { content: 'Hi' } })
    const before = this.#core.calls.length
    this.#core.fail(fault)
    await Promise.all([known, this.key(`new to a ${what} Core`, 'user'), this.key(`unknown to a ${what} Core`)].flatMap((key) => ['', 'with key'].map(async (idempotency) =>
      await this.call(streaming, { headers: { ...bearer(key), ...(idempotency !== '' && { 'idempotency-key': `${what}-${key.slice(-4)}` }) }, body: { content: 'Hi' }, signal: AbortSignal.timeout(1_500) }).catch(() => {}))))
    if ('silent' in fault) this.#lasting = this.#core.calls.slice(before).filter(({ path }) => path === '/v1/chat')
    this.#core.heal()
    await until(async () => (await this.call('/health/ready')).status === 200)
  }

  /** Bytes on a connection of their own, which ends a moment later. */
  async #raw (text: string): Promise<void> {
    const { hostname, port } = new URL(this.#url)
    const socket = connect(Number(port), hostname).on('error', () => {})
    await once(socket, 'connect')
    socket.write(text)
    await new Promise((resolve) => { setTimeout(resolve, 50) })
    socket.destroy()
  }
}
