import type { Journey } from './judge.ts'

/** A number, with the events that had it (two are of two pasts), and when the first client was given one of them. */
interface Given { events: Set<string>, at: number }

/** The events of publishers that anybody was given, by epoch and number. */
export class Truth {
  readonly #epochs = new Map<string, Map<number, Given>>()

  constructor (journeys: Journey[]) {
    for (const { at, id, event } of journeys.flatMap(({ steps }) => steps)) {
      if (event === undefined) continue
      const epoch = this.#epochs.get(id.epoch) ?? new Map<number, Given>()
      const given = epoch.get(id.seq) ?? { events: new Set(), at }
      given.events.add(event)
      given.at = Math.min(given.at, at)
      this.#epochs.set(id.epoch, epoch.set(id.seq, given))
    }
  }

  eventsAt (epoch: string, seq: number): string[] {
    return [...this.#epochs.get(epoch)?.get(seq)?.events ?? []]
  }

  /** Whether anybody had been given an event of this number, or of a later one, by then. */
  reached (epoch: string, seq: number, by: number): boolean {
    for (const [number, { at }] of this.#epochs.get(epoch) ?? []) if (number >= seq && at <= by) return true
    return false
  }
}
