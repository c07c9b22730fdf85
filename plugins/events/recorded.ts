import { randomFillSync } from 'node:crypto'
import type { LogEvent } from '../../schemas/logs.ts'
import type { TraceEvent } from '../../schemas/traces.ts'

/** The two streams, and where their events are kept. */
export type Topic = 'logs' | 'traces'
export type Event = LogEvent | TraceEvent

const pool = Buffer.alloc(6 * 1_024)
let used = pool.length

/** One event: as the text of its JSON, as an object, or as both. Each is made from the other when it is first asked for: most events are kept, and never looked at. */
export class Recorded {
  /** Eight characters that no other event with this number had. */
  readonly nonce: string
  /** Taken once, at whatever instance it is published. */
  readonly once: string | undefined
  #text: string | undefined
  #event: Event | undefined

  private constructor (text: string | undefined, event: Event | undefined, nonce: string, once?: string) {
    this.#text = text
    this.#event = event
    this.nonce = nonce
    this.once = once
  }

  static ofText (text: string): Recorded {
    return new Recorded(text, undefined, newNonce())
  }

  /** What came back from the cluster: from memory it is the very object that went there. */
  static of (item: { text: string, nonce: string }): Recorded {
    return item instanceof Recorded ? item : new Recorded(item.text, undefined, item.nonce)
  }

  static ofEvent (event: Event, once?: string): Recorded {
    return new Recorded(undefined, event, newNonce(), once)
  }

  get text (): string {
    return this.#text ??= JSON.stringify(this.#event)
  }

  get event (): Event {
    return this.#event ??= JSON.parse(this.#text!) as Event // one of both is given
  }
}

function newNonce (): string {
  if (used + 6 > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += 6
  return pool.toString('base64url', used - 6, used)
}
