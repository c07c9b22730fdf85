/** Numbers from 0 up to 1 that only depend on the seed (mulberry32): a run that failed can be tried again. */
export class Random {
  #state: number

  constructor (seed: number) { this.#state = seed >>> 0 }

  next (): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  /** A whole number of a range, both ends included. */
  between (from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  pick<T> (from: readonly T[]): T {
    return from[this.between(0, from.length - 1)]!
  }

  shuffled<T> (items: readonly T[]): T[] {
    const left = [...items]
    return items.map(() => left.splice(this.between(0, left.length - 1), 1)[0]!)
  }

  /** A source of its own, so that what runs beside it does not change it. */
  fork (): Random {
    return new Random(this.between(0, 0xffffffff))
  }
}
