import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Recorded } from './recorded.ts'

type Batch = Parameters<FastifyInstance['cluster']['append']>[1]

interface Options {
  append: (batch: Batch) => Promise<unknown>
  /** Texts are counted where they must be made anyway. */
  counted: boolean
  onLost: (events: number) => void
  /** The first success after a failure; `lost`: events given up meanwhile. */
  onBack: (lost: number) => void
  onAway: (error: unknown) => void
}

const mostInBatch = 500
const mostBytesInBatch = 524_288
const mostHeld = 20_000
const mostBytesHeld = 33_554_432
/** Events of the same few milliseconds go together. */
const windowMs = 5
const retryMs = [50, 100, 200, 400, 800]

/**
 * Brings events into the cluster: in order, one batch at a time, in the background. A batch whose answer was lost is sent again under the same id,
 * so that it is there once. While the cluster is away events are held, within bounds; beyond them the oldest are given up, and counted.
 */
export class Publisher {
  readonly #options: Options
  #held: Recorded[] = []
  #bytes = 0
  #running: Promise<void> | undefined
  #lost = 0
  #closed = false

  constructor (options: Options) {
    this.#options = options
  }

  /** Never waits, never throws. */
  publish (recorded: Recorded): void {
    this.#held.push(recorded)
    if (this.#options.counted) this.#bytes += recorded.text.length
    if (this.#held.length > mostHeld || this.#bytes > mostBytesHeld) this.#giveUp()
    if (this.#running === undefined && !this.#closed) this.#running = this.#run()
  }

  /** More than half of what may be held is held: what can be left out should be. */
  get isCrowded (): boolean {
    return this.#held.length > mostHeld / 2 || this.#bytes > mostBytesHeld / 2
  }

  /** Resolves when all that was published so far is in the cluster, at the latest after a while. */
  async settled (ms: number): Promise<void> {
    if (this.#running !== undefined) await Promise.race([this.#running, sleep(ms, undefined, { ref: false })])
  }

  async close (): Promise<void> {
    this.#closed = true
    await this.settled(1_000)
  }

  async #run (): Promise<void> {
    await new Promise((resolve) => { setImmediate(resolve) })
    while (this.#held.length > 0) {
      await this.#append(this.#next())
      if (this.#held.length > 0 && this.#held.length < mostInBatch && this.#options.counted) await sleep(windowMs)
    }
    this.#running = undefined
  }

  #next (): Recorded[] {
    let count = 0
    if (!this.#options.counted) count = Math.min(mostInBatch, this.#held.length)
    else {
      for (let bytes = 0; count < this.#held.length && count < mostInBatch && (count === 0 || bytes < mostBytesInBatch); count++) bytes += this.#held[count]!.text.length
    }
    const items = this.#held.splice(0, count)
    if (this.#options.counted) for (const { text } of items) this.#bytes -= text.length
    return items
  }

  async #append (items: Recorded[]): Promise<void> {
    const batch = { id: randomBytes(9).toString('base64url'), items }
    for (let failures = 0; ; failures++) {
      try {
        await this.#options.append(batch)
      } catch (error) {
        if (failures === 0) this.#options.onAway(error)
        if (this.#closed) {
          this.#lose(items.length + this.#held.splice(0).length)
          return
        }
        await sleep(retryMs[Math.min(failures, retryMs.length - 1)], undefined, { ref: false })
        continue
      }
      if (failures > 0) {
        const lost = this.#lost
        this.#lost = 0
        this.#options.onBack(lost)
      }
      return
    }
  }

  /** A tenth at once: to move all that is held for every single event would cost more than the event. */
  #giveUp (): void {
    const oldest = this.#held.splice(0, Math.ceil(this.#held.length / 10))
    if (this.#options.counted) for (const { text } of oldest) this.#bytes -= text.length
    this.#lose(oldest.length)
  }

  #lose (events: number): void {
    if (events === 0) return
    this.#lost += events
    this.#options.onLost(events)
  }
}
