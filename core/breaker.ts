import { ApiError } from '../errors.ts'

export interface BreakerSettings {
  /** Failures that open it: in a row, or within `windowMs` where at least half of the calls fail; 0 = it never opens. */
  failures: number
  windowMs: number
  openMs: number
}
export type BreakerState = 'closed' | 'half_open' | 'open'

/** What a call failed with: no way to the Core at all, or a Core (or what stands before it) that is slow or says 502, 503, 504. */
export type Failing = 'unreachable' | 'unwell'

/** A call that was not made. */
export class Refusal extends ApiError {}

/** Nobody is told to stay away for the whole time: a check may let calls in sooner. */
const longestWait = 10

/**
 * Stops calls to a Core that only fails: closed, then open for a while, then one call to try (half open).
 * A call takes a ticket when it enters and gives it back with its outcome; what entered before the last change is not counted.
 */
export class Breaker {
  state: BreakerState = 'closed'
  /** How often it has opened. */
  opened = 0
  readonly #settings: BreakerSettings
  readonly #onChange: (state: BreakerState) => void
  readonly #now: () => number
  #ticket = 0
  #inRow = 0
  #failures = 0
  #successes = 0
  #since = -Infinity
  #unwell = false
  #until = 0
  #probing = false

  constructor (settings: BreakerSettings, onChange: (state: BreakerState) => void = () => {}, now = () => performance.now()) {
    this.#settings = settings
    this.#onChange = onChange
    this.#now = now
  }

  /** Lets a call in, with the ticket for its outcome, or throws `core_unavailable`. */
  enter (): number {
    if (this.state !== 'closed') this.#probe()
    return this.#ticket
  }

  /** The Core answered. */
  succeeded (ticket: number): void {
    if (ticket !== this.#ticket) return
    if (this.state === 'half_open') {
      this.close()
      return
    }
    this.#inRow = 0
    if (this.#failures !== 0) this.#successes++
  }

  /** The Core failed; `waitMs` is how long it asked to be left alone. */
  failed (ticket: number, failing: Failing, waitMs?: number): void {
    if (ticket !== this.#ticket) return
    const now = this.#now()
    if (now - this.#since > this.#settings.windowMs) {
      this.#since = now
      this.#failures = this.#successes = 0
    }
    if (this.#inRow === 0 && this.#failures === 0) this.#unwell = false
    this.#unwell ||= failing === 'unwell'
    this.#inRow++
    this.#failures++
    const { failures, openMs } = this.#settings
    const isEnough = this.#inRow >= failures || (this.#failures >= failures && this.#failures >= this.#successes)
    if (this.state !== 'half_open' && (failures === 0 || !isEnough)) return
    // ± 20 %: the instances before one Core must not come back in step.
    this.#until = now + (waitMs === undefined ? openMs * (0.8 + Math.random() * 0.4) : Math.min(waitMs, openMs * 2))
    this.opened++
    this.#turn('open')
  }

  /** Neither: the caller left. Another call may be the one that tries. */
  left (ticket: number): void {
    if (ticket === this.#ticket) this.#probing = false
  }

  /** The check has passed: proof against `unreachable` alone, for a Core that is slow was never said not to answer /v1/health. */
  proven (): void {
    if (this.state !== 'closed' && !this.#unwell) this.close()
  }

  /** Lets everything in: the call that tried went well, or the Core has come back and was looked at in full. */
  close (): void {
    this.#inRow = this.#failures = this.#successes = 0
    if (this.state !== 'closed') this.#turn('closed')
  }

  #probe (): void {
    const left = this.#until - this.#now()
    if (this.state === 'open' && left <= 0) this.#turn('half_open')
    if (this.state === 'open' || this.#probing) {
      throw new Refusal('core_unavailable', 'the MUXI Core has failed too often: it is left alone for a while', { retryAfter: Math.min(longestWait, Math.max(1, Math.ceil(left / 1_000))) })
    }
    this.#probing = true
  }

  #turn (state: BreakerState): void {
    this.state = state
    this.#ticket++
    this.#probing = false
    this.#onChange(state)
  }
}
