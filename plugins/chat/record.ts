import type { FastifyInstance } from 'fastify'
import { ApiError, bodyOf, failureOf } from '../../errors.ts'
import type { ChatEvent } from '../../schemas/chat.ts'

/** An event with its id, as it goes over the wire. */
export type NumberedEvent = ChatEvent & { id: string }

const mostEvents = 20_000
const runningMs = 600_000
/** How long the events are kept after the last one. */
const afterMs = 60_000
/** How long a chat runs on without a reader. */
const lonelyMs = 10_000
const aliveMs = 6_000
const pollMs = 100
const last = new Set<string>(['message_end', 'error'])

/**
 * The events of chats that outlive their callers, kept in the cluster, so that a caller who comes back, to any instance,
 * misses none. While a chat runs, its instance says so every two seconds; so does an instance with a reader of it.
 */
export class ChatRecords {
  readonly #app: Pick<FastifyInstance, 'cluster' | 'seal' | 'log'>
  readonly #wakers = new Map<string, Set<() => void>>()

  constructor (app: Pick<FastifyInstance, 'cluster' | 'seal' | 'log'>) {
    this.#app = app
  }

  /** Keeps the events as they come, whoever reads; `stop` ends the chat when nobody has read for 10 s. */
  async keep (id: string, events: AsyncIterable<NumberedEvent>, { requestId, stop }: { requestId: string, stop: (reason: Error) => void }): Promise<void> {
    let lonelySince: number | undefined
    const heart = setInterval(() => { this.#beat(id).then((lonely) => {
      lonelySince = lonely ? lonelySince ?? performance.now() : undefined
      if (lonelySince !== undefined && performance.now() - lonelySince > lonelyMs) stop(new Error('nobody reads the answer'))
    }).catch(() => {}) }, aliveMs / 3)
    try {
      await this.#beat(id)
      for await (const event of events) await this.#push(id, event, runningMs)
      await this.#push(id, undefined, afterMs)
    } catch (error) {
      const failure = failureOf(error)
      this.#app.log.warn({ requestId, err: failure.cause ?? error, code: failure.code }, 'a chat that was kept failed')
      await this.#push(id, { event: 'error', id: `${id}:error`, data: bodyOf(failure, requestId) }, afterMs)
    } finally {
      clearInterval(heart)
    }
  }

  /** The events from a number on, those to come included; undefined when none are kept. */
  async read (id: string, from: number): Promise<AsyncIterable<NumberedEvent> | undefined> {
    const { next } = await this.#app.cluster.list(key(id))
    return next === 0 ? undefined : this.#follow(id, from)
  }

  /** Waits for the first event: until then the chat may still be refused as an ordinary failure. */
  async follow (id: string): Promise<AsyncIterable<NumberedEvent>> {
    return this.#follow(id, 0)
  }

  async * #follow (id: string, from: number): AsyncGenerator<NumberedEvent, void, undefined> {
    const { cluster, seal } = this.#app
    const reading = setInterval(() => { cluster.set(`${key(id)}:read`, '1', aliveMs).catch(() => {}) }, aliveMs / 3)
    await cluster.set(`${key(id)}:read`, '1', aliveMs)
    let next = from
    let quietSince = performance.now()
    try {
      for (;;) {
        const woken = this.#woken(id)
        const { items, next: end } = await cluster.list(key(id), next)
        for (const item of items) {
          const text = seal.open(item, key(id))
          if (text === undefined) throw new ApiError('internal_error', 'a kept event cannot be read')
          if (text === '') return
          const event = JSON.parse(text) as NumberedEvent
          yield event
          if (last.has(event.event)) return
        }
        if (items.length > 0) quietSince = performance.now()
        next = end
        if (performance.now() - quietSince > aliveMs && await cluster.get(`${key(id)}:run`) === undefined) {
          throw new ApiError('core_unavailable', 'the instance that ran this chat is gone', { retryAfter: 1 })
        }
        await woken
      }
    } finally {
      clearInterval(reading)
    }
  }

  /** Says that the chat runs; answers whether nobody reads it. */
  async #beat (id: string): Promise<boolean> {
    const { cluster } = this.#app
    await cluster.set(`${key(id)}:run`, '1', aliveMs)
    return await cluster.get(`${key(id)}:read`) === undefined
  }

  /** An empty text ends the list. */
  async #push (id: string, event: NumberedEvent | undefined, ttlMs: number): Promise<void> {
    const { cluster, seal } = this.#app
    await cluster.push(key(id), seal.close(event === undefined ? '' : JSON.stringify(event), key(id)), { most: mostEvents, ttlMs })
    const wakers = this.#wakers.get(id)
    this.#wakers.delete(id)
    for (const wake of wakers ?? []) wake()
  }

  /** Resolves at the next event of this instance, and soon in any case: it may come from another one. */
  async #woken (id: string): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, pollMs)
      const wakers = this.#wakers.get(id) ?? new Set()
      this.#wakers.set(id, wakers.add(done))
      function done (): void {
        clearTimeout(timer)
        wakers.delete(done)
        resolve()
      }
    })
  }
}

function key (id: string): string {
  return `chat:${id}`
}
