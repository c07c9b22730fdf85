import type { FastifyReply } from 'fastify'
import { ApiError } from '../../errors.ts'
import { Bucket } from './bucket.ts'
import type { Feed } from './feed.ts'
import type { Filter } from './filter.ts'
import { checkpoint, endFrame, frameOf, gapFrame, heartbeat, jittered } from './frames.ts'
import { idOf, noNonce, type Position } from './position.ts'
import { Recorded } from './recorded.ts'
import type { Gap, Kept } from './ring.ts'

/** What the settings say of streams; read when used, so that a reload holds at once. */
export interface Settings { stream_rate: number, stream_buffer: number, stream_heartbeat_ms: number, stream_life_ms: number, stream_stall_ms: number }

/** Told of what is written. */
export interface Observer { onEvents: (count: number) => void, onGap: (reason: Gap['reason']) => void }

interface Options { raw: FastifyReply['raw'], feed: Feed, filter: Filter, limit: number, settings: () => Settings, now: () => number, isResuming: boolean, observer: Observer }

/** Bytes of one write at most: what a client that stops reading can cost. */
const mostBytes = 65_536
/** Events that one who comes back may have at once, beyond the rate. */
const catchUp = 1_000
const againMs = 500
const soonMs = 10
/** What came all at once, after a pause of the cluster, is no sign of a slow client: it has this long to take it. */
const patienceMs = 1_000

/**
 * One open stream. It has no queue, only a cursor into what all share: behind the cursor everything has been written, or left out by its filter, or announced
 * as a gap. It goes on while its socket takes more and its bucket has tokens; whoever falls too far behind loses the oldest, and is told how many.
 */
export class Client {
  readonly filter: Filter
  readonly bucket: Bucket
  /** The place of the next event to look at; undefined while older ones are read from the cluster. */
  cursor: number | undefined
  events = 0
  bytes = 0
  ended = false
  #gap: Gap | undefined
  /** How far behind it may be: for who comes back as far as it was, and less with every event that it catches up on. */
  #allowed = 0
  #lastId: string
  #sentId: string
  #blockedSince: number | undefined
  #behindSince: number | undefined
  #wroteAt: number
  readonly #endsAt: number
  readonly #options: Options
  #resume: (() => void) | undefined

  constructor (options: Options, headId: string) {
    const { settings, now, isResuming } = options
    this.#options = options
    this.filter = options.filter
    this.bucket = new Bucket(() => settings().stream_rate, now(), isResuming ? catchUp : 0)
    this.#lastId = this.#sentId = headId
    this.#wroteAt = now()
    const life = settings().stream_life_ms
    this.#endsAt = life === 0 ? Infinity : now() + life * (0.8 + Math.random() * 0.4)
    options.raw.on('drain', () => {
      this.#blockedSince = undefined
      this.#go()
    })
  }

  get isBlocked (): boolean {
    return this.#blockedSince !== undefined
  }

  get lastId (): string {
    return this.#lastId
  }

  get lag (): number {
    return this.cursor === undefined ? 0 : this.#options.feed.ring.next - this.cursor
  }

  /** From a place of the ring on, after what it has to be told. */
  begin (place: number, gap?: Gap): void {
    const { feed: { ring, headId } } = this.#options
    this.cursor = place
    this.#allowed = Math.min(this.lag + ring.capacity / 8, ring.capacity * 0.75)
    this.#lastId = ring.at(place - 1)?.id ?? (place === ring.next ? headId : this.#lastId)
    if (gap !== undefined) this.#write([this.#told(this.#lastId, gap)], 0, this.#lastId)
    else this.#write([checkpoint(this.#lastId)], 0, this.#lastId)
    this.pump()
  }

