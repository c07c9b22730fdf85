/** One line of the report. `id` is for scripts, `what` for people. */
export interface Check { id: string, status: 'ok' | 'warning' | 'failed', what: string, fact: string, remedy?: string }

/** What a check found out. */
export type Finding = Omit<Check, 'id' | 'what'>

/** No check takes longer. */
export const patienceMs = 5_000

export const ok = (fact: string): Finding => ({ status: 'ok', fact })
export const warning = (fact: string, remedy: string): Finding => ({ status: 'warning', fact, remedy })
export const failed = (fact: string, remedy: string): Finding => ({ status: 'failed', fact, remedy })

/** A check with its name; one that hangs or throws is a failed one. */
export async function check (id: string, what: string, find: () => Finding | Promise<Finding>): Promise<Check> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Finding>((resolve) => {
    timer = setTimeout(() => { resolve(failed(`nothing within ${patienceMs / 1_000} s`, 'something between here and there lets packets vanish: look at firewalls and names')) }, patienceMs)
  })
  try {
    return { id, what, ...await Promise.race([find(), late]) }
  } catch (error) {
    return { id, what, ...failed(wordsOf(error), 'try again; if it stays, the log of the server may tell more') }
  } finally {
    clearTimeout(timer)
  }
}

/** An error as one line. */
export function wordsOf (error: unknown): string {
  const { message, code } = error as { message?: string, code?: unknown }
  const text = (message ?? String(error)).split('\n')[0]!
  return text === '' ? String(code) : text
}

/** Whole milliseconds since that moment, by performance.now(). */
export function since (moment: number): number {
  return Math.max(1, Math.round(performance.now() - moment))
}

/** Seconds that a clock is away from ours, in words. */
export function skewWords (ms: number): string {
  return `${(Math.abs(ms) / 1_000).toFixed(1)} s ${ms < 0 ? 'behind' : 'ahead of'} this machine`
}
