import { chunkOf, type Chunk, type Client } from './client.ts'
import type { Feed } from './feed.ts'
import type { Filter } from './filter.ts'

interface Group { filter: Filter, clients: Set<Client> }

/** Events of this long go out in one write; a first one goes at once. */
const windowMs = 50

/** Hands what a feed reads to its clients: those with equal filters and in the same place get the same bytes, made once. */
export class Hub {
  readonly #feed: () => Feed
  readonly #groups = new Map<string, Group>()
  #flushedTo = 0
  #flushedAt = -Infinity
  #due: NodeJS.Timeout | NodeJS.Immediate | undefined

  constructor (feed: () => Feed) {
    this.#feed = feed
  }

  /** Answers the function that lets go. */
  add (client: Client): () => void {
    const { filter } = client
    const group = this.#groups.get(filter.key) ?? { filter, clients: new Set() }
    this.#groups.set(filter.key, group)
    group.clients.add(client)
    return () => {
      group.clients.delete(client)
      if (group.clients.size === 0 && this.#groups.get(filter.key) === group) this.#groups.delete(filter.key)
    }
  }

  /** There is more in the ring. */
  announce (): void {
    const { ring } = this.#feed()
    // Nobody may be overtaken by what is to come.
    if (ring.next - this.#flushedTo > ring.capacity / 4) {
      this.#flush()
      return
    }
    if (this.#due !== undefined) return
    const left = this.#flushedAt + windowMs - performance.now()
    this.#due = left <= 0 ? setImmediate(() => { this.#flush() }) : setTimeout(() => { this.#flush() }, left)
  }

  tick (now: number): void {
    for (const client of this.#clients()) client.tick(now)
  }

  close (): void {
    clearTimeout(this.#due as NodeJS.Timeout)
    clearImmediate(this.#due as NodeJS.Immediate)
  }

  * #clients (): Generator<Client> {
    for (const { clients } of this.#groups.values()) yield * clients
  }

  #flush (): void {
    this.close()
    this.#due = undefined
    const feed = this.#feed()
    const from = Math.max(this.#flushedTo, feed.ring.oldest)
    this.#flushedTo = feed.ring.next
    this.#flushedAt = performance.now()
    if (from === feed.ring.next) return
    for (const { filter, clients } of this.#groups.values()) {
      let chunk: Chunk | undefined
      for (const client of clients) {
        if (client.cursor === from && client.share(chunk ??= chunkOf(feed, filter, from))) continue
        client.pump()
      }
    }
  }
}
