import { LRUCache } from 'lru-cache'
import { ApiError } from '../../errors.ts'

interface Purse { signals: number, bytes: number, data: number, at: number }

const rates = { signals: { second: 50, burst: 200 }, bytes: { second: 131_072, burst: 524_288 }, data: { second: 65_536, burst: 131_072 } } as const
type Kind = keyof typeof rates

/** What one participant may send at one instance: signals, their bytes, and relayed data, each with a burst. */
export class Budgets {
  readonly #purses = new LRUCache<string, Purse>({ max: 20_000 })

  /** Throws `rate_limited` where it is spent. */
  spend (participant: string, cost: { bytes: number, data: number }): void {
    const now = performance.now()
    const purse = this.#purses.get(participant) ?? { signals: rates.signals.burst, bytes: rates.bytes.burst, data: rates.data.burst, at: now }
    this.#purses.set(participant, purse)
    const wanted = { signals: 1, ...cost }
    for (const kind of Object.keys(rates) as Kind[]) purse[kind] = Math.min(rates[kind].burst, purse[kind] + (now - purse.at) * rates[kind].second / 1_000)
    purse.at = now
    for (const kind of Object.keys(rates) as Kind[]) {
      if (purse[kind] < wanted[kind]) throw new ApiError('rate_limited', kind === 'signals' ? 'a participant sends at most 50 signals in a second' : `a participant sends at most ${rates[kind].second / 1_024} KiB of ${kind === 'data' ? 'relayed data' : 'signals'} in a second`, { retryAfter: 1, details: { limit: rates[kind].second, retry_after: 1 } })
    }
    for (const kind of Object.keys(rates) as Kind[]) purse[kind] -= wanted[kind]
  }
}
