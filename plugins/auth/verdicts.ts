import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Verdict } from '../../core/keys.ts'

interface Settings { key_cache_ms: number, key_cache_negative_ms: number, key_cache_size: number }

/** Where a verdict came from. */
export type From = 'cache' | 'core'

/**
 * The Core's verdicts on keys, remembered for a while under a keyed digest: the key itself is never kept.
 * Yes and no have a cache each, so that a flood of bad keys cannot push the good ones out. One question per key at a time.
 */
export class Verdicts {
  readonly #yes: LRUCache<string, Verdict>
  readonly #no: LRUCache<string, true>
  readonly #asking = new Map<string, Promise<Verdict | undefined>>()
  readonly #inner: Buffer
  readonly #outer: Buffer
  readonly #ask: (key: string) => Promise<Verdict | undefined>

  constructor (secret: Buffer, settings: Settings, ask: (key: string) => Promise<Verdict | undefined>) {
    const max = settings.key_cache_size
    this.#inner = padded(secret, 0x36)
    this.#outer = padded(secret, 0x5c)
    this.#ask = ask
    // ttl 0 would mean "for ever" to the cache.
    this.#yes = new LRUCache({ max, ttl: settings.key_cache_ms || 1 })
    this.#no = new LRUCache({ max, ttl: settings.key_cache_negative_ms || 1 })
  }

  /**
   * Names a key without being it: HMAC-SHA-256 (RFC 2104) under this deployment's secret. Spelled out over one-shot hashes:
   * the objects that `createHmac` makes outlive young collections, and double the garbage of a request.
   */
  digest (key: string): string {
    return hash('sha256', Buffer.concat([this.#outer, hash('sha256', Buffer.concat([this.#inner, Buffer.from(key)]), 'buffer')]), 'base64url')
  }

  /** The verdict at hand, without asking. */
  known (digest: string): Verdict | 'refused' | undefined {
    const verdict = this.#yes.get(digest)
    if (verdict === undefined) return this.#no.has(digest) ? 'refused' : undefined
    return verdict.exp !== undefined && verdict.exp * 1_000 <= Date.now() ? undefined : verdict
  }

  /** Asks the Core; callers of the same key share one question. A failure to ask is not remembered. */
  async ask (key: string, digest: string): Promise<Verdict | undefined> {
    const running = this.#asking.get(digest)
    if (running !== undefined) return await running
    const question = this.#ask(key).then((verdict) => {
      if (verdict === undefined) {
        this.#yes.delete(digest)
        this.#no.set(digest, true)
      } else this.#yes.set(digest, verdict)
      return verdict
    }).finally(() => this.#asking.delete(digest))
    this.#asking.set(digest, question)
    return await question
  }

  /** Forgets what was said of a key. */
  forget (digest: string): void {
    this.#yes.delete(digest)
    this.#no.delete(digest)
  }
}

/** The key of the HMAC, at most a block of 64 bytes long, in one of its two paddings. */
function padded (secret: Buffer, byte: number): Buffer {
  const block = Buffer.alloc(64, byte)
  for (let at = 0; at < secret.length; at++) block[at] = secret[at]! ^ byte
  return block
}
