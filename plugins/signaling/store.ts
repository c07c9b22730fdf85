import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { ApiError } from '../../errors.ts'
import type { Journal, Line } from './journal.ts'
import { isOpen, type Outcome, type Room } from './room.ts'
import { rosterOf, timeOf } from './view.ts'

/** Who is not heard yet, or is between two connections, is there for so long. */
export const unheardMs = 60_000
const mostTries = 100
const mostListed = 1_000

const placeOf = (id: string) => `rtc:${id}`
const leaseOf = (id: string, member: string) => `rtc:${id}:${member}`
const index = 'rtc:index'

/** Rooms as all instances know them. A change is made to the newest state, whoever changes it at the same time, and what came of it is told in the order of the changes. */
export class Store {
  readonly #app: FastifyInstance
  readonly #journal: Journal

  constructor (app: FastifyInstance, journal: Journal) {
    this.#app = app
    this.#journal = journal
  }

  async find (id: string): Promise<Room | undefined> {
    return this.#open(id, await this.#app.cluster.get(placeOf(id)))
  }

  async create (room: Room): Promise<void> {
    await this.#write(room, undefined)
    await this.announce(room.id)
  }

  /** Applies a change; where it throws nothing is changed. Answers the room as it is then, and what the change gave back; undefined where there is no such room. */
  async change<T> (id: string, change: (room: Room) => T | Promise<T>): Promise<{ room: Room, result: T } | undefined> {
    for (let tries = 1; ; tries++) {
      const value = await this.#app.cluster.get(placeOf(id))
      const room = this.#open(id, value)
      if (room === undefined) return undefined
      const before = room.version
      const result = await change(room)
      if (await this.#write(room, value)) {
        if (room.version > before) await this.#tell(room)
        return { room, result }
      }
      if (tries === mostTries) throw new ApiError('state_unavailable', 'too much happens in this room at once', { retryAfter: 1 })
      await sleep(Math.random() * Math.min(50, 2 * tries))
    }
  }

  /** Gives a room another life. */
  async touch (id: string): Promise<void> {
    const value = await this.#app.cluster.get(placeOf(id))
    const room = this.#open(id, value)
    if (room !== undefined && isOpen(room)) await this.#app.cluster.set(placeOf(id), value!, this.#lifeOf(room), { value })
  }

  /** A member is there for so long from now on. The time is that of the cluster: clocks of instances differ. */
  async lease (id: string, member: string, ms: number): Promise<void> {
    await this.#app.cluster.set(leaseOf(id, member), '1', ms)
  }

  async release (id: string, member: string): Promise<void> {
    await this.#app.cluster.delete(leaseOf(id, member))
  }

  /** Which of the members have no lease any more. */
  async lapsed (id: string, members: readonly { id: string }[]): Promise<string[]> {
    const leases = await Promise.all(members.map(async (member) => await this.#app.cluster.get(leaseOf(id, member.id))))
    return members.flatMap((member, i) => leases[i] === undefined ? [member.id] : [])
  }

  /** Lets the list know of a room, for a while. */
  async announce (id: string): Promise<void> {
    await this.#app.cluster.push(index, id, { most: 10 * mostListed, ttlMs: this.announcedMs })
  }

  get announcedMs (): number { return 2 * this.#app.config.api.rtc_kept_ms }

  /** The newest rooms that are there. */
  async list (): Promise<Room[]> {
    const { items } = await this.#app.cluster.list(index)
    const ids = [...new Set(items.reverse())].slice(0, mostListed)
    const rooms = await Promise.all(ids.map(async (id) => await this.find(id)))
    return rooms.filter((room) => room !== undefined).sort((a, b) => b.createdAt - a.createdAt)
  }

  /** What has happened and may not have been told: again where need be, for each is told once. So it is told in its order, and although who made the change may be gone. */
  async #tell (room: Room): Promise<void> {
    await this.#journal.append(room.id, room.outbox.map((outcome) => lineOf(room, outcome)))
  }

  async #write (room: Room, value: string | undefined): Promise<boolean> {
    const { cluster, seal } = this.#app
    return await cluster.set(placeOf(room.id), seal.close(JSON.stringify(room), placeOf(room.id)), this.#lifeOf(room), { value })
  }

  /** A room in which nobody is heard does not outlive its members for long. */
  #lifeOf (room: Room): number {
    const { rtc_kept_ms: keptMs } = this.#app.config.api
    return isOpen(room) ? Math.max(1_000, Math.min(room.expiresAt - Date.now(), 2 * unheardMs)) + keptMs : keptMs
  }

  #open (id: string, value: string | undefined): Room | undefined {
    const text = value === undefined ? undefined : this.#app.seal.open(value, placeOf(id))
    return text === undefined ? undefined : JSON.parse(text) as Room
  }
}

function lineOf (room: Room, { version, at, state, only, generation, showsRoster }: Outcome): Line {
  const data = { session_id: room.id, ...state, version, ...(showsRoster === true && { participants: rosterOf(room) }), timestamp: timeOf(at) }
  return { label: { event: 'rtc_state', type: state.type, to: only, about: state.participant_id, generation }, json: JSON.stringify(data), once: `v${version}` }
}
