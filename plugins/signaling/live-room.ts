import type { FastifyInstance } from 'fastify'
import type { RtcEndReason, RtcState } from '../../schemas/rtc.ts'
import { iceServersFor } from './ice.ts'
import { placeOf, readPlace, type Journal, type Label, type Numbered } from './journal.ts'
import { isOpen, note, pairKey, remove, close, type Member, type Room } from './room.ts'
import type { Delivered, Ear } from './signaling.ts'
import type { Store } from './store.ts'
import { rosterOf, timeOf } from './view.ts'

/** One who is heard here. */
export interface Listener extends Ear { member: string, generation: number, cursor: number, expired: ReadonlySet<string>, leasedAt: number, credentialsAt: number }

interface Parts { app: FastifyInstance, store: Store, journal: Journal, onEmpty: () => void, onReaped: () => void, onDelivered: (ms: number) => void }

/** A shown lease lives for three of these. */
const beatsPerLease = 3
const touchMs = 30_000

/**
 * A room as one instance sees it while somebody is heard here: reads the journal once for all of them, keeps their leases, and looks after those of others
 * whose instances may be gone. Any instance may take a member out whose lease has lapsed; nobody owns the room.
 */
export class LiveRoom {
  readonly id: string
  /** As of the last look; changes that are told in the journal make it older. */
  room: Room
  readonly #parts: Parts
  readonly #listeners = new Map<string, Listener>()
  #entries: Numbered[] = []
  #epoch = ''
  #seq = 0
  /** The oldest entry that was there to be read, and by pair the version of the negotiation that the entries have come to. */
  #first = 1
  readonly #negotiations = new Map<string, number>()
  #reading: Promise<void> | undefined
  #again = false
  #isStale = false
  #trustsLeasesAt = 0
  #touchedAt = performance.now()
  #announcedAt = performance.now()
  #isClosed = false
  readonly #letGo: () => void
  readonly #beat: NodeJS.Timeout

  constructor (room: Room, parts: Parts) {
    this.id = room.id
    this.room = room
    this.#parts = parts
    this.#letGo = parts.journal.onAppend(this.id, () => { this.read().catch(() => {}) })
    this.#beat = setInterval(() => { this.#look().catch(() => { this.#trustsLeasesAt = performance.now() + this.#leaseMs }) }, Math.ceil(this.#leaseMs / beatsPerLease / 2))
    this.#beat.unref()
  }

  get #leaseMs (): number { return this.#parts.app.config.api.rtc_lease_ms }

