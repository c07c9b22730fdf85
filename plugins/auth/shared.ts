import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Verdict } from '../../core/keys.ts'

type Entry = { state: 'yes', verdict: Verdict, at: number } | { state: 'no', at: number, by: string } | { state: 'revoked', until: number, by: string }

/** What all instances know of a key; `text` is how it is written, to tell whether it changed. */
export type Found = { text: string | undefined } & (
  { state: 'yes', verdict: Verdict, ageMs: number } | { state: 'no', ageMs: number } | { state: 'revoked', leftMs: number } | { state: 'unknown' })

export interface SharedVerdicts {
  /** News of refusals do not arrive: what this instance remembers may be out of date. */
  readonly isBlind: boolean
  /** undefined: what is shared cannot be reached. */
  read: (digest: string) => Promise<Found | undefined>
  /** Writes a yes where nothing changed since `found` was read; answers whether it did. */
  commit: (digest: string, found: Found, verdict: Verdict) => Promise<boolean>
  /** Writes a no; tells the others of it where the key was good before. */
  refuse: (digest: string, wasGood: boolean) => void
  /** Takes a key back at every instance. Throws where the others cannot be told. */
  revoke: (digest: string, forMs: number) => Promise<void>
  /** Listens until closed. */
  follow: (listener: { onDenied: (digest: string) => void, onRevoked: (digest: string, forMs: number) => void, onMissed: () => void }) => { close: () => void }
}

interface News { by: string, digest: string, until?: number }

const news = 'refusals'
const newsKept = { most: 10_000, ttlMs: 7_200_000 }
const pollMs = 1_000
/** How long a no to a stranger is shared: as long as an answer may be on its way. */
const strangerMs = 10_000

/** Verdicts in the cluster: sealed, each at a place named by its digest; refusals also in a list that every instance reads once a second. */
export function shareVerdicts ({ cluster, seal }: Pick<FastifyInstance, 'cluster' | 'seal'>, ceiling: () => number): SharedVerdicts {
  const me = randomUUID()
  let isBlind = false
  const place = (digest: string) => `verdict:${digest}`
  const write = async (digest: string, entry: Entry, ttlMs: number, found?: Found) =>
    await cluster.set(place(digest), seal.close(JSON.stringify(entry), place(digest)), ttlMs, found === undefined ? undefined : { value: found.text })
  const tell = async (item: News) => await cluster.push(news, JSON.stringify(item), newsKept)

  return {
    get isBlind () { return isBlind },
    read: async (digest) => {
      if (isBlind) return undefined
      const text = await cluster.get(place(digest)).catch(() => null)
      if (text === null) return undefined
      const opened = text === undefined ? undefined : seal.open(text, place(digest))
      const entry = opened === undefined ? undefined : JSON.parse(opened) as Entry
      const now = Date.now()
      if (entry?.state === 'yes') return { text, state: 'yes', verdict: entry.verdict, ageMs: Math.max(0, now - entry.at) }
      if (entry?.state === 'no') return { text, state: 'no', ageMs: Math.max(0, now - entry.at) }
      if (entry?.state === 'revoked' && entry.until > now) return { text, state: 'revoked', leftMs: entry.until - now }
      return { text, state: 'unknown' }
    },
    // A store that is away at this moment takes nothing from the Core's own word.
    commit: async (digest, found, verdict) => await write(digest, { state: 'yes', verdict, at: Date.now() }, Math.max(1, ceiling()), found).catch(() => true),
    refuse: (digest, wasGood) => {
      write(digest, { state: 'no', at: Date.now(), by: randomUUID() }, wasGood ? ceiling() : strangerMs)
        .then(async () => { if (wasGood) await tell({ by: me, digest }) })
        .catch(() => {})
    },
    revoke: async (digest, forMs) => {
      const until = Date.now() + forMs
      await write(digest, { state: 'revoked', until, by: randomUUID() }, forMs)
      await tell({ by: me, digest, until })
    },
    follow: ({ onDenied, onRevoked, onMissed }) => {
      let epoch: string | undefined
      let from = 0
      const poll = async (): Promise<void> => {
        await cluster.set(`${news}:epoch`, randomUUID(), 30 * 86_400_000, { value: undefined })
        const [now, { items, next }] = await Promise.all([cluster.get(`${news}:epoch`), cluster.list(news, from)])
        const missed = epoch !== undefined && (now !== epoch || next < from || items.length < next - from)
        if (missed || isBlind) {
          isBlind = false
          onMissed()
          // Anew, from the oldest item that is kept.
          epoch = undefined
          from = 0
          return await poll()
        }
        epoch = now
        from = next
        for (const item of items) {
          const { by, digest, until } = JSON.parse(item) as News
          if (until !== undefined) { if (until > Date.now()) onRevoked(digest, until - Date.now()) } else if (by !== me) onDenied(digest)
        }
      }
      let timer: NodeJS.Timeout | undefined
      let closed = false
      const again = () => {
        if (closed) return
        timer = setTimeout(() => { poll().catch(() => { isBlind = true }).finally(again) }, pollMs)
        timer.unref()
      }
      poll().catch(() => { isBlind = true }).finally(again)
      return { close: () => { closed = true; clearTimeout(timer) } }
    }
  }
}
