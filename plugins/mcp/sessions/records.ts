import { randomBytes } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** The part of a session that all instances know. */
export interface Record {
  /** Whose it is: the digest of what the caller showed, and for whom it acts. */
  owner: string
  /** Streamable HTTP, or the transport of revision 2024-11-05. */
  transport: 'http' | 'sse'
  /** The parameters of `initialize`, as the client sent them, and the revision that was agreed on. */
  init?: { params: object, version: string }
  /** The least level of log messages that the client wants, once it has said so. */
  logLevel?: string
  /** The resources whose changes it wants to hear of. */
  subscriptions: string[]
}

const mostSubscriptions = 1_000

/** The sessions of the 2025 revisions: a record each, and nothing else that would have to be found again at another instance. */
export class Records {
  readonly #app: FastifyInstance
  /** When each was last given a new life, so that not every call does it. */
  readonly #renewed = new Map<string, number>()

  constructor (app: FastifyInstance) { this.#app = app }

  get lifeMs (): number { return this.#app.config.api.mcp_session_ms }

  /** Opens a session under an id that cannot be guessed (MCP 2025-11-25, Session Management). */
  async open (request: FastifyRequest, { transport, init }: Pick<Record, 'transport' | 'init'>): Promise<string> {
    const id = `mcs_${randomBytes(18).toString('base64url')}`
    await this.#write(id, { owner: ownerOf(request), transport, init, subscriptions: [] })
    return id
  }

  /** The session of that id and that caller; undefined for any other, and for one that has expired. */
  async find (id: string, request: FastifyRequest): Promise<Record | undefined> {
    const record = await this.#read(id)
    if (record === undefined || record.owner !== ownerOf(request)) return undefined
    await this.renew(id)
    return record
  }

  /** Keeps it for another life. */
  async renew (id: string): Promise<void> {
    const now = performance.now()
    if (now - (this.#renewed.get(id) ?? now - this.lifeMs) < this.lifeMs / 10) return
    // Not more than are used within that time.
    if (this.#renewed.size > 1_000) this.#renewed.clear()
    this.#renewed.set(id, now)
    const { cluster } = this.#app
    const text = await cluster.get(keyOf(id))
    if (text !== undefined) await cluster.set(keyOf(id), text, this.lifeMs, { value: text })
  }

  /** Changes what is kept of one, whoever else changes it at the same time. */
  async change (id: string, change: (record: Record) => void): Promise<void> {
    const { cluster } = this.#app
    for (;;) {
      const value = await cluster.get(keyOf(id))
      const record = this.#open(id, value)
      if (record === undefined) return
      change(record)
      if (await cluster.set(keyOf(id), this.#close(id, record), this.lifeMs, { value })) return
    }
  }

  async subscribe (id: string, uri: string): Promise<void> {
    await this.change(id, ({ subscriptions }) => {
      if (!subscriptions.includes(uri) && subscriptions.length < mostSubscriptions) subscriptions.push(uri)
    })
  }

  async unsubscribe (id: string, uri: string): Promise<void> {
    await this.change(id, (record) => { record.subscriptions = record.subscriptions.filter((other) => other !== uri) })
  }

  /** What it wants to hear of, as of now. */
  async subscriptions (id: string): Promise<string[]> {
    return (await this.#read(id))?.subscriptions ?? []
  }

  async delete (id: string): Promise<void> {
    this.#renewed.delete(id)
    await this.#app.cluster.delete(keyOf(id))
  }

  async #read (id: string): Promise<Record | undefined> {
    return this.#open(id, await this.#app.cluster.get(keyOf(id)))
  }

  async #write (id: string, record: Record): Promise<void> {
    await this.#app.cluster.keep(keyOf(id), this.#close(id, record), this.lifeMs)
  }

  #open (id: string, text: string | undefined): Record | undefined {
    const plain = text === undefined ? undefined : this.#app.seal.open(text, keyOf(id))
    return plain === undefined ? undefined : JSON.parse(plain) as Record
  }

  #close (id: string, record: Record): string {
    return this.#app.seal.close(JSON.stringify(record), keyOf(id))
  }
}

function keyOf (id: string): string {
  return `mcp:session:${id}`
}

/** A key may serve many users: what one of them opened is not another's. */
function ownerOf (request: FastifyRequest): string {
  return `${request.caller.digest} ${request.userId()}`
}
