/**
 * What instances share. Two kinds pass one test suite: memory (this process alone) and Redis (all instances).
 * Keys are our own, made of digests and closed words; values are text. Times are in ms.
 */
export interface Cluster {
  readonly kind: 'memory' | 'redis'
  /** How many instances there are, as last heard. */
  readonly size: number
  get: (key: string) => Promise<string | undefined>
  /** Sets the value for a while; with `expect` only where the present value is that one (`undefined`: there is none). Answers whether it did. */
  set: (key: string, value: string, ttlMs: number, expect?: Expect) => Promise<boolean>
  /** Sets a value that may be given up early where room is short (memory: beyond 10,000 of them or 64 MiB, the oldest first). */
  keep: (key: string, value: string, ttlMs: number) => Promise<void>
  delete: (key: string, expect?: Expect) => Promise<boolean>
  /** Adds units to a counter that begins anew with each window. */
  add: (key: string, units: number, windowMs: number) => Promise<Count>
  /** Appends to a list that keeps its newest `most` items; answers how many were ever appended. */
  push: (key: string, item: string, options: { most: number, ttlMs: number }) => Promise<number>
  /** The items that are still kept, from the one with this number on (the first ever appended is 0), and the number of the next. */
  list: (key: string, from?: number) => Promise<{ items: string[], next: number }>
  /** Adds to named counters. */
  increment: (key: string, by: Record<string, number>, ttlMs: number) => Promise<void>
  /** The sums of named counters over several keys. */
  sums: (keys: string[]) => Promise<Record<string, number>>
  /** Notes a member of a set of which only the size is of interest (Redis: HyperLogLog, error 0.81 %). */
  note: (key: string, member: string, ttlMs: number) => Promise<void>
  /** How many different members were noted under any of the keys. */
  noted: (keys: string[]) => Promise<number>
  /**
   * Appends a batch to a topic: numbers in order, without a hole, within one epoch. The same batch id again (after an answer that was lost) appends nothing;
   * an item whose `once` another item had in the last ten minutes is left out. Keeps the newest `most` items, none for longer than `ttlMs`.
   * A topic that will be used no more some day says so: with its epoch it is forgotten when nobody has appended for `lifeMs`.
   */
  append: (topic: string, batch: Batch, options: { most: number, ttlMs: number, lifeMs?: number }) => Promise<Head>
  /** One look at a topic, all of it from the same moment: the entries from a number on, at most `most`; with a negative `from` the newest so many. A topic that nobody has appended to has an epoch, too. */
  look: (topic: string, options: { from: number, most: number }) => Promise<Look>
  /** Begins another epoch, where the present one is still that; numbers and entries go on. For who sees that the past is not what it was. */
  renew: (topic: string, epoch: string) => Promise<Head>
  /** Calls `wake` after an append to a topic, at whatever instance; may miss some, and call without need. Answers the function that lets go. */
  onAppend: (topic: string, wake: () => void) => () => void
  /** Names this instance among the members. */
  readonly id: string
  /** The instances that are there: those that were heard of in the last 15 s, and did not say that they leave. */
  members: () => Promise<string[]>
  /** What the others are told of this instance: now, and with every heartbeat from now on. */
  introduce: (facts: () => string) => Promise<void>
  /** What the instances that are there said last, by their names; of this one as it is now. One that has said nothing yet is left out. */
  introductions: () => Promise<Map<string, string>>
  /** Takes a lock that ends by itself; undefined when another holds it. */
  lock: (name: string, ttlMs: number) => Promise<Lock | undefined>
  close: () => Promise<void>
}

export interface Expect { value: string | undefined }
export interface Count { total: number, endsInMs: number }

/** An item of a topic. The nonce tells it from every other that had its number, in a past that was lost. */
export interface Item { readonly nonce: string, readonly text: string, readonly once?: string | undefined }
/** Items that are appended together, under an id of their own. */
export interface Batch { id: string, items: readonly Item[] }
/** Where a topic ends: `seq` is the number of its last item, 0 when there was none. A store that lost its data begins another epoch. */
export interface Head { epoch: string, seq: number }
export interface Entry { seq: number, item: Item }
/** `first` is the number of the oldest item that is kept, `seq` + 1 when none is. */
export interface Look extends Head { first: number, entries: Entry[] }

/** A held lock. `fence` grows with every holder, so that what a late one writes can be told and refused. */
export interface Lock { readonly fence: number, renew: (ttlMs: number) => Promise<boolean>, release: () => Promise<void> }
