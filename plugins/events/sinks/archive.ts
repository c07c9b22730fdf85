import { createReadStream, createWriteStream } from 'node:fs'
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

interface Place { path: string, folder: string, keep: number }
interface Kept { name: string, path: string, isPacked: boolean }

/** `<name>.20260302T093045.120Z.0` once it is put aside, with `.gz` once it is packed. */
const endings = /^\.(\d{8}T\d{6}\.\d{3}Z)\.(\d+)(\.gz(?:\.part)?)?$/

/** Where full files go: put aside beside the file in an instant, packed into the folder in the background, and removed when there are too many. */
export class Archive {
  readonly #place: Place
  readonly #onFailure: (error: unknown) => void
  readonly #ending = new AbortController()
  #running: Promise<void> | undefined
  #again = false

  constructor (place: Place, onFailure: (error: unknown) => void) {
    this.#place = place
    this.#onFailure = onFailure
  }

  /** Puts the file aside under a name that is free. */
  async take (): Promise<void> {
    const { path, folder } = this.#place
    const time = new Date().toISOString().replaceAll(/[:-]/g, '')
    for (let count = 0; ; count++) {
      const aside = `${path}.${time}.${count}`
      if (await exists(aside) || await exists(join(folder, `${basename(aside)}.gz`))) continue
      await rename(path, aside)
      return
    }
  }

  /** Packs what waits for it, and removes what is too much, in the background. What a killed process left half done is done anew. */
  tidy (): void {
    this.#again = true
    this.#running ??= this.#run()
  }

  /** Resolves when nothing waits. */
  async settled (): Promise<void> {
    await this.#running
  }

  /** What is not packed by then is packed by the next process. */
  async close (): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  async #run (): Promise<void> {
    while (this.#again && !this.#ending.signal.aborted) {
      this.#again = false
      await this.#tidy().catch((error: unknown) => { if (!this.#ending.signal.aborted) this.#onFailure(error) })
    }
    this.#running = undefined
  }

  async #tidy (): Promise<void> {
    const { path, folder, keep } = this.#place
    for (;;) {
      const kept = await this.#list()
      for (const { name } of kept.splice(keep)) {
        for (const one of [join(dirname(path), name), ...['.gz', '.gz.part'].map((ending) => join(folder, `${name}${ending}`))]) await rm(one, { force: true })
      }
      const next = kept.findLast(({ isPacked }) => !isPacked)
      if (next === undefined || this.#ending.signal.aborted) return
      await this.#pack(next)
    }
  }

  async #pack ({ name, path }: Kept): Promise<void> {
    const { folder } = this.#place
    await mkdir(folder, { recursive: true })
    const packed = join(folder, `${name}.gz`)
    const part = `${packed}.part`
    try {
      // On the disk before the original goes.
      await pipeline(createReadStream(path), createGzip(), createWriteStream(part, { mode: 0o640, flush: true }), { signal: this.#ending.signal })
    } catch (error) {
      await rm(part, { force: true })
      throw error
    }
    await rename(part, packed)
    await rm(path, { force: true })
  }

  /** Newest first. One that is put aside counts for the packed one that was made of it. */
  async #list (): Promise<Kept[]> {
    const { path, folder } = this.#place
    const own = dirname(path)
    const found = new Map<string, Kept & { time: string, count: number }>()
    for (const place of new Set([folder, own])) {
      for (const file of await readdir(place).catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return []; throw error })) {
        const [, time, count, packing] = file.startsWith(basename(path)) ? endings.exec(file.slice(basename(path).length)) ?? [] : []
        if (time === undefined || packing === '.gz.part' || (packing === undefined && place !== own) || (packing !== undefined && place !== folder)) continue
        const name = `${basename(path)}.${time}.${count}`
        if (found.get(name)?.isPacked !== false) found.set(name, { name, path: join(place, file), isPacked: packing !== undefined, time, count: Number(count) })
      }
    }
    return [...found.values()].sort((one, two) => one.time === two.time ? two.count - one.count : one.time < two.time ? 1 : -1)
  }
}

async function exists (path: string): Promise<boolean> {
  return await access(path).then(() => true, () => false)
}
