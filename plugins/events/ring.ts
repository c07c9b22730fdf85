import type { Static } from '@sinclair/typebox'
import type { gapEvent } from '../../schemas/event-stream.ts'
import type { Recorded } from './recorded.ts'

export type Gap = Static<typeof gapEvent>

/** An event, or a gap that all readers of the topic have in common, with its id and its place in the order of this instance. */
export interface Kept {
  readonly at: number
  readonly id: string
  readonly recorded: Recorded | undefined
  readonly gap: Gap | undefined
  /** As it goes over the wire; made when the first client needs it, and then shared by all. */
  frame: Buffer | undefined
}

/** The newest events of a topic, in the order in which this instance delivers them: numbered without a hole over all epochs. */
export class Ring {
  readonly capacity: number
  #kept: Kept[] = []
  #places = new Map<string, number>()
  /** The place of the next one. */
  next = 0

  constructor (capacity: number) {
    this.capacity = capacity
  }

  /** The place of the oldest that is kept; `next` when none is. */
  get oldest (): number {
    return Math.max(0, this.next - this.#kept.length)
  }

  add (id: string, what: { recorded: Recorded } | { gap: Gap }): void {
    const { recorded, gap } = what as { recorded?: Recorded, gap?: Gap }
    const slot = this.next % this.capacity
    const old = this.#kept[slot]
    // A gap may have the id of the event before it.
    if (old !== undefined && this.#places.get(old.id) === old.at) this.#places.delete(old.id)
    this.#kept[slot] = { at: this.next, id, recorded, gap, frame: undefined }
    this.#places.set(id, this.next)
    this.next++
  }

  /** undefined: not kept (any more). */
  at (place: number): Kept | undefined {
    const kept = this.#kept[place % this.capacity]
    return kept?.at === place ? kept : undefined
  }

  /** The place of an event by its id. */
  find (id: string): number | undefined {
    return this.#places.get(id)
  }

  /** What tells the events that are kept from all others. */
  nonces (): Set<string> {
    return new Set(this.#kept.flatMap(({ recorded }) => recorded?.nonce ?? []))
  }

  clear (): void {
    this.#kept = []
    this.#places = new Map()
    this.next = 0
  }
}
