/** Frames a second that a socket may send, four times as many at once. A rate of 0 lets everything pass. */
export class Bucket {
  #tokens: number
  #at: number
  readonly #rate: () => number

  constructor (rate: () => number, now: number) {
    this.#rate = rate
    this.#at = now
    this.#tokens = rate() * 4
  }

  /** Whether so many may come now; if so they are counted. */
  take (tokens: number, now: number): boolean {
    const rate = this.#rate()
    if (rate === 0) return true
    this.#tokens = Math.min(rate * 4, this.#tokens + (now - this.#at) * rate / 1_000)
    this.#at = now
    // What costs more than there can ever be passes when all is there.
    const cost = Math.min(tokens, rate * 4)
    if (this.#tokens < cost) return false
    this.#tokens -= cost
    return true
  }
}
