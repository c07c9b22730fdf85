import { mkdir, open, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Archive } from './archive.ts'

interface Bounds { path: string, bytes: number, ageMs: number }
interface Watcher { rotated: () => void, stuck: (error: unknown) => void }
interface Opened { handle: FileHandle, dev: number, ino: number, size: number, born: number }

const mostAtOnce = 262_144
/** Somebody else may move the file away, or empty it. */
const lookMs = 500
/** A file that cannot be put aside is written on, and tried again then. */
const stuckMs = 10_000

/** A file that is written to in whole lines, and put aside when it is full or old. No line is split over two files. */
export class RotatedFile {
  readonly #bounds: Bounds
  readonly #archive: Pick<Archive, 'take'>
  readonly #on: Watcher
  #opened: Opened | undefined
  #looked = 0
  #rotatesFrom = 0

  constructor (bounds: Bounds, archive: Pick<Archive, 'take'>, on: Watcher) {
    this.#bounds = bounds
    this.#archive = archive
    this.#on = on
  }

  /** Writes the first of these lines, as many as fit, and says how many. When it throws, none is written. */
  async write (lines: readonly Buffer[]): Promise<number> {
    let file = await this.#current()
    if (this.#isFull(file, lines[0]?.length ?? 0)) file = await this.#rotate(file)
    const room = performance.now() < this.#rotatesFrom ? mostAtOnce : Math.min(mostAtOnce, this.#bounds.bytes - file.size)
    let bytes = 0
    let count = 0
    while (count < lines.length && (count === 0 || bytes + lines[count]!.length <= room)) bytes += lines[count++]!.length
    if (count === 0) return 0
    try {
      await file.handle.appendFile(Buffer.concat(lines.slice(0, count), bytes))
    } catch (error) {
      // A full disk takes a part: without it no line is torn, and the whole can be written again.
      await file.handle.truncate(file.size).catch(() => {})
      await this.close()
      throw error
    }
    file.size += bytes
    return count
  }

  async close (): Promise<void> {
    const { handle } = this.#opened ?? {}
    this.#opened = undefined
    await handle?.close()
  }

  #isFull ({ size, born }: Opened, next: number): boolean {
    return size > 0 && performance.now() >= this.#rotatesFrom && (size + next > this.#bounds.bytes || Date.now() - born >= this.#bounds.ageMs)
  }

  async #rotate (file: Opened): Promise<Opened> {
    // It may have been moved away a moment ago: only the file that is written to is put aside.
    if (await this.#isInPlace(file)) {
      try {
        await this.#archive.take()
      } catch (error) {
        this.#rotatesFrom = performance.now() + stuckMs
        this.#on.stuck(error)
        return file
      }
      this.#on.rotated()
    }
    await this.close()
    return await this.#open()
  }

  async #current (): Promise<Opened> {
    if (this.#opened === undefined) return await this.#open()
    if (performance.now() - this.#looked < lookMs || await this.#isInPlace(this.#opened)) return this.#opened
    await this.close()
    return await this.#open()
  }

  async #isInPlace (file: Opened): Promise<boolean> {
    this.#looked = performance.now()
    const facts = await stat(this.#bounds.path).catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return undefined; throw error })
    if (facts?.ino !== file.ino || facts.dev !== file.dev) return false
    file.size = facts.size
    return true
  }

  async #open (): Promise<Opened> {
    const { path } = this.#bounds
    await mkdir(dirname(path), { recursive: true })
    const handle = await open(path, 'a+', 0o640)
    const { dev, ino, size, birthtimeMs, ctimeMs } = await handle.stat()
    const file = this.#opened = { handle, dev, ino, size, born: birthtimeMs > 0 ? birthtimeMs : ctimeMs }
    this.#looked = performance.now()
    // A process that was killed may have left half a line: ours is not to be its end.
    if (size > 0 && (await handle.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0] !== 0x0a) {
      await handle.appendFile('\n')
      file.size++
    }
    return file
  }
}
