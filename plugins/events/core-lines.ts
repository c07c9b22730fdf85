const newline = 0x0a

/** Cuts bytes into lines, wherever the pieces end. A line that is too long is left out, and counted. */
export class Lines {
  readonly #longest: number
  readonly #onTooLong: () => void
  #pieces: Buffer[] = []
  #bytes = 0
  #isLeftOut: boolean

  /** `isWithin`: the first piece begins within a line, of which the rest is left out. */
  constructor (longest: number, onTooLong: () => void, isWithin = false) {
    this.#longest = longest
    this.#onTooLong = onTooLong
    this.#isLeftOut = isWithin
  }

  /** The lines that end in this piece. What remains of it is kept for the next one. */
  * take (piece: Buffer): Generator<string> {
    let from = 0
    for (let to = piece.indexOf(newline); to >= 0; to = piece.indexOf(newline, from)) {
      this.#keep(piece.subarray(from, to))
      from = to + 1
      const line = this.rest()
      if (line !== '') yield line
    }
    this.#keep(piece.subarray(from))
  }

  /** What is kept of a line that has not ended; it begins anew. */
  rest (): string {
    const line = this.#isLeftOut ? '' : Buffer.concat(this.#pieces, this.#bytes).toString()
    this.#pieces = []
    this.#bytes = 0
    this.#isLeftOut = false
    return line
  }

  #keep (piece: Buffer): void {
    if (this.#isLeftOut || piece.length === 0) return
    if (this.#bytes + piece.length > this.#longest) {
      this.rest()
      this.#isLeftOut = true
      this.#onTooLong()
      return
    }
    // A copy: the next read goes into the same bytes.
    this.#pieces.push(Buffer.from(piece))
    this.#bytes += piece.length
  }
}
