import type { FastifyInstance } from 'fastify'
import { ApiError, bodyOf, failureOf } from '../../errors.ts'
import type { ChatEvent } from '../../schemas/chat.ts'

/** An event with its id, `<message>:<number>`, as it goes over the wire. */
export type NumberedEvent = ChatEvent & { id: string }

const mostEvents = 20_000
const runningMs = 600_000
/** How long the events are kept after the last one; then the short form of the answer, for a day. */
const afterMs = 60_000
export const answerMs = 86_400_000
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
  async keep (id: string, events: AsyncIterable<NumberedEvent>, { requestId, stop }: { requestId: string, stop: () => void }): Promise<void> {
    const all: NumberedEvent[] = []
    const put = async (event: NumberedEvent) => {
      all.push(event)
      await this.#push(id, event)
    }
    const heart = this.#watch(id, stop)
    try {
      for await (const event of events) await put(event)
    } catch (error) {
      const failure = failureOf(error)
      this.#app.log.warn({ requestId, cause: failure.cause, code: failure.code }, 'a chat with an idempotency key failed')
      await put({ event: 'error', id: `${id}:${all.length}`, data: bodyOf(failure, requestId) })
    } finally {
      clearInterval(heart)
    }
    const { cluster, seal } = this.#app
    await cluster.keep(`${key(id)}:answer`, seal.close(JSON.stringify(short(all)), key(id)), answerMs)
  }

  /** The events from a number on, those to come included; undefined when none are kept any more. */
  async read (id: string, from: number): Promise<AsyncIterable<NumberedEvent> | undefined> {
    const { next } = await this.#app.cluster.list(key(id))
    return next === 0 ? undefined : this.follow(id, from)
  }

  /** The short form of the answer: its start, its text in one piece, its end. */
  async answer (id: string): Promise<AsyncIterable<NumberedEvent> | undefined> {
    const { cluster, seal } = this.#app
    const sealed = await cluster.get(`${key(id)}:answer`)
    const text = sealed === undefined ? undefined : seal.open(sealed, key(id))
    return text === undefined ? undefined : given(JSON.parse(text) as NumberedEvent[])
  }

  /** Whoever stops reading is let go of at once, also in a silence: a generator by itself waits for its next event first, and would read on for ever. */
  follow (id: string, from: number): AsyncGenerator<NumberedEvent, void, undefined> {
    const reader = { left: false }
    const events = this.#follow(id, from, reader)
    const end = events.return.bind(events)
    events.return = async (value) => {
      reader.left = true
      return await end(value)
    }
    return events
  }

  async * #follow (id: string, from: number, reader: { left: boolean }): AsyncGenerator<NumberedEvent, void, undefined> {
    const { cluster, seal } = this.#app
    const reading = async () => { await cluster.set(`${key(id)}:read`, '1', aliveMs) }
    const sign = setInterval(() => { reading().catch(() => {}) }, aliveMs / 3)
    let next = from
    let quietSince = performance.now()
    try {
      await reading()
      while (!reader.left) {
        const woken = this.#woken(id)
        const { items, next: end } = await cluster.list(key(id), next)
        for (const item of items) {
          const event = JSON.parse(seal.open(item, key(id)) ?? 'null') as NumberedEvent | null
          if (event === null) throw new ApiError('internal_error', 'a kept event cannot be read')
          yield event
          if (last.has(event.event)) return
        }
        if (items.length > 0) quietSince = performance.now()
        next = Math.max(next, end)
        if (performance.now() - quietSince > aliveMs && await cluster.get(`${key(id)}:run`) === undefined) {
          throw new ApiError('core_unavailable', 'the instance that ran this chat is gone', { retryAfter: 1 })
        }
        await woken
      }
    } finally {
      clearInterval(sign)
      await cluster.delete(`${key(id)}:read`).catch(() => {})
    }
  }

  /** Says that the chat runs, and stops it when nobody reads. */
  #watch (id: string, stop: () => void): NodeJS.Timeout {
    const { cluster } = this.#app
    let readAt = performance.now()
    const beat = async () => {
      await cluster.set(`${key(id)}:run`, '1', aliveMs)
      if (await cluster.get(`${key(id)}:read`) !== undefined) readAt = performance.now()
      else if (performance.now() - readAt > lonelyMs) stop()
    }
    beat().catch(() => {})
    return setInterval(() => { beat().catch(() => {}) }, aliveMs / 6)
  }

  async #push (id: string, event: NumberedEvent): Promise<void> {
    const { cluster, seal } = this.#app
    await cluster.push(key(id), seal.close(JSON.stringify(event), key(id)), { most: mostEvents, ttlMs: last.has(event.event) ? afterMs : runningMs })
    const wakers = this.#wakers.get(id)
    this.#wakers.delete(id)
    for (const wake of wakers ?? []) wake()
  }

  /** Resolves at the next event of this instance, and soon in any case: it may come from another one. */
  async #woken (id: string): Promise<void> {
    await new Promise<void>((resolve) => {
      const wakers = this.#wakers.get(id) ?? new Set()
      const done = () => {
        clearTimeout(timer)
        wakers.delete(done)
        if (wakers.size === 0 && this.#wakers.get(id) === wakers) this.#wakers.delete(id)
        resolve()
      }
      const timer = setTimeout(done, pollMs)
      this.#wakers.set(id, wakers.add(done))
    })
  }
}

function key (id: string): string {
  return `chat:${id}`
}

/** The pieces of the text as one; all else as it was. */
function short (events: NumberedEvent[]): NumberedEvent[] {
  let text = ''
  for (const { event, data } of events) if (event === 'content') text = data.replace === true ? data.content : text + data.content
  const first = events.findIndex(({ event }) => event === 'content')
  return events.flatMap((event, index): NumberedEvent[] => event.event !== 'content' ? [event] : index === first ? [{ ...event, data: { content: text } }] : [])
}

async function * given<T> (items: T[]): AsyncGenerator<T, void, undefined> {
  yield * items
}