  listenerOf (member: string): Listener | undefined { return this.#listeners.get(member) }

  get isEmpty (): boolean { return this.#listeners.size === 0 }

  /** Begins to hear a member, from its place on: what of it is kept at once. Must be called after a read. */
  add (ear: Ear, member: Member): Listener {
    const { app } = this.#parts
    const now = performance.now()
    const before = this.#listeners.get(member.id)
    const given = ear.lastEventId === undefined ? undefined : readPlace(ear.lastEventId)
    const since = readPlace(member.since)
    // Who begins anew has no use for what was said to its former self.
    const start = ear.lastEventId !== undefined ? given : member.generation === 1 ? since ?? { epoch: this.#epoch, seq: this.#first - 1 } : { epoch: this.#epoch, seq: this.#seq }
    const isThere = start?.epoch === this.#epoch && start.seq <= this.#seq && start.seq + 1 >= this.#first
    const cursor = isThere ? start.seq : this.#seq
    const listener: Listener = Object.assign(ear, { member: member.id, generation: member.generation, cursor, expired: new Set(member.expired), leasedAt: now, credentialsAt: now })
    this.#listeners.set(member.id, listener)
    if (before !== undefined) before.onEnd('taken_over')
    this.#give(listener, [this.#told(listener, { type: 'welcome', participants: rosterOf(this.room), ice_servers: iceServersFor(app, member.id) })])
    if (!isThere && ear.lastEventId !== undefined) {
      const reason = given === undefined ? 'invalid_id' : given.epoch === this.#epoch ? 'trimmed' : 'epoch'
      this.#give(listener, [
        { event: 'gap', id: undefined, json: JSON.stringify({ reason, ...(reason !== 'invalid_id' && { from: ear.lastEventId }), to: placeOf(this.#epoch, this.#seq) }) },
        this.#told(listener, { type: 'resync' })
      ])
    }
    this.#deliver(listener, this.#entries)
    return listener
  }

  /** Hears a member no more; false where another has taken its place. */
  delete (listener: Listener): boolean {
    if (this.#listeners.get(listener.member) !== listener) return false
    this.#listeners.delete(listener.member)
    if (this.isEmpty) this.end()
    return true
  }

  /** Reads what is new; calls that come while it does make it look once more. */
  async read (): Promise<void> {
    if (this.#reading !== undefined) {
      this.#again = true
      await this.#reading
      return
    }
    this.#reading = this.#readOn()
    try {
      await this.#reading
    } finally {
      this.#reading = undefined
    }
  }

  /** The room was changed here, or is known to be newer. */
  see (room: Room): void {
    if (room.version >= this.room.version) this.room = room
  }

  /** Ends all that is heard here. */
  end (reason?: RtcEndReason): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#beat)
    this.#letGo()
    const all = [...this.#listeners.values()]
    this.#listeners.clear()
    this.#parts.onEmpty()
    if (reason !== undefined) for (const { onEnd } of all) onEnd(reason)
  }

  async #readOn (): Promise<void> {
    const { journal, store } = this.#parts
    do {
      this.#again = false
      let page = await journal.look(this.id, this.#seq + 1)
      if (this.#epoch !== page.epoch) {
        if (this.#epoch !== '') this.#forget(page.epoch)
        page = await journal.look(this.id, 1)
        this.#epoch = page.epoch
        this.#first = page.first
        this.#seq = page.first - 1
      }
      // What is missing was of use for seconds only, but whoever listens has to know.
      const isGap = page.first > this.#seq + 1
      if (isGap) this.#seq = page.first - 1
      for (const entry of page.entries) this.#ingest(entry)
      this.#seq = page.entries.at(-1)?.seq ?? this.#seq
      this.#again ||= this.#seq < page.seq
      if (this.#isStale) {
        this.#isStale = false
        const room = await store.find(this.id)
        if (room !== undefined) this.see(room)
      }
      for (const listener of this.#listeners.values()) {
        if (isGap) this.#give(listener, [this.#told(listener, { type: 'resync' })])
        this.#deliver(listener, page.entries)
      }
      this.#prune()
      if (this.room.closedAt !== undefined) this.end('session_closed')
    } while (this.#again && !this.#isClosed)
  }

  /** Notes what an entry makes of those after it. */
  #ingest (entry: Numbered): void {
    const { label: { event, type, from, to, version } } = entry
    this.#entries.push(entry)
    if (event === 'rtc_state') {
      this.#isStale = true
      return
    }
    if (from === undefined || version === undefined || to?.length !== 1) return
    const key = pairKey(from, to[0]!)
    // It was on its way while another offer was taken.
    entry.isStale = version < (this.#negotiations.get(key) ?? 0)
    if (type === 'offer' && !entry.isStale) this.#negotiations.set(key, version)
  }

  #deliver (listener: Listener, entries: readonly Numbered[]): void {
    const given: Delivered[] = []
    let end: RtcEndReason | undefined
    for (const { seq, label, json, isStale } of entries) {
      if (seq <= listener.cursor) continue
      listener.cursor = seq
      end = endOf(label, listener)
      if (!isStale && isFor(label, listener)) {
        given.push({ event: label.event, id: placeOf(this.#epoch, seq), json })
        if (label.at !== undefined) this.#parts.onDelivered(Math.max(0, Date.now() - label.at))
      }
      if (end !== undefined) break
    }
    if (given.length > 0) this.#give(listener, given)
    if (end !== undefined && this.delete(listener)) listener.onEnd(end)
  }

  #give (listener: Listener, events: Delivered[]): void {
    if (this.#listeners.get(listener.member) === listener) listener.onEvents(events)
  }

  #told ({ cursor }: Pick<Listener, 'cursor'>, state: Pick<RtcState, 'type' | 'participants' | 'ice_servers'>): Delivered {
    const data: RtcState = { session_id: this.id, ...state, version: this.room.version, timestamp: timeOf(Date.now()) }
    return { event: 'rtc_state', id: placeOf(this.#epoch, cursor), json: JSON.stringify(data) }
  }

  /** The store has lost what it held: whoever listens begins a new past. */
  #forget (epoch: string): void {
    this.#entries = []
    this.#negotiations.clear()
    for (const listener of this.#listeners.values()) {
      listener.cursor = 0
      this.#give(listener, [{ event: 'gap', id: undefined, json: JSON.stringify({ reason: 'epoch', to: placeOf(epoch, 0) }) }, this.#told(listener, { type: 'resync' })])
    }
  }

  #prune (): void {
    if (this.#entries.length <= 1_000) return
    this.#entries = this.#entries.slice(-500)
    this.#first = this.#entries[0]!.seq
  }

  /** Every few seconds: a lost wake, leases, time limits, members whose instance is gone. */
  async #look (): Promise<void> {
    const { app, store } = this.#parts
    const now = performance.now()
    await this.read()
    if (this.#isClosed) return
    for (const listener of this.#listeners.values()) {
      if (now - listener.leasedAt >= this.#leaseMs / beatsPerLease - 50) {
        await store.lease(this.id, listener.member, this.#leaseMs)
        listener.leasedAt = now
      }
      if (app.config.api.turn_secret !== undefined && now - listener.credentialsAt >= app.config.api.turn_ttl_s * 500) {
        listener.credentialsAt = now
        this.#give(listener, [this.#told(listener, { type: 'ice_servers', ice_servers: iceServersFor(app, listener.member) })])
      }
    }
    if (now - this.#touchedAt >= touchMs) {
      this.#touchedAt = now
      await store.touch(this.id)
    }
    if (now - this.#announcedAt >= store.announcedMs / 3) {
      this.#announcedAt = now
      await store.announce(this.id)
    }
    await this.#tend()
  }

  async #tend (): Promise<void> {
    const { app: { cluster }, store, onReaped } = this.#parts
    const [lapsed, instances] = [await this.#lapsed(), await cluster.members()]
    const isLost = ({ heard, isAway }: Member) => isAway !== true && heard !== undefined && heard.instance !== cluster.id && !instances.includes(heard.instance)
    const isLate = Date.now() >= this.room.expiresAt
    const hasQueue = this.room.members.some(({ queue, heard }) => heard === undefined && queue.length > 0)
    if (lapsed.length === 0 && !isLate && !hasQueue && !this.room.members.some(isLost)) return
    const changed = await store.change(this.id, async (room) => await tend(room, { isLost, lapsed: await store.lapsed(room.id, room.members.filter(({ id }) => lapsed.includes(id))) }))
    if (changed === undefined) {
      this.end('session_closed')
      return
    }
    for (let reaped = changed.result; reaped > 0; reaped--) onReaped()
    this.see(changed.room)
  }

  /** After the cluster was away nobody's lease says anything: those that it kept ran out meanwhile. */
  async #lapsed (): Promise<string[]> {
    if (performance.now() < this.#trustsLeasesAt) return []
    return await this.#parts.store.lapsed(this.id, this.room.members.filter(({ id }) => !this.#listeners.has(id)))
  }
}

const queueMs = 10_000
const comings = new Set(['participant_joined', 'participant_resumed', 'participant_restarted'])

/** What time does to a room; answers how many were taken out. */
export function tend (room: Room, { isLost = () => false, lapsed }: { isLost?: (member: Member) => boolean, lapsed: readonly string[] }): number {
  if (!isOpen(room)) return 0
  for (const member of room.members) {
    if (isLost(member)) {
      member.heard = undefined
      member.isAway = true
      note(room, { type: 'participant_reconnecting', participant_id: member.id }, { showsRoster: true })
    }
    expire(room, member)
  }
  for (const id of lapsed) remove(room, id, 'timeout')
  if (Date.now() >= room.expiresAt) close(room, 'expired')
  return lapsed.length
}

/** Signals that waited for too long go nowhere, and their senders are told. */
export function expire (room: Room, member: Member): void {
  const now = Date.now()
  const late = member.queue.filter(({ at }) => now - at >= queueMs)
  if (late.length === 0) return
  member.queue = member.queue.filter(({ at }) => now - at < queueMs)
  member.expired = [...member.expired, ...late.map(({ id }) => id)].slice(-256)
  for (const { id, from } of late) note(room, { type: 'signal_expired', signal_id: id, participant_id: member.id }, { only: [from] })
}

function isFor ({ to, from, signal, type, about }: Label, { member, expired }: Listener): boolean {
  // That it has come, or come back, it knows itself.
  const isOwnComing = comings.has(type) && about === member
  return !isOwnComing && from !== member && (to === undefined || to.includes(member)) && (signal === undefined || !expired.has(signal))
}

function endOf ({ type, about, generation = 0 }: Label, { member, generation: own }: Listener): RtcEndReason | undefined {
  if (type === 'session_closed') return 'session_closed'
  if (about !== member) return undefined
  if (type === 'participant_left') return 'left'
  return (type === 'participant_resumed' || type === 'participant_restarted') && generation > own ? 'taken_over' : undefined
}
