import { LRUCache } from 'lru-cache'

/** How many units a caller has used in its window, and when that ends; `warns` once in a window, at the call that uses up 80 % of the limit. */
export interface Use { used: number, endsInMs: number, warns: boolean }

/** Adds units to what a caller has used; `max` is the limit they count against. */
export type Add = (caller: string, units: number, max: number) => Use | Promise<Use>

interface Window { used: number, endsAt: number }
interface Share extends Window { reserved: number, warns: boolean, asking: Promise<void> | undefined }

const most = 100_000

/** True from 80 % of a limit on. */
export const isNear = (used: number, max: number): boolean => used * 5 >= max * 4

/** Counts in this process. `parts`: among how many instances a limit is divided while they cannot ask each other. */
export function countHere (windowMs: number, parts: () => number = () => 1): Add {
  const windows = new LRUCache<string, Window>({ max: most })
  return (caller, units, max) => {
    const now = performance.now()
    let window = windows.get(caller)
    if (window === undefined || window.endsAt <= now) windows.set(caller, window = { used: 0, endsAt: now + windowMs })
    const before = window.used
    window.used += units * parts()
    return { used: window.used, endsInMs: window.endsAt - now, warns: isNear(window.used, max) && !isNear(before, max) }
  }
}

/**
 * Counts over all instances. Each instance reserves a small share of the limit ahead (1 %), so that most calls ask nobody;
 * what it does not use of its last share is lost to the caller. While the shared count cannot be reached, it counts here.
 */
export function countTogether (windowMs: number, add: (caller: string, units: number, windowMs: number) => Promise<{ total: number, endsInMs: number }>, alone: Add): Add {
  const shares = new LRUCache<string, Share>({ max: most })
  const tell = (share: Share, used: number, now: number): Use => {
    const { warns } = share
    share.warns = false
    return { used, endsInMs: share.endsAt - now, warns }
  }
  return async (caller, units, max) => {
    for (;;) {
      // Looked up anew after each wait: those who waited while the window ended go on with one share, not one each.
      let share = shares.get(caller)
      const now = performance.now()
      if (share === undefined || share.endsAt <= now) shares.set(caller, share = { used: 0, reserved: 0, warns: false, endsAt: now + windowMs, asking: undefined })
      const mine = share
      if (mine.reserved >= units) {
        mine.reserved -= units
        return tell(mine, Math.min(mine.used, max) - mine.reserved, now)
      }
      if (mine.used > max) return tell(mine, mine.used, now)
      const ahead = Math.max(units, Math.floor(max / 100))
      mine.asking ??= add(caller, ahead, windowMs).then(({ total, endsInMs }) => {
        mine.endsAt = performance.now() + endsInMs
        mine.used = total
        // The sum passes 80 % at one instance only.
        mine.warns ||= isNear(total, max) && !isNear(total - ahead, max)
        // Near the limit a share may reach beyond it: only what lies below counts.
        mine.reserved += Math.max(0, ahead - Math.max(0, total - max))
      }).finally(() => { mine.asking = undefined })
      try {
        await mine.asking
      } catch {
        return await alone(caller, units, max)
      }
    }
  }
}
