import type { Leaving } from './departure.ts'

/** No byte of the request can have left. */
const unsent = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])
/** The connection broke before or in the answer: safe to repeat for a read alone. */
const broken = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'UND_ERR_SOCKET', 'UND_ERR_CLOSED'])
const halfMs = 5_000
/** Retries that any server may make in that time, however few its calls. */
const floor = 5

export const codeOf = (error: unknown): string => {
  const { code, cause } = error as { code?: unknown, cause?: { code?: unknown } }
  return String(code ?? cause?.code ?? '')
}

/** Whether the failure is one of the network, not of what was asked. */
export const isNetworkFailure = (error: unknown): boolean => unsent.has(codeOf(error)) || broken.has(codeOf(error)) ||
  /^(?:ERR_TLS|ERR_SSL|EPROTO|CERT_|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|INVALID_(?:CA|PURPOSE)|UND_ERR(?!_INVALID|_NOT_SUPPORTED))/.test(codeOf(error))

interface Retrying {
  retries: number
  /** Only reads may be repeated once bytes have left. */
  read: boolean
  signal: Leaving | undefined
  /** Until when a retry may begin, by performance.now(). */
  end?: number
  /** Whether one more is within the budget. */
  allowed?: () => boolean
}

/** Runs `attempt`, and again while that is safe: a read after any broken connection, a write only when nothing of it was sent. */
export async function withRetries<T> (attempt: (failures: number) => Promise<T>, { retries, read, signal, end = Infinity, allowed }: Retrying): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await attempt(failures)
    } catch (error) {
      const again = unsent.has(codeOf(error)) || (read && broken.has(codeOf(error)))
      if (!again || failures >= retries || signal?.aborted) throw error
      // Full jitter: clients of one dead Core must not come back in step.
      const ms = Math.random() * Math.min(400, 50 * 2 ** (failures + 1))
      if (performance.now() + ms >= end || allowed?.() === false) throw error
      await pause(ms, signal)
    }
  }
}

/** Keeps retries a share of the calls of the last 5 to 10 s: a Core that fails is not asked three times as much. */
export class RetryBudget {
  readonly #share: number
  readonly #now: () => number
  #since = 0
  #calls = 0
  #callsBefore = 0
  #retries = 0
  #retriesBefore = 0

  /** `share` of the calls, 0 to 1. */
  constructor (share: number, now = () => performance.now()) {
    this.#share = share
    this.#now = now
  }

  /** Counts a call that begins at this moment. */
  count (now: number): void {
    if (now - this.#since >= halfMs) this.#turn(now)
    this.#calls++
  }

  /** Whether there is one left; takes it. */
  take (): boolean {
    const left = this.left
    if (left >= 1) this.#retries++
    return left >= 1
  }

  /** Retries that may be made now. */
  get left (): number {
    const now = this.#now()
    if (now - this.#since >= halfMs) this.#turn(now)
    if (this.#share === 0) return 0
    return Math.max(0, Math.floor(Math.max(floor, (this.#calls + this.#callsBefore) * this.#share) - this.#retries - this.#retriesBefore))
  }

  #turn (now: number): void {
    const isNext = now - this.#since < 2 * halfMs
    this.#callsBefore = isNext ? this.#calls : 0
    this.#retriesBefore = isNext ? this.#retries : 0
    this.#calls = this.#retries = 0
    this.#since = now
  }
}

/** Rejects at once when the caller leaves. */
async function pause (ms: number, signal: Leaving | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason instanceof Error ? signal.reason : new Error('the caller went away'))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort)
  })
}
