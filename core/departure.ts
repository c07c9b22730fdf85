/** The part of an AbortSignal that a call needs: every AbortSignal fits. */
export interface Leaving {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener: (type: 'abort', listener: () => void) => void
  removeEventListener: (type: 'abort', listener: () => void) => void
}

/** One for all: to make an error costs more than a call. */
const left = new Error('the caller went away')

/** Says when a caller has gone away. Stands in for an AbortSignal, which costs twenty times as much to make and to listen to. */
export class Departure implements Leaving {
  aborted = false
  readonly reason: unknown = left
  #listeners: (() => void)[] | undefined
  #signal: AbortSignal | undefined

  addEventListener (_: 'abort', listener: () => void): void {
    (this.#listeners ??= []).push(listener)
  }

  removeEventListener (_: 'abort', listener: () => void): void {
    const at = this.#listeners?.indexOf(listener) ?? -1
    if (at >= 0) this.#listeners!.splice(at, 1)
  }

  /** The same as a real signal, made when asked for. */
  get signal (): AbortSignal {
    if (this.#signal === undefined) {
      const controller = new AbortController()
      this.#signal = controller.signal
      const abort = () => { controller.abort(this.reason) }
      if (this.aborted) abort()
      else this.addEventListener('abort', abort)
    }
    return this.#signal
  }

  leave (): void {
    if (this.aborted) return
    this.aborted = true
    for (const listener of this.#listeners?.splice(0) ?? []) listener()
  }
}
