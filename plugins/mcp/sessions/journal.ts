import { randomBytes } from 'node:crypto'
import type { JSONRPCMessage, RequestId } from '@modelcontextprotocol/server'
import type { FastifyInstance } from 'fastify'

/** A stream of a session: that of one POST, the standing one of GET, or the only one of the old transport. */
export type Stream = string
export const standing = 'get'
export const only = 'sse'

/** One line of a session's journal. */
export type Entry =
  /** Requests are being worked on, at that instance; their answers go to that stream. */
  { to: Stream, open: { owner: string, ids: RequestId[] } } |
  { to: Stream, message: JSONRPCMessage } |
  /** Nothing more will come for these requests. */
  { to: Stream, left: RequestId[] } |
  /** Another listener has come for that stream. */
  { to: Stream, taken: string } |
  /** From the client, for whoever works for it: an answer, or that a request is cancelled. */
  { from: JSONRPCMessage } |
  /** The session has ended. */
  { over: true }

export interface Numbered { seq: number, entry: Entry }

const page = 500
const most = 2_000

/**
 * All that is said in a session, in one order, at whatever instance: what a stream has sent is read again from here by a client that lost it (MCP 2025-11-25, Resumability),
 * and what one instance learns of the client reaches the one that works for it.
 */
export class Journal {
  readonly id: string
  readonly #app: FastifyInstance
  readonly #topic: string

  constructor (app: FastifyInstance, id: string) {
    this.#app = app
    this.id = id
    this.#topic = `mcp:${id}`
  }

  /** Answers the number of the last one. With `once` the entries are left out where others had that name before. */
  async append (entries: Entry[], once?: string): Promise<number> {
    const { cluster, seal, config: { api: { mcp_session_ms: lifeMs } } } = this.#app
    const items = entries.map((entry, i) => ({ nonce: '-', text: seal.close(JSON.stringify(entry), this.#topic), ...(once !== undefined && { once: `${once}.${i}` }) }))
    return (await cluster.append(this.#topic, { id: randomBytes(9).toString('base64url'), items }, { most, ttlMs: lifeMs, lifeMs: lifeMs + Math.min(lifeMs, 60_000) })).seq
  }

  /** What is kept from a number on, at most a page of it, and the number of the oldest entry that is kept. */
  async look (from: number): Promise<{ first: number, entries: Numbered[] }> {
    const { cluster, seal } = this.#app
    const { first, entries } = await cluster.look(this.#topic, { from, most: page })
    return {
      first,
      entries: entries.flatMap(({ seq, item }) => {
        const text = seal.open(item.text, this.#topic)
        return text === undefined ? [] : [{ seq, entry: JSON.parse(text) as Entry }]
      })
    }
  }

  /** The entries from a number on, as they come; `undefined` after so many ms in which none came. Ends with the signal. */
  async * follow (from: number, signal: AbortSignal, idleMs: number): AsyncGenerator<Numbered | undefined> {
    let wake = () => {}
    let isNews = false
    let hasRead = false
    const letGo = this.#app.cluster.onAppend(this.#topic, () => {
      isNews = true
      wake()
    })
    const onAbort = () => { wake() }
    signal.addEventListener('abort', onAbort)
    try {
      while (!signal.aborted) {
        isNews = false
        const { first, entries } = await this.look(from)
        if (hasRead && first > from) throw new Error('the client has fallen behind what is kept of its session')
        for (const numbered of entries) {
          yield numbered
          from = numbered.seq + 1
          hasRead = true
        }
        if (entries.length > 0 || isNews || signal.aborted) continue
        const isQuiet = await new Promise<boolean>((resolve) => {
          const timer = setTimeout(resolve, idleMs, true)
          wake = () => {
            clearTimeout(timer)
            resolve(false)
          }
        })
        if (isQuiet) yield undefined
      }
    } finally {
      letGo()
      signal.removeEventListener('abort', onAbort)
    }
  }
}
