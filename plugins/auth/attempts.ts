import { isIPv6 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { LRUCache } from 'lru-cache'
import { ApiError } from '../../errors.ts'

/** Who tries: the address it comes from and the digest of the key it shows. */
export interface Attempt { address: string, digest: string }
type Kind = 'address' | 'key'

interface Origin {
  cluster: Pick<FastifyInstance['cluster'], 'add' | 'get' | 'set'>
  /** Failures a minute; 0 = no limit. */
  most: () => number
  /** Names an address in the cluster without being it. */
  digest: (text: string) => string
  onBlock?: (kind: Kind, attempt: Attempt, seconds: number) => void
}

const windowMs = 60_000
const firstBlockMs = 60_000
const lastBlockMs = 900_000
/** Blocks of one address or key grow while they follow each other within this time. */
const memoryMs = 3_600_000
/** Strangers from a blocked address are asked for one a second; so many may wait. */
const paceMs = 1_000
const mostWaiting = 5
const slowestMs = 2_000
const mostSlowed = 200

/**
 * Failed attempts, counted per address (IPv6 by /64) and per key: from half of the limit on answers come slower, beyond it address
 * or key is blocked, first a minute, then twice as long each time, up to 15 minutes. Only strangers feel the block of an
 * address: a key that has been good passes, and a new one waits for its turn, so that nobody behind the same NAT is locked out.
 */
export class Attempts {
  readonly #origin: Origin
  readonly #turns = new LRUCache<string, number>({ max: 10_000 })
  #slowed = 0

  constructor (origin: Origin) {
    this.#origin = origin
  }

  /** Before the Core is asked; throws 429. `isStranger`: nobody here has seen the key be good. */
  async admit ({ address, digest }: Attempt, isStranger: boolean): Promise<void> {
    if (this.#origin.most() === 0) return
    const keyLeft = await this.#left('key', digest)
    if (keyLeft > 0) throw tooMany(keyLeft)
    const place = this.#placeOf(address)
    const left = isStranger ? await this.#left('address', place) : 0
    if (left <= 0) return
    const now = performance.now()
    const turn = Math.max(now, this.#turns.get(place) ?? 0)
    if (turn - now > paceMs * mostWaiting) throw tooMany(left)
    this.#turns.set(place, turn + paceMs)
    await sleep(turn - now)
  }

  /** After a refusal; throws 429 where that was one too many. `isNew`: the Core was asked, not the memory; a key that fails again and again is one failure of its address. */
  async failed (attempt: Attempt, isNew: boolean): Promise<void> {
    const most = this.#origin.most()
    if (most === 0) return
    const place = this.#placeOf(attempt.address)
    const counts = await Promise.all([
      this.#count('key', attempt.digest, attempt, most),
      isNew ? this.#count('address', place, attempt, most) : 0
    ])
    const left = Math.max(...await Promise.all([this.#left('key', attempt.digest), this.#left('address', place)]))
    if (left > 0) throw tooMany(left)
    const over = Math.max(...counts) - Math.ceil(most / 2)
    if (over <= 0 || this.#slowed >= mostSlowed) return
    this.#slowed++
    await sleep(Math.min(slowestMs, 50 * 2 ** over)).finally(() => { this.#slowed-- })
  }

  #placeOf (address: string): string {
    return this.#origin.digest(networkOf(address))
  }

  /** While the cluster cannot be reached nobody is counted, and nobody blocked. */
  async #left (kind: Kind, name: string): Promise<number> {
    const until = await this.#origin.cluster.get(`blocked:${kind}:${name}`).catch(() => undefined)
    return until === undefined ? 0 : Number(until) - Date.now()
  }

  async #count (kind: Kind, name: string, attempt: Attempt, most: number): Promise<number> {
    const { cluster, onBlock } = this.#origin
    try {
      const { total } = await cluster.add(`attempts:${kind}:${name}`, 1, windowMs)
      if (total !== most + 1) return total
      const { total: blocks } = await cluster.add(`blocks:${kind}:${name}`, 1, memoryMs)
      const ms = Math.min(lastBlockMs, firstBlockMs * 2 ** (blocks - 1))
      await cluster.set(`blocked:${kind}:${name}`, String(Date.now() + ms), ms)
      onBlock?.(kind, attempt, ms / 1_000)
      return total
    } catch {
      return 0
    }
  }
}

/** What one subscriber holds: an IPv4 address, or the /64 of an IPv6 one (RFC 6177). */
export function networkOf (address: string): string {
  const mapped = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(address)?.[1]
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address
  const [head = '', tail] = address.split('%', 1)[0]!.split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? 0 : tail.split(':').reduce((sum, group) => sum + (group.includes('.') ? 2 : 1), 0)
  const filled = tail === undefined ? groups : [...groups, ...Array.from({ length: Math.max(0, 8 - groups.length - rest) }, () => '0'), ...(tail === '' ? [] : tail.split(':'))]
  return `${filled.slice(0, 4).map((group) => parseInt(group, 16).toString(16)).join(':')}::/64`
}

function tooMany (leftMs: number): ApiError {
  const seconds = Math.max(1, Math.ceil(leftMs / 1_000))
  return new ApiError('rate_limited', `too many failed attempts; come back in ${seconds} s with a valid key`, { retryAfter: seconds, details: { retry_after: seconds } })
}
