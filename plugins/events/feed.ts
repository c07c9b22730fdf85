import type { FastifyInstance } from 'fastify'
import { idOf, noNonce, positionOf, type Position } from './position.ts'
import { Recorded, type Topic } from './recorded.ts'
import { Ring, type Gap } from './ring.ts'

type Store = Pick<FastifyInstance['cluster'], 'look' | 'renew' | 'onAppend'>
type Look = Awaited<ReturnType<Store['look']>>
type Entry = Look['entries'][number]
/** Where a client begins: at a place of the ring, or behind a number that is older; `gap` is what it has to be told first. */
export interface Start { at?: number, after?: Position, gap?: Gap }

const pageSize = 500
/** Wake-ups may be missed: a look every half second finds what they did not tell of. */
const pollMs = 500
/** How long the events stay at hand without a reader. */
const restMs = 60_000

/**
 * The one reader of a topic in this process. What it reads is checked against what it has read before: the epoch (a store that lost its data begins another),
 * the number and nonce of the last event (a store that was set back has another past), and that no number is missing. What cannot be made good becomes a gap
 * that every client is told.
 */
export class Feed {
  readonly ring: Ring
  readonly topic: Topic
  readonly #store: Store
  readonly #onNews: () => void
  #epoch: string | undefined
  #seq = 0
  #nonce = noNonce
  /** The number of the oldest event of this epoch in the ring, and its place. */
  #first = { seq: 1, at: 0 }
  #pulling: Promise<void> | undefined
  #again = false
  #oldest: Promise<Look> | undefined
  #readers = 0
  #letGo: (() => void) | undefined
  #poll: NodeJS.Timeout | undefined
  #rest: NodeJS.Timeout | undefined

  constructor (topic: Topic, store: Store, capacity: number, onNews: () => void) {
    this.topic = topic
    this.#store = store
    this.ring = new Ring(capacity)
    this.#onNews = onNews
  }

  get epoch (): string | undefined {
    return this.#epoch
  }

