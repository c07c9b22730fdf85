import { LRUCache } from 'lru-cache'
import type { Verdict } from '../../core/keys.ts'
import { ApiError } from '../../errors.ts'
import type { SharedVerdicts } from './shared.ts'

/** What the settings say of verdicts; read when used, so that a reload holds at once. Times in ms. */
export interface Settings {
  key_cache_ms: number
  key_cache_soft_ms: number
  key_cache_stale_ms: number
  key_cache_stale_admin_ms: number
  key_cache_negative_ms: number
  key_cache_size: number
}

/** A yes of the Core, and how old it is. */
export interface Yes {
  readonly verdict: Verdict
  /** When the Core itself last said so, by the monotonic clock. Use, re-checks and outages never move it. */
  readonly provenAt: number
  readonly freshUntil: number
  /** The Core could not be asked again: it is served for the time being. */
  stale: boolean
  /** When to ask again in the background. */
  retryAt: number
}

interface Origin {
  settings: () => Settings
  /** Asks the Core. undefined: it says no. Throws where it cannot be asked. */
  ask: (key: string) => Promise<Verdict | undefined>
  /** What all instances share; undefined for one alone. */
  shared?: SharedVerdicts | undefined
  /** A key is good no more: what it holds open must end. */
  onGone?: (digest: string) => void
  clock?: () => number
}

const retryMs = 1_000
/** Past every time that another answer may still be on its way, or be served from a lagging copy. */
export const lagMs = 60_000

/**
 * The Core's verdicts on keys, under digests. A yes is *fresh* for a minute; then *soft*: served while the Core is asked in the background;
 * then asked anew, and when that is impossible *stale*: served up to a ceiling since the Core's last own yes. A no wins over all of these:
 * each has a number, and an answer to a question asked before a no is not believed. Yes and no have a cache each, so that a flood
 * of bad keys cannot push the good ones out; one question per key at a time.
 */
export class Verdicts {
  readonly #yes: LRUCache<string, Yes>
  readonly #no: LRUCache<string, number>
  readonly #revoked: LRUCache<string, number>
  /** The number of the last no to a key, and of the newest no that the bounded list has dropped. */
  readonly #denied: LRUCache<string, number>
  #denials = 0
  #dropped = 0
  readonly #asking = new Map<string, Promise<Yes | undefined>>()
  readonly #origin: Origin
  readonly #clock: () => number

  constructor (origin: Origin) {
    const max = origin.settings().key_cache_size
    this.#origin = origin
    this.#clock = origin.clock ?? (() => performance.now())
    this.#yes = new LRUCache({ max })
    this.#no = new LRUCache({ max })
    this.#revoked = new LRUCache({ max })
    this.#denied = new LRUCache({ max, dispose: (number, _, reason) => { if (reason === 'evict') this.#dropped = Math.max(this.#dropped, number) } })
  }

  /** The verdict at hand, without waiting. */
  known (key: string, digest: string): Yes | 'refused' | undefined {
    const yes = this.#yes.get(digest)
    if (yes === undefined) return this.refuses(digest) ? 'refused' : undefined
    const now = this.#clock()
    if (hasEnded(yes)) return undefined
    if (now < yes.freshUntil) return yes
    const { age, soft, ceiling } = this.#bounds(yes, now)
    if (age >= (yes.stale ? ceiling : soft)) return undefined
    if (now >= yes.retryAt) {
      yes.retryAt = now + retryMs
      this.ask(key, digest).catch(() => {})
    }
    return yes
  }

