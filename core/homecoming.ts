import type { CoreTarget } from './target.ts'

const enough = 3
const most = 48
const soonMs = 300_000

/** When to go back to an address of the Core that failed: after three passed checks in a row; after twice as many each time that it failed again soon after a return. */
export class Homecoming {
  readonly #passes = new Map<CoreTarget, number>()
  readonly #now: () => number
  #needed = enough
  #returned = -Infinity

  constructor (now = () => performance.now()) {
    this.#now = now
  }

  /** Counts a check; whether it was the last one needed. */
  isDue (target: CoreTarget, passed: boolean): boolean {
    const passes = passed ? (this.#passes.get(target) ?? 0) + 1 : 0
    this.#passes.set(target, passes)
    return passes >= this.#needed
  }

  /** Calls went from one address to another, by their places in the settings. */
  moved (from: number, to: number): void {
    this.#passes.clear()
    if (to < from) this.#returned = this.#now()
    else this.#needed = this.#now() - this.#returned < soonMs ? Math.min(most, this.#needed * 2) : enough
  }
}
