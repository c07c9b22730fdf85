import type { LookupFunction } from 'node:net'
import type { Dispatcher } from 'undici'
import { ApiError } from '../errors.ts'
import type { Config } from '../schemas/config.ts'
import type { BreakerState } from './breaker.ts'
import type { Leaving } from './departure.ts'
import { type Answer, retryAfterOf } from './envelope.ts'
import { exchange, type Exchange } from './exchange.ts'
import { codeOf, isNetworkFailure, RetryBudget, withRetries } from './retry.ts'
import { CoreTarget } from './target.ts'
import { CoreTls } from './tls.ts'

/** Told of what keeps calls from the Core, or brings them there a second time. */
export interface TransportObserver {
  /** A call is repeated, or is not because the budget is spent. */
  onRetry: (outcome: 'made' | 'denied') => void
  onBreaker: (target: CoreTarget, state: BreakerState) => void
  /** A call was turned away by an open breaker. */
  onRefused: () => void
}

interface Bounds {
  /** Bytes of the answer at most, and ms for it, repeats included. */
  most: number
  timeout: number
  /** A call of the server itself, which waits when the Core says 429. */
  own?: boolean
  /** A check: it goes to this address, whatever its breaker says, and is not counted there. */
  check?: CoreTarget | undefined
}

/** A ticket that no breaker has given out. */
const uncounted = -1
/** What a Core may ask for at most by `Retry-After`, as far as the server's own calls go. */
const longestQuiet = 60_000

/** Brings calls to the address in use: with its breaker, within the budget of retries, by the deadline. */
export class Transport {
  readonly targets: readonly CoreTarget[]
  readonly tls: CoreTls
  readonly budget: RetryBudget
  current: CoreTarget
  /** Since the start. */
  readonly retries = { made: 0, denied: 0 }
  refused = 0
  readonly #settings: Config['core']
  readonly #observer: TransportObserver

  constructor (settings: Config['core'], observer: TransportObserver, lookup?: LookupFunction) {
    this.#settings = settings
    this.#observer = observer
    this.tls = new CoreTls(settings, lookup)
    this.budget = new RetryBudget(settings.retry_budget / 100)
    this.targets = [settings.uri, ...settings.fallback_uris].map((uri, index) => new CoreTarget(index, uri, settings, this.tls, observer.onBreaker))
    this.current = this.targets[0]!
  }

  /** One request, read in full. */
  async exchange (request: Exchange, { most, timeout, own, check }: Bounds): Promise<Answer> {
    const started = performance.now()
    let target = check ?? this.current
    let ticket = check === undefined ? this.#enter(target, started) : uncounted
    try {
      const answer = await withRetries((failures) => {
        if (failures > 0 && check === undefined && target !== this.current) {
          target.breaker.failed(ticket, 'unreachable')
          target = this.current
          ticket = uncounted
          ticket = this.#enter(target, performance.now())
        }
        const left = failures === 0 ? timeout : started + timeout - performance.now()
        return exchange(target.calls, { ...request, path: target.prefix + request.path }, { most, timeout, left })
      }, { retries: this.#settings.retries, read: request.method === 'GET', signal: request.signal, end: started + timeout, allowed: () => this.#mayRetry(target) })
      this.#answered(target, ticket, answer.status, answer.headers, own)
      return answer
    } catch (error) {
      this.failed(target, ticket, error, request.signal)
      throw error
    }
  }

  /** A request whose answer is read as it comes; what goes wrong with it later is told to `failed`. */
  async open ({ method, path, headers, body, signal }: Exchange): Promise<{ answer: Dispatcher.ResponseData, target: CoreTarget, ticket: number }> {
    const started = performance.now()
    let target = this.current
    let ticket = this.#enter(target, started)
    try {
      const answer = await withRetries(async (failures) => {
        if (failures > 0 && target !== this.current) {
          target.breaker.failed(ticket, 'unreachable')
          target = this.current
          ticket = uncounted
          ticket = this.#enter(target, performance.now())
        }
        // undici listens to the signal as we do.
        const { timeout_ms: headersTimeout, idle_timeout_ms: bodyTimeout } = this.#settings
        return await target.streams.request({ method, path: target.prefix + path, headers, body, headersTimeout, bodyTimeout, signal: signal as AbortSignal | undefined })
      }, { retries: this.#settings.retries, read: false, signal, end: started + this.#settings.timeout_ms, allowed: () => this.#mayRetry(target) })
      this.#answered(target, ticket, answer.statusCode, answer.headers)
      return { answer, target, ticket }
    } catch (error) {
      this.failed(target, ticket, error, signal)
      throw error
    }
  }

  /** Tells the breaker of a failure, where it is one of the Core. */
  failed (target: CoreTarget, ticket: number, error: unknown, signal: Leaving | undefined): void {
    const code = codeOf(error)
    if (signal?.aborted === true || code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_BODY_TIMEOUT') target.breaker.left(ticket)
    else if (code === 'core_timeout' || code === 'UND_ERR_HEADERS_TIMEOUT') target.breaker.failed(ticket, 'unwell')
    else if (error instanceof ApiError) target.breaker.succeeded(ticket) // an answer, if not one of use
    else if (isNetworkFailure(error)) target.breaker.failed(ticket, 'unreachable')
    else target.breaker.left(ticket)
  }

  async close (): Promise<void> {
    await Promise.all(this.targets.map(async (target) => { await target.close() }))
  }

  #enter (target: CoreTarget, now: number): number {
    this.budget.count(now)
    target.renewIfDue(now)
    try {
      return target.breaker.enter()
    } catch (error) {
      this.refused++
      this.#observer.onRefused()
      throw error
    }
  }

  #mayRetry (target: CoreTarget): boolean {
    // The one that tries out a Core tries once; elsewhere there may be a Core by now.
    if (target === this.current && target.breaker.state !== 'closed') return false
    const outcome = this.budget.take() ? 'made' : 'denied'
    this.retries[outcome]++
    this.#observer.onRetry(outcome)
    return outcome === 'made'
  }

  #answered (target: CoreTarget, ticket: number, status: number, headers: Answer['headers'], own = false): void {
    if (status < 429) {
      target.breaker.succeeded(ticket)
      return
    }
    const seconds = status === 429 || status === 503 ? retryAfterOf(headers) : undefined
    if (own && seconds !== undefined) target.quietUntil = performance.now() + Math.min(longestQuiet, seconds * 1_000)
    if (status === 502 || status === 503 || status === 504) target.breaker.failed(ticket, 'unwell', seconds === undefined ? undefined : seconds * 1_000)
    else target.breaker.succeeded(ticket)
  }
}
