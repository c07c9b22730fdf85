import { hash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'

export type Shared = Pick<FastifyInstance, 'cluster' | 'seal'>
/** One task on the roll of its caller: which instance works on it, and when it is forgotten. */
export interface Line { id: string, by: string, endsAt: number, isOver?: true }

/** Which tasks each caller has, in the order in which they were made. */
export class Rolls {
  readonly #shared: Shared
  readonly #now: () => number

  constructor (shared: Shared, now: () => number) {
    this.#shared = shared
    this.#now = now
  }

  async read (owner: string): Promise<Line[]> {
    const key = keyOf(owner)
    return this.#present(await this.#shared.cluster.get(key), key)
  }

  /** Whoever else changes it at the same time. What `change` throws changes nothing. */
  async change (owner: string, change: (lines: Line[]) => Line[]): Promise<void> {
    const { cluster } = this.#shared
    const key = keyOf(owner)
    for (;;) {
      const value = await cluster.get(key)
      const lines = change(this.#present(value, key))
      if (lines.length === 0) return
      const lifeMs = Math.max(...lines.map(({ endsAt }) => endsAt)) - this.#now()
      if (await cluster.set(key, closed(this.#shared, key, lines), Math.max(1, lifeMs), { value })) return
    }
  }

  #present (text: string | undefined, key: string): Line[] {
    const now = this.#now()
    return (opened<Line[]>(this.#shared, key, text) ?? []).filter(({ endsAt }) => endsAt > now)
  }
}

/** What may be read in the store only by who knows the secret. */
export function closed ({ seal }: Shared, key: string, value: unknown): string { return seal.close(JSON.stringify(value), key) }

export function opened<T> ({ seal }: Shared, key: string, text: string | undefined): T | undefined {
  const plain = text === undefined ? undefined : seal.open(text, key)
  return plain === undefined ? undefined : JSON.parse(plain) as T
}

function keyOf (owner: string): string { return `mcp:tasks:${hash('sha256', owner, 'base64url')}` }