  /** The id behind which a new client begins. */
  get headId (): string {
    return idOf({ epoch: this.#epoch ?? noNonce, seq: this.#seq, nonce: this.#nonce })
  }

  /** Keeps reading for one client more; answers the function that lets go. Throws where nothing is at hand and the cluster is away. */
  async join (): Promise<() => void> {
    clearTimeout(this.#rest)
    this.#readers++
    let here = true
    const leave = () => {
      if (!here) return
      here = false
      if (--this.#readers === 0) this.#rest = setTimeout(() => { this.#stop() }, restMs).unref()
    }
    try {
      if (this.#letGo === undefined) {
        this.#letGo = this.#store.onAppend(this.topic, () => { this.wake() })
        this.#poll = setInterval(() => { this.wake() }, pollMs).unref()
      }
      if (this.#epoch === undefined) await this.#pull()
      return leave
    } catch (error) {
      leave()
      throw error
    }
  }

  wake (): void {
    // Redis is away: told by others; the next wake or poll tries again.
    this.#pull().catch(() => {})
  }

  /** Where a client goes on that has this id, by what is known after one look at the cluster at most. */
  async startAfter (id: string): Promise<Start> {
    const position = positionOf(id)
    const place = this.ring.find(id)
    if (place !== undefined) return position?.epoch === this.#epoch && this.#isFar(place) ? { after: position! } : { at: place + 1 }
    if (position === undefined) return { gap: { reason: 'invalid_id' } }
    // Another instance may have read further than this one, which perhaps has not begun.
    const isCurrent = await this.#pull().then(() => true, () => false)
    const now = this.ring.find(id)
    if (now !== undefined) return { at: now + 1 }
    // The cluster is away: whether the history was lost, or is only further than it was read here, is not known before it is back.
    if (!isCurrent && (position.epoch !== this.#epoch || position.seq > this.#seq)) return { after: position }
    if (position.epoch !== this.#epoch) return { gap: { reason: 'epoch', from: id } }
    if (position.seq > this.#seq) return { gap: { reason: 'invalid_id' } }
    // Older than the ring, or the end of a gap: before the first of the ring there is no event whose id the client could be given.
    if (position.seq < this.#first.seq || position.nonce === noNonce) return { after: position }
    return { gap: { reason: 'epoch', from: id } }
  }

  /** The place behind an event of the present epoch that has been read here, once the ring reaches so far back that who goes on from there is not overtaken. */
  placeAfter (position: Position): number | undefined {
    const { epoch, seq, nonce } = position
    if (epoch !== this.#epoch || seq < this.#first.seq - 1 || seq > this.#seq) return undefined
    const place = this.#placeAfter(seq)
    if (this.#isFar(place)) return undefined
    return nonce === noNonce || this.ring.at(place - 1)?.id === idOf(position) ? place : undefined
  }

  /** Older events than the ring has: one page behind a number. */
  async page ({ seq }: Position): Promise<Look> {
    return await this.#store.look(this.topic, { from: Math.max(1, seq), most: pageSize })
  }

  /** The position of the oldest event that is kept anywhere, or where it would be; who ask at the same time share one look. */
  async oldest (): Promise<Position> {
    this.#oldest ??= this.#store.look(this.topic, { from: 1, most: 1 }).finally(() => { this.#oldest = undefined })
    const { epoch, first } = await this.#oldest
    return { epoch, seq: first - 1, nonce: noNonce }
  }

  close (): void {
    clearTimeout(this.#rest)
    this.#stop()
  }

  #stop (): void {
    this.#letGo?.()
    this.#letGo = undefined
    clearInterval(this.#poll)
    this.#epoch = undefined
    this.ring.clear()
  }

  #isFar (place: number): boolean {
    return this.ring.next - place > this.ring.capacity / 2
  }

  #placeAfter (seq: number): number {
    return Math.max(this.ring.oldest, this.#first.at + (seq + 1 - this.#first.seq))
  }

  async #pull (): Promise<void> {
    this.#again = true
    this.#pulling ??= this.#pullAll().finally(() => { this.#pulling = undefined })
    await this.#pulling
  }

  async #pullAll (): Promise<void> {
    while (this.#again) {
      this.#again = false
      const before = this.ring.next
      if (this.#epoch === undefined) this.#begin(await this.#store.look(this.topic, { from: -this.ring.capacity, most: this.ring.capacity }))
      // From the last event on, that one included: it must still be the same.
      else if (!await this.#take(await this.#store.look(this.topic, { from: Math.max(1, this.#seq), most: pageSize }))) this.#again = true
      if (this.ring.next !== before) this.#onNews()
    }
  }

  #begin ({ epoch, seq, entries }: Look): void {
    this.#epoch = epoch
    this.#seq = seq - entries.length
    this.#first = { seq: this.#seq + 1, at: this.ring.next }
    this.#nonce = noNonce
    for (const entry of entries) this.#add(entry)
  }

  /** False: there is more to read. */
  async #take ({ epoch, seq, first, entries }: Look): Promise<boolean> {
    if (epoch !== this.#epoch) {
      await this.#cross()
      return false
    }
    const [last, ...rest] = entries
    const overlaps = last?.seq === this.#seq
    const isAnother = overlaps && this.#nonce !== noNonce && last.item.nonce !== this.#nonce
    const isMissing = !overlaps && this.#seq > 0 && first <= this.#seq
    if (seq < this.#seq || isAnother || isMissing) {
      // The store was set back to an older state, and perhaps written to since: its past is not ours. All instances must see that.
      await this.#store.renew(this.topic, epoch)
      await this.#cross()
      return false
    }
    if (overlaps) this.#nonce = last.item.nonce
    for (const entry of overlaps ? rest : entries) {
      if (entry.seq !== this.#seq + 1) this.#miss(entry.seq)
      this.#add(entry)
    }
    // Everything behind the last one has been dropped already.
    if (entries.length === 0 && first > seq && seq > this.#seq) this.#miss(seq + 1)
    return this.#seq >= seq
  }

  /** Goes over to another epoch: what has been delivered by its nonce is not delivered again. */
  async #cross (): Promise<void> {
    // The gap before them must have room, too.
    const most = this.ring.capacity - 1
    const look = await this.#store.look(this.topic, { from: -most, most })
    const known = this.ring.nonces()
    let at = 0
    for (let i = 0; i < look.entries.length; i++) if (known.has(look.entries[i]!.item.nonce)) at = i + 1
    const fresh = look.entries.slice(at)
    const from = this.headId
    this.#epoch = look.epoch
    this.#seq = look.seq - fresh.length
    this.#nonce = noNonce
    this.ring.add(this.headId, { gap: { reason: 'epoch', from } })
    this.#first = { seq: this.#seq + 1, at: this.ring.next }
    for (const entry of fresh) this.#add(entry)
  }

  /** Numbers are missing up to this one: they were dropped before they were read. */
  #miss (next: number): void {
    const from = this.headId
    const count = next - 1 - this.#seq
    this.#seq = next - 1
    this.#nonce = noNonce
    this.ring.add(this.headId, { gap: { reason: 'trimmed', from, to: this.headId, count } })
    this.#first = { seq: next, at: this.ring.next }
  }

  #add ({ seq, item }: Entry): void {
    const recorded = Recorded.of(item)
    this.#seq = seq
    this.#nonce = recorded.nonce
    this.ring.add(this.headId, { recorded })
    const oldest = this.ring.oldest
    if (oldest > this.#first.at) this.#first = { seq: this.#first.seq + oldest - this.#first.at, at: oldest }
  }
}
