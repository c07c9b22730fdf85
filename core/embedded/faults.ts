export type Garbage = 'html' | 'half' | 'json' | 'empty' | 'endless' | 'wrong-envelope'

interface Effects {
  /** wait before anything else */
  delayMs: number
  /** destroy the socket without an answer */
  drop: true
  /** answer with this status */
  status: number
  /** answer 200 with something that no client expects */
  garbage: Garbage
  /** chat stream: destroy the socket after that many content frames */
  cutAfter: number
  /** chat stream: malformed frames between the good ones */
  malformed: true
  /** chat stream: headers, then nothing at all */
  silent: true
}
export type Effect = keyof Effects
type OneOf<T> = { [K in keyof T]: Pick<T, K> }[keyof T]
type StatusFault = { status: number, body?: string, headers?: Record<string, string> }

/** What goes wrong, for which requests (a path may end in `*`), how many times. */
export type Fault =
  & { method?: string, path?: string | RegExp, times?: number }
  & (OneOf<Omit<Effects, 'status'>> | StatusFault)

/** The names of the effects, for whoever must tell one from a word. */
export const effects = ['delayMs', 'drop', 'status', 'garbage', 'cutAfter', 'malformed', 'silent'] as const satisfies Effect[]

type With<E extends Effect> = Extract<Fault, { [K in E]: unknown }>

/** The faults that wait for their request. */
export class Faults {
  readonly #prefix: string
  readonly #waiting = new Map<Fault, number>()

  constructor (prefix: string) {
    this.#prefix = prefix
  }

  /** Adds a fault; the function given back removes it. */
  add (fault: Fault): () => void {
    const own = { ...fault }
    this.#waiting.set(own, own.times ?? Infinity)
    return () => { this.#waiting.delete(own) }
  }

  heal (): void {
    this.#waiting.clear()
  }

  /** The first fault with this effect for this request, counted as used. */
  take<E extends Effect> (effect: E, request: { method: string, path: string }): With<E> | undefined {
    for (const [fault, left] of this.#waiting) {
      if (!(effect in fault) || !this.#matches(fault, request)) continue
      if (left > 1) this.#waiting.set(fault, left - 1)
      else this.#waiting.delete(fault)
      return fault as With<E> // it has the member that tells the effects apart
    }
  }

  #matches (fault: Fault, { method, path }: { method: string, path: string }): boolean {
    if (fault.method !== undefined && fault.method.toUpperCase() !== method) return false
    const { path: wanted } = fault
    if (wanted === undefined) return true
    const spellings = [path, path.startsWith(this.#prefix) ? path.slice(this.#prefix.length) : path]
    if (wanted instanceof RegExp) return spellings.some((spelling) => spelling.search(wanted) >= 0)
    if (wanted.endsWith('*')) return spellings.some((spelling) => spelling.startsWith(wanted.slice(0, -1)))
    return spellings.includes(wanted)
  }
}
