/** What one event may hold, in bytes of its JSON, from which each of its parts takes some. What does not fit is cut or left out, and `truncated` says so. */
export class Room {
  truncated = false
  #left: number

  constructor (bytes: number) {
    this.#left = bytes
  }

  /** As much from the beginning of a text as fits, at most `most` bytes. */
  text (text: string, most: number): string {
    const bytes = Math.min(most, this.#left)
    // Every character takes a byte at least.
    let kept = text.length > bytes ? text.slice(0, Math.max(bytes, 0)) : text
    let cost = bytesOf(JSON.stringify(kept))
    while (cost > bytes && kept !== '') {
      kept = kept.slice(0, Math.floor(kept.length * bytes / cost))
      cost = bytesOf(JSON.stringify(kept))
    }
    if (kept.length < text.length) {
      this.truncated = true
      // Half a pair is no character.
      if (/[\ud800-\udbff]$/.test(kept)) kept = kept.slice(0, -1)
    }
    this.#left -= cost
    return kept
  }

  /** A value of at most `most` bytes under its name; undefined where they do not fit. What is longer is cut, as text. */
  member (name: string, value: unknown, most: number): [string, unknown] | undefined {
    const json = JSON.stringify(value) ?? 'null'
    const bytes = bytesOf(json)
    const cost = bytesOf(JSON.stringify(name)) + 2
    if (name.length > 256 || this.#left < cost + Math.min(bytes, most)) {
      this.truncated = true
      return undefined
    }
    this.#left -= cost
    if (bytes > most) return [name, this.text(typeof value === 'string' ? value : json, most)]
    this.#left -= bytes
    return [name, value ?? null]
  }
}

function bytesOf (text: string): number {
  return Buffer.byteLength(text)
}
