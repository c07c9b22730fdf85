import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError } from '../../errors.ts'
import { kinds, type Connection, type ConnectionListQuery, type Kind } from '../../schemas/connections.ts'

/** A stream as its owner hands it in. */
export interface Opened {
  kind: Kind
  /** What it asked for. */
  filter?: Connection['filter']
  /** How far it is, at this moment. */
  look: () => Pick<Connection, 'cursor' | 'lag' | 'events' | 'bytes'>
  /** `closed`: it ends at once; `shutdown`: it ends, or runs on where its end is near. Never throws, and may be called more than once. */
  end: (reason: 'shutdown' | 'closed') => void
}

/** Names a stream that is open; `remove` must be called when it has ended, however that came. */
export interface Handle { id: string, remove: () => void }

/** Whose a stream is. */
export interface Origin { digest: string, key: string, address: string }

/** What of a list is here: the first `limit` after `after`; `left` counts all after it, `total` all that fit. */
export interface Page { connections: Connection[], total: number, left: number }

interface Settings { instance: string, most: () => number, onChange?: (kind: Kind, by: 1 | -1) => void }
interface Entry extends Opened { origin: Origin, since: number, told: boolean }

const limited: ReadonlySet<Kind> = new Set(['log_stream', 'trace_stream'])
const comeBackSeconds = 30
const slices = 20
/** So few that come back together are no crowd. */
const smallest = 10

/** The streams that are open at this instance, by id, the oldest first. */
export class Registry {
  readonly counts = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<Kind, number>
  readonly #open = new Map<string, Entry>()
  readonly #held = new Map<string, number>()
  readonly #settings: Settings
  /** Instances may make two at the same moment. */
  readonly #mark = randomBytes(3).toString('hex')
  #isDraining = false
  #lastAt = 0

  constructor (settings: Settings) { this.#settings = settings }

  get size (): number { return this.#open.size }

  /** Throws where the key holds as many log and trace streams as it may: the new one is refused, never an old one ended. */
  add (origin: Origin, opened: Opened): Handle {
    const { kind } = opened
    const isLimited = limited.has(kind)
    const { instance, most } = this.#settings
    if (isLimited && (this.#held.get(origin.digest) ?? 0) >= most()) {
      throw new ApiError('rate_limited', `this key holds ${most()} log and trace streams open at instance ${instance}: close one first`, { retryAfter: comeBackSeconds, details: { limit: most(), retry_after: comeBackSeconds } })
    }
    const id = this.#newId()
    const entry: Entry = { ...opened, origin, since: Date.now(), told: false }
    this.#open.set(id, entry)
    this.#count(entry, 1)
    // One that comes too late must not be cut without a word; its owner knows of it only after this call.
    if (this.#isDraining) setImmediate(() => { this.#tell(id) })
    return {
      id,
      remove: () => { if (this.#open.delete(id)) this.#count(entry, -1) }
    }
  }

  list ({ kind, key, after = '', limit }: Partial<ConnectionListQuery>): Page {
    const page: Page = { connections: [], total: 0, left: 0 }
    for (const [id, entry] of this.#open) {
      if ((kind !== undefined && entry.kind !== kind) || (key !== undefined && entry.origin.key !== key)) continue
      page.total++
      if (id <= after) continue
      page.left++
      if (page.connections.length < (limit ?? Infinity)) page.connections.push(this.#shown(id, entry))
    }
    return page
  }

  /** Answers whether it was here. */
  close (id: string): boolean {
    const entry = this.#open.get(id)
    entry?.end('closed')
    return entry !== undefined
  }

  /** Ends all, in slices over at most so many ms, so that not all come back together; resolves when all are told. */
  async drain (ms: number): Promise<void> {
    this.#isDraining = true
    const all = [...this.#open.keys()]
    const size = Math.max(smallest, Math.ceil(all.length / slices))
    const pause = ms / Math.ceil(all.length / size)
    for (let at = 0; at < all.length && this.#open.size > 0; at += size) {
      if (at > 0 && pause > 0) await sleep(pause, undefined, { ref: false })
      for (const id of all.slice(at, at + size)) this.#tell(id)
    }
  }

  #tell (id: string): void {
    const entry = this.#open.get(id)
    if (entry === undefined || entry.told) return
    entry.told = true
    entry.end('shutdown')
  }

  #count ({ kind, origin: { digest } }: Entry, by: 1 | -1): void {
    this.counts[kind] += by
    this.#settings.onChange?.(kind, by)
    if (!limited.has(kind)) return
    const held = (this.#held.get(digest) ?? 0) + by
    if (held === 0) this.#held.delete(digest)
    else this.#held.set(digest, held)
  }

  #shown (id: string, { kind, origin: { key, address }, since, filter, look }: Entry): Connection {
    return { id, kind, instance: this.#settings.instance, key, address, since: new Date(since).toISOString(), ...(filter !== undefined && { filter }), ...look() }
  }

  /** Ids grow with time, so that the order of the map is theirs, and pages neither skip nor repeat. */
  #newId (): string {
    this.#lastAt = Math.max(this.#lastAt + 1, Date.now() * 1_000)
    return `con_${this.#lastAt.toString(36)}${this.#mark}`
  }
}