  /** Through what is older than the ring, page by page, until that is reached. */
  async beginAfter (position: Position): Promise<void> {
    const { feed, filter, limit, settings } = this.#options
    let from = position
    this.#lastId = idOf(from)
    while (!this.ended) {
      const place = feed.placeAfter(from)
      if (place !== undefined) {
        this.begin(place)
        return
      }
      const look = await feed.page(from).catch(() => undefined)
      // The cluster is away, or the feed has yet to see what was seen here.
      if (look === undefined || look.epoch !== feed.epoch) {
        await this.#feedReads(look === undefined ? againMs : soonMs)
        continue
      }
      const [first, ...rest] = look.entries
      const overlaps = first?.seq === from.seq
      if (look.epoch !== from.epoch || (overlaps && from.nonce !== noNonce && first.item.nonce !== from.nonce) || look.seq < from.seq) {
        this.begin(feed.ring.next, { reason: 'epoch', from: idOf(from) })
        return
      }
      if (look.seq === from.seq) {
        // The last one there is, and it is the one that this client has: behind it nothing was missed.
        from = { ...from, nonce: noNonce }
        if (feed.placeAfter(from) === undefined) await this.#feedReads(soonMs)
        continue
      }
      const entries = overlaps ? rest : look.entries
      const next = entries[0]?.seq ?? look.seq + 1
      if (next > from.seq + 1) {
        const before = idOf(from)
        const to = { epoch: look.epoch, seq: next - 1, nonce: noNonce }
        await this.#give([this.#told(idOf(to), { reason: 'trimmed', from: before, to: idOf(to), count: next - 1 - from.seq })], 0, idOf(to))
        from = to
      }
      const most = Math.min(limit, settings().stream_rate || limit)
      for (let at = 0; at < entries.length && !this.ended;) {
        const frames: Buffer[] = []
        let bytes = 0
        let [id, sent] = [this.#lastId, this.#sentId]
        for (; at < entries.length && frames.length < most && bytes < mostBytes; at++) {
          const { seq, item } = entries[at]!
          const recorded = Recorded.of(item)
          from = { epoch: look.epoch, seq, nonce: recorded.nonce }
          id = idOf(from)
          if (!filter.passes(recorded)) continue
          const frame = frameOf(feed.topic, { at: 0, id, recorded, gap: undefined, frame: undefined })
          frames.push(frame)
          bytes += frame.length
          sent = id
        }
        await this.#give(frames, frames.length, sent)
        this.#lastId = id
      }
    }
  }

  /** Writes what others in the same place are given, too: frames of `count` events, up to the end of the ring. False: it must go its own way. */
  share ({ bytes, count, gaps, sentId, lastId }: Chunk): boolean {
    if (bytes.length > mostBytes || this.isBlocked || this.#gap !== undefined || count > this.#options.limit || count > this.bucket.left(this.#options.now())) return false
    this.cursor = this.#options.feed.ring.next
    if (bytes.length > 0) this.#write([bytes], count, sentId)
    for (const reason of gaps) this.#options.observer.onGap(reason)
    this.#lastId = lastId
    return true
  }

  /** Goes on from its own place, as far as socket and bucket allow. */
  pump (): void {
    const { feed: { ring, topic }, filter, limit, observer, settings } = this.#options
    while (!this.ended && this.cursor !== undefined && this.cursor < ring.next) {
      this.#skip()
      if (this.isBlocked) return
      const allowed = Math.min(limit, this.bucket.left(this.#options.now()))
      const frames: Buffer[] = []
      let bytes = 0
      let count = 0
      let [id, sent] = [this.#lastId, this.#sentId]
      if (this.#gap !== undefined) {
        sent = this.#gap.to ?? id
        frames.push(this.#told(sent, this.#gap))
        this.#gap = undefined
      }
      for (; this.cursor < ring.next && bytes < mostBytes; this.cursor++) {
        const kept = ring.at(this.cursor)!
        const isEvent = kept.recorded !== undefined
        if (!isEvent || filter.passes(kept.recorded!)) {
          if (isEvent && count === allowed) break
          const frame = frameOf(topic, kept)
          frames.push(frame)
          bytes += frame.length
          sent = kept.id
          if (isEvent) count++
          else observer.onGap(kept.gap!.reason)
        }
        id = kept.id
      }
      if (frames.length > 0) this.#write(frames, count, sent)
      this.#lastId = id
      this.#allowed = Math.min(this.#allowed, this.lag + ring.capacity / 8)
      if (this.lag <= settings().stream_buffer) this.#behindSince = undefined
      // Out of tokens: the next tick looks again.
      if (count === allowed && allowed < limit && this.cursor < ring.next) return
    }
  }

  /** Every second or so: the end of its life, a socket that takes nothing, a sign of life, new tokens. */
  tick (now: number): void {
    const { raw, settings } = this.#options
    const { stream_heartbeat_ms: heartbeatMs, stream_stall_ms: stallMs } = settings()
    if (this.ended) {
      // Its last words are not taken either.
      if (now - this.#wroteAt >= stallMs) raw.destroy()
      return
    }
    if (this.#blockedSince !== undefined) {
      if (now - this.#blockedSince >= stallMs) {
        this.ended = true
        this.#go()
        raw.destroy()
      } else this.#skip()
      return
    }
    if (now >= this.#endsAt) {
      this.end('lifetime')
      return
    }
    this.#go()
    if (now - this.#wroteAt >= heartbeatMs && !this.isBlocked) this.#write([this.#lastId === this.#sentId ? heartbeat : checkpoint(this.#lastId)], 0, this.#lastId)
  }

  /** Says why, and when to come back; to a socket that takes nothing more nothing is said. */
  end (reason: string): void {
    if (this.ended) return
    const { raw, now } = this.#options
    this.ended = true
    this.#wroteAt = now()
    if (this.isBlocked) raw.destroy()
    else raw.end(endFrame(reason, reason === 'shutdown' || reason === 'lifetime' ? jittered(2_000, 5_000) : jittered(30_000, 60_000)))
    this.#go()
  }

  /** The same for a failure: of a key that is good no more. */
  refuse (error: ApiError): void {
    this.end(error.code)
  }

  #go (): void {
    const resume = this.#resume
    this.#resume = undefined
    if (resume !== undefined) resume()
    else if (!this.ended) this.pump()
  }

  /** Too far behind: the oldest go, half of what it may be behind at once, so that there is one gap and not one for every event. */
  #skip (): void {
    const { feed: { ring }, filter, settings } = this.#options
    // The ring has the size that the settings asked for at the start.
    const most = Math.min(settings().stream_buffer, ring.capacity * 0.75)
    if (this.cursor === undefined || this.lag <= Math.max(most, this.#allowed)) return
    const now = this.#options.now()
    this.#behindSince ??= now
    // Nor may it be overtaken by the ring.
    if (now - this.#behindSince < patienceMs && this.lag <= ring.capacity / 2) return
    const until = ring.next - Math.ceil(most / 2)
    this.#allowed = 0
    let count = 0
    let to: string | undefined
    // The ring is larger than what one may be behind, and this is looked at whenever it grows.
    for (let place = Math.max(this.cursor, ring.oldest); place < until; place++) {
      const kept = ring.at(place)!
      // A gap that all are told must not get lost in this one, and of several that of another epoch must not.
      if (kept.gap !== undefined) this.#gap = { reason: this.#gap?.reason === 'epoch' ? 'epoch' : kept.gap.reason, from: this.#gap?.from ?? this.#lastId }
      else if (!filter.passes(kept.recorded!)) continue
      else count++
      to = kept.id
    }
    this.cursor = until
    if (to === undefined) return
    const before = this.#gap
    this.#gap = before?.reason === 'epoch' || before?.reason === 'trimmed'
      ? { reason: before.reason, from: before.from, to }
      : { reason: before?.reason ?? (this.isBlocked ? 'slow' : 'rate'), from: before?.from ?? this.#lastId, to, count: (before?.count ?? 0) + count }
  }

  async #feedReads (ms: number): Promise<void> {
    this.#options.feed.wake()
    await new Promise((resolve) => { setTimeout(resolve, ms).unref() })
  }

  /** Waits for socket and bucket, then writes. */
  async #give (frames: Buffer[], count: number, id: string): Promise<void> {
    const mayWrite = () => !this.isBlocked && (count === 0 || this.bucket.left(this.#options.now()) >= count)
    while (!this.ended && !mayWrite()) {
      await new Promise<void>((resolve) => { this.#resume = resolve })
    }
    if (this.ended) return
    if (frames.length > 0) this.#write(frames, count, id)
    // Others have their turn, and what this one waits for may have come.
    await new Promise((resolve) => { setImmediate(resolve) })
  }

  #told (id: string, gap: Gap): Buffer {
    this.#options.observer.onGap(gap.reason)
    return gapFrame(id, gap)
  }

  /** `id` is that of the last frame: behind it the cursor may stand further, which a checkpoint will tell. */
  #write (frames: (Buffer | string)[], count: number, id: string): void {
    const { raw, now, observer } = this.#options
    const chunk = frames.length === 1 ? frames[0]! : Buffer.concat(frames as Buffer[]) // several are always buffers
    this.bucket.take(count)
    this.events += count
    observer.onEvents(count)
    this.bytes += chunk.length
    this.#lastId = this.#sentId = id
    this.#wroteAt = now()
    if (!raw.write(chunk)) this.#blockedSince ??= now()
  }
}

/** What a client that is given frames together with others needs of them. */
export interface Chunk { bytes: Buffer, count: number, gaps: Gap['reason'][], sentId: string, lastId: string }

/** What passes a filter between two places, as one piece of bytes for all who want the same. */
export function chunkOf ({ ring, topic }: Feed, filter: Filter, from: number): Chunk {
  const frames: Buffer[] = []
  const gaps: Gap['reason'][] = []
  let count = 0
  let [sentId, lastId] = ['', '']
  for (let place = from; place < ring.next; place++) {
    const kept: Kept = ring.at(place)!
    lastId = kept.id
    if (kept.recorded !== undefined && !filter.passes(kept.recorded)) continue
    frames.push(frameOf(topic, kept))
    sentId = kept.id
    if (kept.recorded !== undefined) count++
    else gaps.push(kept.gap!.reason)
  }
  return { bytes: frames.length === 1 ? frames[0]! : Buffer.concat(frames), count, gaps, sentId, lastId }
}
