import type { Cluster, Entry, Head, Item } from './cluster.ts'
import { newEpoch } from './epoch.ts'

type Topics = Pick<Cluster, 'append' | 'look' | 'renew' | 'onAppend'>

const takenMs = 600_000
const mostOnces = 25_000
// Who appends here never lost an answer: few are enough, and they cost what few cost.
const mostBatches = 500
const fewest = 1_024
/** How long a topic is known that was looked at, and never appended to. */
const lookedAtMs = 3_600_000

/** The topics of one process; `sweep` drops what has become too old while nobody came by, `clear` everything. */
export function createMemoryTopics (now: () => number): Topics & { sweep: () => void, clear: () => void } {
  const topics = new Map<string, Topic>()
  const isOver = (topic: Topic) => topic.endsAt <= now() && topic.wakes.size === 0
  const topicOf = (name: string) => {
    let topic = topics.get(name)
    if (topic === undefined || isOver(topic)) topics.set(name, topic = new Topic(now() + lookedAtMs))
    return topic
  }

  return {
    append: async (name, { id, items }, { most, ttlMs, lifeMs = Infinity }) => {
      const [topic, time] = [topicOf(name), now()]
      const before = topic.seq
      if (topic.batches.add(id, time)) {
        for (const item of items) if (item.once === undefined || topic.onces.add(item.once, time)) topic.add(item, time)
      }
      topic.ttlMs = ttlMs
      topic.endsAt = time + lifeMs
      topic.drop(most, time)
      if (topic.seq > before) topic.wakeAll()
      return topic.head()
    },
    look: async (name, { from, most }) => {
      const topic = topicOf(name)
      topic.endsAt = Math.max(topic.endsAt, topic.seq === 0 ? now() + lookedAtMs : 0)
      topic.drop(Infinity, now())
      const start = from < 0 ? topic.seq + 1 - Math.min(-from, most) : from
      return { ...topic.head(), first: topic.first, entries: topic.slice(start, most) }
    },
    renew: async (name, epoch) => {
      const topic = topicOf(name)
      if (topic.epoch === epoch) {
        topic.epoch = newEpoch()
        topic.wakeAll()
      }
      return topic.head()
    },
    onAppend: (name, wake) => {
      const { wakes } = topicOf(name)
      const own = () => { wake() }
      wakes.add(own)
      return () => { wakes.delete(own) }
    },
    clear: () => { topics.clear() },
    sweep: () => {
      for (const [name, topic] of topics) {
        topic.drop(Infinity, now())
        if (isOver(topic)) topics.delete(name)
      }
    }
  }
}

/** Items as they came, their text not asked for: numbers from `first` to `seq`. */
class Topic {
  epoch = newEpoch()
  first = 1
  ttlMs = Infinity
  endsAt: number
  readonly batches = new Taken(mostBatches)
  readonly onces = new Taken(mostOnces)
  readonly wakes = new Set<() => void>()
  // The oldest leave by moving the offset: to shift ten thousand items would cost more than all the rest of an event's way.
  #items: (Item | undefined)[] = []
  #times: number[] = []
  #offset = 0

  constructor (endsAt: number) { this.endsAt = endsAt }

  get seq (): number { return this.first + this.#items.length - this.#offset - 1 }

  head (): Head { return { epoch: this.epoch, seq: this.seq } }

  add (item: Item, time: number): void {
    this.#items.push(item)
    this.#times.push(time)
  }

  /** Keeps the newest `most` items that are not too old. */
  drop (most: number, time: number): void {
    while (this.#offset < this.#items.length && (this.#items.length - this.#offset > most || time - this.#times[this.#offset]! >= this.ttlMs)) {
      this.#items[this.#offset++] = undefined
      this.first++
    }
    if (this.#offset < fewest || this.#offset * 2 < this.#items.length) return
    this.#items = this.#items.slice(this.#offset)
    this.#times = this.#times.slice(this.#offset)
    this.#offset = 0
  }

  slice (from: number, most: number): Entry[] {
    const start = Math.max(from, this.first)
    const at = this.#offset + start - this.first
    return this.#items.slice(at, at + most).map((item, i) => ({ seq: start + i, item: item! })) // none is undefined from the offset on
  }

  wakeAll (): void { for (const wake of this.wakes) wake() }
}

/** Names that were taken in the last ten minutes, the newest `most` at least. Two halves that take turns: to delete the oldest of a Map one by one passes by all that were deleted before. */
class Taken {
  #young = new Map<string, number>()
  #old = new Map<string, number>()
  #turnsAt = 0
  readonly #most: number

  constructor (most: number) { this.#most = most }

  /** Answers whether the name was free. */
  add (name: string, time: number): boolean {
    if (time >= this.#turnsAt || this.#young.size >= this.#most) {
      this.#old = this.#young
      this.#young = new Map()
      this.#turnsAt = time + takenMs
    }
    if ((this.#young.get(name) ?? this.#old.get(name) ?? -Infinity) > time) return false
    this.#young.set(name, time + takenMs)
    return true
  }
}
