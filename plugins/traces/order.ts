import type { TraceEvent, TraceListQuery } from '../../schemas/traces.ts'
import { beganAt, type Test } from './filter.ts'

export interface Kept { id: string, event: TraceEvent }
export type Sort = TraceListQuery['sort']
/** A place in a sorted list: an event, and what it is sorted by. */
export interface Place { id: string, value: number }
interface Entry extends Kept { value: number, at: number }
interface Wanted { fits: Test, sort: Sort, after?: Place | undefined, most: number }

/** What an event is sorted by. */
export function valueOf (event: TraceEvent, sort: Sort): number {
  return sort === '-duration' ? event.duration : beganAt(event)
}

/**
 * The first `most` events that fit, sorted, behind a place; `total` counts those before it, too. Events come in the order in which they were kept, the
 * newest first. What is equal stays in that order, and is the other way round where the oldest comes first. Never holds more than a few times `most`.
 */
export async function select (history: AsyncIterable<Kept[]>, { fits, sort, after, most }: Wanted): Promise<{ found: Kept[], total: number }> {
  const up = sort === 'timestamp' ? 1 : -1
  const compare = (a: Entry, b: Entry) => (a.value - b.value || b.at - a.at) * up
  let best: Entry[] = []
  let total = 0
  let at = 0
  let met = false
  for await (const batch of history) {
    for (const { id, event } of batch) {
      const isPlace = id === after?.id
      met ||= isPlace
      at++
      if (!fits(event)) continue
      total++
      const value = valueOf(event, sort)
      if (isPlace || (after !== undefined && !isBehind((value - after.value) * up))) continue
      best.push({ id, event, value, at })
      if (best.length >= most * 4 + 100) best = best.sort(compare).slice(0, most)
    }
  }
  return { found: best.sort(compare).slice(0, most).map(({ id, event }) => ({ id, event })), total }

  function isBehind (distance: number): boolean {
    return distance === 0 ? met === (up < 0) : distance > 0
  }
}

/** The place of an event that is still kept; undefined when it is not. */
export async function placeOf (history: AsyncIterable<Kept[]>, id: string, sort: Sort): Promise<Place | undefined> {
  for await (const batch of history) {
    const kept = batch.find((one) => one.id === id)
    if (kept !== undefined) return { id, value: valueOf(kept.event, sort) }
  }
  return undefined
}
