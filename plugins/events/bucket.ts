/** A token bucket: `rate` events a second, as many at once. A rate of 0 lets everything pass. */
export class Bucket {
  #tokens: number
  #at: number
  readonly #rate: () => number

  /** `extra`: events that may come at once besides, for who catches up. */
  constructor (rate: () => number, now: number, extra = 0) {
    this.#rate = rate
    this.#at = now
    this.#tokens = rate() + extra
  }

  /** Events that may be written now. */
  left (now: number): number {
    const rate = this.#rate()
    if (rate === 0) {
      this.#at = now
      return Infinity
    }
    const full = Math.max(this.#tokens, rate)
    this.#tokens = Math.min(full, this.#tokens + (now - this.#at) * rate / 1_000)
    this.#at = now
    return Math.floor(this.#tokens)
  }

  take (events: number): void {
    if (this.#rate() > 0) this.#tokens -= events
  }
}
