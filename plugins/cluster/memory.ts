import { randomBytes, randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Cluster, Count, Expect, Lock } from './cluster.ts'
import { createMemoryTopics } from './memory-topics.ts'

interface Entry { value: unknown, endsAt: number }
interface List { items: string[], next: number }

const sweepMs = 10_000
const mostKept = { max: 10_000, maxSize: 64 * 1_048_576 }

/** A cluster of one: everything in this process, gone with it. `now` is a clock in ms. */
export function createMemoryCluster (now: () => number = () => performance.now()): Cluster {
  const entries = new Map<string, Entry>()
  let lastFence = 0
  const kept = new LRUCache<string, string>({ ...mostKept, sizeCalculation: (value, key) => 2 * (key.length + value.length), perf: { now } })
  const { sweep: sweepTopics, clear: clearTopics, ...topics } = createMemoryTopics(now)
  const id = randomBytes(4).toString('hex')
  let facts: (() => string) | undefined
  const sweep = setInterval(() => {
    sweepTopics()
    for (const [key, { endsAt }] of entries) if (endsAt <= now()) entries.delete(key)
  }, sweepMs)
  sweep.unref()

  /** The value under a key, of the type that its one kind of writer gave it. */
  const read = <T>(key: string): T | undefined => {
    const entry = entries.get(key)
    if (entry !== undefined && entry.endsAt > now()) return entry.value as T
    entries.delete(key)
    // A look does not make it younger: the first to be finished is the first to go.
    return kept.peek(key) as T | undefined
  }
  const erase = (key: string) => {
    const [entry, text] = [entries.delete(key), kept.delete(key)]
    return entry || text
  }
  const write = (key: string, value: unknown, ttlMs: number) => {
    kept.delete(key)
    entries.set(key, { value, endsAt: now() + ttlMs })
  }
  const fits = (key: string, expect: Expect | undefined) => expect === undefined || read<string>(key) === expect.value

  return {
    kind: 'memory',
    size: 1,
    id,
    members: async () => [id],
    introduce: async (own) => { facts = own },
    introductions: async () => new Map(facts === undefined ? [] : [[id, facts()]]),
    ...topics,
    get: async (key) => read<string>(key),
    set: async (key, value, ttlMs, expect) => {
      if (!fits(key, expect)) return false
      write(key, value, ttlMs)
      return true
    },
    keep: async (key, value, ttl) => {
      entries.delete(key)
      kept.set(key, value, { ttl })
    },
    delete: async (key, expect) => fits(key, expect) && read(key) !== undefined && erase(key),
    add: async (key, units, windowMs): Promise<Count> => {
      const total = (read<number>(key) ?? 0) + units
      const endsAt = entries.get(key)?.endsAt ?? now() + windowMs
      entries.set(key, { value: total, endsAt })
      return { total, endsInMs: Math.ceil(endsAt - now()) }
    },
    push: async (key, item, { most, ttlMs }) => {
      const list = read<List>(key) ?? { items: [], next: 0 }
      list.items.push(item)
      if (list.items.length > most) list.items.shift()
      list.next++
      write(key, list, ttlMs)
      return list.next
    },
    list: async (key, from = 0) => {
      const { items, next } = read<List>(key) ?? { items: [], next: 0 }
      return { items: items.slice(Math.max(0, from - (next - items.length))), next }
    },
    increment: async (key, by, ttlMs) => {
      const counts = read<Map<string, number>>(key) ?? new Map<string, number>()
      for (const [name, units] of Object.entries(by)) counts.set(name, (counts.get(name) ?? 0) + units)
      write(key, counts, ttlMs)
    },
    sums: async (keys) => {
      const sums = new Map<string, number>()
      for (const key of keys) for (const [name, units] of read<Map<string, number>>(key) ?? []) sums.set(name, (sums.get(name) ?? 0) + units)
      return Object.fromEntries(sums)
    },
    note: async (key, member, ttlMs) => { write(key, (read<Set<string>>(key) ?? new Set()).add(member), ttlMs) },
    noted: async (keys) => new Set(keys.flatMap((key) => [...read<Set<string>>(key) ?? []])).size,
    lock: async (name, ttlMs): Promise<Lock | undefined> => {
      const key = `lock:${name}`
      if (read(key) !== undefined) return undefined
      const holder = randomUUID()
      const fence = ++lastFence
      write(key, holder, ttlMs)
      return {
        fence,
        renew: async (ms) => {
          if (read(key) !== holder) return false
          write(key, holder, ms)
          return true
        },
        release: async () => { if (read(key) === holder) entries.delete(key) }
      }
    },
    close: async () => {
      clearInterval(sweep)
      entries.clear()
      kept.clear()
      clearTopics()
    }
  }
}