  /** Whether a no is at hand. */
  refuses (digest: string): boolean {
    return this.isRevoked(digest) || (this.#no.get(digest) ?? -Infinity) > this.#clock()
  }

  /** Whether somebody took the key back, whatever the Core says of it meanwhile. */
  isRevoked (digest: string): boolean {
    return (this.#revoked.get(digest) ?? -Infinity) > this.#clock()
  }

  /** Whether the key was once good: such a one is asked for also where strangers are not. */
  hasBeenGood (digest: string): boolean {
    return this.#yes.has(digest)
  }

  /** Asks; callers of the same key share one question. Throws where the Core cannot be asked and no yes may stand in. */
  async ask (key: string, digest: string): Promise<Yes | undefined> {
    const running = this.#asking.get(digest)
    if (running !== undefined) return await running
    const question = this.#question(key, digest).finally(() => this.#asking.delete(digest))
    this.#asking.set(digest, question)
    return await question
  }

  /** A no, from the Core or from another instance: drops what was known, and whatever is on its way. */
  deny (digest: string): void {
    this.#denied.set(digest, ++this.#denials)
    this.#no.set(digest, this.#clock() + this.#origin.settings().key_cache_negative_ms)
    if (this.#yes.delete(digest)) this.#origin.onGone?.(digest)
  }

  /** Takes a key back for a time in which no yes is believed. */
  revoke (digest: string, forMs: number): void {
    this.#revoked.set(digest, this.#clock() + forMs)
    this.deny(digest)
    this.#origin.onGone?.(digest)
  }

  /** Forgets every yes: what was said meanwhile may have been missed. */
  flush (): void {
    this.#dropped = ++this.#denials
    this.#yes.clear()
  }

  async #question (key: string, digest: string): Promise<Yes | undefined> {
    const { shared, ask } = this.#origin
    for (let round = 0; round < 2; round++) {
      const began = this.#denials
      const found = await shared?.read(digest)
      if (found?.state === 'revoked') {
        this.revoke(digest, found.leftMs)
        return undefined
      }
      if (found?.state === 'no') {
        this.deny(digest)
        if (found.ageMs < this.#origin.settings().key_cache_negative_ms) return undefined
      }
      if (found?.state === 'yes') {
        const yes = this.#remember(digest, found.verdict, this.#clock() - found.ageMs, began)
        if (yes !== undefined && this.#clock() < yes.freshUntil) return yes
      }
      let verdict
      try {
        verdict = await ask(key)
      } catch (error) {
        return this.#standIn(digest, error)
      }
      if (this.isRevoked(digest)) return undefined
      if (verdict === undefined) {
        const wasGood = this.#yes.has(digest) || found?.state === 'yes'
        this.deny(digest)
        shared?.refuse(digest, wasGood)
        return undefined
      }
      // Another instance may have heard a no meanwhile: then what is shared has changed.
      if (found !== undefined && await shared?.commit(digest, found, verdict) === false) continue
      const yes = this.#remember(digest, verdict, this.#clock(), began)
      if (yes !== undefined) return yes
    }
    if (this.#denied.peek(digest) !== undefined) return undefined
    throw new ApiError('core_unavailable', 'the key cannot be checked now', { retryAfter: 1 })
  }

  /** Keeps a yes, unless a no came since the question began. */
  #remember (digest: string, verdict: Verdict, provenAt: number, began: number): Yes | undefined {
    if (Math.max(this.#denied.peek(digest) ?? 0, this.#dropped) > began) return undefined
    const known = this.#yes.peek(digest)
    if (known !== undefined && known.provenAt > provenAt) return known
    // Keys that came together must not be asked for together again.
    const fresh = this.#origin.settings().key_cache_ms * (0.8 + Math.random() * 0.4)
    const yes: Yes = { verdict, provenAt, freshUntil: provenAt + fresh, stale: false, retryAt: 0 }
    this.#yes.set(digest, yes)
    this.#no.delete(digest)
    return yes
  }

  /** The last yes, while the Core cannot be asked; a no has removed it. */
  #standIn (digest: string, error: unknown): Yes {
    const yes = this.#yes.peek(digest)
    const now = this.#clock()
    if (yes === undefined || !isOutage(error) || hasEnded(yes)) throw error
    const { age, ceiling } = this.#bounds(yes, now)
    if (age >= ceiling) throw error
    yes.stale = true
    yes.retryAt = now + retryMs
    return yes
  }

  #bounds ({ verdict: { access }, provenAt }: Yes, now: number): { age: number, soft: number, ceiling: number } {
    const { key_cache_soft_ms: soft, key_cache_stale_ms: stale, key_cache_stale_admin_ms: staleAdmin } = this.#origin.settings()
    const age = now - provenAt
    // Whoever cannot hear of a no must ask.
    if (this.#origin.shared?.isBlind === true) return { age, soft: 0, ceiling: 0 }
    return access === 'admin' ? { age, soft: 0, ceiling: staleAdmin } : { age, soft, ceiling: stale }
  }
}

function hasEnded ({ verdict: { exp } }: Yes): boolean {
  return exp !== undefined && exp * 1_000 <= Date.now()
}

/** The Core could not be asked at all; garbage is no such thing. */
function isOutage (error: unknown): boolean {
  return error instanceof ApiError && (error.code === 'core_unavailable' || error.code === 'core_timeout')
}
