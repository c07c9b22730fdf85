import { setTimeout as sleep } from 'node:timers/promises'
import { Trouble } from './trouble.ts'

const firstMs = 500
const longestMs = 10_000
/** Whoever is asked to wait for longer is told so instead. */
const mostMs = 30_000

/** How often something was tried in vain, since it last got on. */
export interface Attempt { failures: number }

/** Tries again: later each time, at random, and tells of it once for each trouble. */
export class Patience {
  readonly retries: number
  readonly #say: (text: string) => void
  readonly #random: () => number
  #told: string | undefined

  constructor (retries: number, say: (text: string) => void, random = Math.random) {
    this.retries = retries
    this.#say = say
    this.#random = random
  }

  /** What the work comes to, or the trouble that stays. `isRepeatable`: doing it twice does no harm. */
  async persist<T> (work: (attempt: Attempt) => Promise<T>, { isRepeatable, signal }: { isRepeatable: boolean, signal: AbortSignal }): Promise<T> {
    const attempt: Attempt = { failures: 0 }
    for (;;) {
      try {
        const done = await work(attempt)
        this.found()
        return done
      } catch (error) {
        if (signal.aborted || !(error instanceof Trouble) || !error.isPassing || (error.isDone === 'maybe' && !isRepeatable)) throw error
        await this.wait(error, attempt, signal)
      }
    }
  }

  /** Waits before the next attempt, or throws the trouble where there is none. */
  async wait (trouble: Trouble, attempt: Attempt, signal: AbortSignal, leastMs = trouble.afterMs, retries = this.retries): Promise<void> {
    if (attempt.failures >= retries || (leastMs > mostMs && retries !== Infinity)) throw trouble
    const delay = leastMs + this.#random() * Math.min(longestMs, firstMs * 2 ** attempt.failures++)
    if (this.#told !== trouble.message) this.#say(`${trouble.message}; trying again, first in ${(delay / 1_000).toFixed(1)} s`)
    this.#told = trouble.message
    await sleep(delay, undefined, { signal })
  }

  /** The server is there. */
  found (): void {
    if (this.#told !== undefined) this.#say('connected again')
    this.#told = undefined
  }
}
