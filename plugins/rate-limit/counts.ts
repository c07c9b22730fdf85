import { LRUCache } from 'lru-cache'

/** How many units a caller has used in its window, and when that ends. */
export interface Use { used: number, endsInMs: number }

/** Adds units to what a caller has used; `max` is the limit they count against. */
export type Add = (caller: string, units: number, max: number) => Use | Promise<Use>

interface Window { used: number, endsAt: number }
interface Share extends Window { reserved: number, asking: Promise<void> | undefined }

const most = 100_000

/** Counts in this process. `parts`: among how many instances a limit is divided while they cannot ask each other. */
export function countHere (windowMs: number, parts: () => number = () => 1): Add {
  const windows = new LRUCache<string, Window>({ max: most })
  return (caller, units) => {
    const now = performance.now()
    let window = windows.get(caller)
    if (window === undefined || window.endsAt <= now) windows.set(caller, window = { used: 0, endsAt: now + windowMs })
    window.used += units * parts()
    return { used: window.used, endsInMs: window.endsAt - now }
  }
}

/**
 * Counts over all instances. Each instance reserves a small share of the limit ahead (1 %), so that most calls ask nobody;
 * what it does not use of its last share is lost to the caller. While the shared count cannot be reached, it counts here.
 */
export function countTogether (windowMs: number, add: (caller: string, units: number, windowMs: number) => Promise<{ total: number, endsInMs: number }>, alone: Add): Add {
  const shares = new LRUCache<string, Share>({ max: most })
  return async (caller, units, max) => {
    let share = shares.get(caller)
    for (;;) {
      const now = performance.now()
      if (share === undefined || share.endsAt <= now) shares.set(caller, share = { used: 0, reserved: 0, endsAt: now + windowMs, asking: undefined })
      const mine = share
      if (mine.used > max) return { used: mine.used, endsInMs: mine.endsAt - now }
      if (mine.reserved >= units) {
        mine.reserved -= units
        return { used: mine.used - mine.reserved, endsInMs: mine.endsAt - now }
      }
      const ahead = Math.max(units, Math.floor(max / 100))
      mine.asking ??= add(caller, ahead, windowMs).then(({ total, endsInMs }) => {
        mine.endsAt = performance.now() + endsInMs
        mine.used = total
        // Near the limit a share may reach beyond it: only what lies below counts.
        mine.reserved += total <= max ? ahead : Math.max(0, ahead - (total - max))
      }).finally(() => { mine.asking = undefined })
      try {
        await mine.asking
      } catch {
        return await alone(caller, units, max)
      }
      if (mine.used > max && mine.reserved < units) return { used: mine.used, endsInMs: mine.endsAt - performance.now() }
    }
  }
}
