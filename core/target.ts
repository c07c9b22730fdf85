import { Pool } from 'undici'
import type { Config } from '../schemas/config.ts'
import { Breaker, type BreakerState } from './breaker.ts'
import type { CoreTls } from './tls.ts'

/** By its place among the settings: a closed set, unlike its address. */
export type TargetName = 'primary' | `fallback_${number}`

/** Connections to one address of the Core. */
export interface PoolUse { open: number, running: number, queued: number }

/** One address at which a Core answers: its connections, and whether calls may go there. */
export class CoreTarget {
  readonly name: TargetName
  readonly host: string
  readonly uri: string
  readonly prefix: string
  readonly breaker: Breaker
  calls: Pool
  streams: Pool
  /** Until when the Core asked not to be asked by the server itself, by performance.now(). */
  quietUntil = 0
  readonly #settings: Config['core']
  readonly #tls: CoreTls
  readonly #origin: string
  readonly #retired = new Set<Pool>()
  #renewAt: number

  constructor (index: number, uri: string, settings: Config['core'], tls: CoreTls, onBreaker: (target: CoreTarget, state: BreakerState) => void) {
    const { origin, host, pathname } = new URL(uri)
    this.name = index === 0 ? 'primary' : `fallback_${index}`
    this.uri = uri
    this.host = host
    this.prefix = pathname.replace(/\/+$/, '')
    this.#origin = origin
    this.#settings = settings
    this.#tls = tls
    const { breaker_failures: failures, breaker_window_ms: windowMs, breaker_open_ms: openMs } = settings
    this.breaker = new Breaker({ failures, windowMs, openMs }, (state) => { onBreaker(this, state) })
    this.calls = this.#callsPool()
    this.streams = this.#streamsPool()
    this.#renewAt = this.#nextRenewal(performance.now())
  }

  /**
   * New pools now and then, so that no connection outlives an address or a certificate that has changed; what runs ends where it is.
   * undici's own clientTtl closes a client again at every dispatch while a stream runs on it.
   */
  renewIfDue (now: number): void {
    if (now < this.#renewAt) return
    this.#renewAt = this.#nextRenewal(now)
    this.#retire(this.calls)
    this.#retire(this.streams)
    this.calls = this.#callsPool()
    this.streams = this.#streamsPool()
  }

  get use (): PoolUse {
    const use = { open: 0, running: 0, queued: 0 }
    for (const { stats } of [this.calls, this.streams, ...this.#retired]) {
      use.open += stats.connected
      use.running += stats.running
      use.queued += stats.queued
    }
    return use
  }

  async close (): Promise<void> {
    await Promise.all([this.calls, this.streams, ...this.#retired].map(async (pool) => { await pool.destroy() }))
  }

  #nextRenewal (now: number): number {
    const { connection_life_ms: life } = this.#settings
    return life === 0 ? Infinity : now + life
  }

  #retire (pool: Pool): void {
    this.#retired.add(pool)
    pool.close().catch(() => {}).finally(() => { this.#retired.delete(pool) })
  }

  #callsPool (): Pool {
    return new Pool(this.#origin, { ...this.#options, connections: this.#settings.pool })
  }

  /** Streams hold their connection for long: they must not starve the calls. */
  #streamsPool (): Pool {
    return new Pool(this.#origin, this.#options)
  }

  get #options (): Pool.Options {
    // The Core closes idle connections after 5 s: never be the second to notice.
    return { keepAliveTimeout: 4_000, connect: this.#tls.connect }
  }
}
