import { createReadStream } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGunzip } from 'node:zlib'

const pollMs = 200
/** Longer lines are left out: no event of ours comes near. */
const mostOfLine = 1_048_576

/** The lines of a file: of `-` what comes in, of one that ends in .gz what is packed in it. */
export async function * linesOf (path: string): AsyncGenerator<string, void, undefined> {
  const source = path === '-' ? process.stdin : createReadStream(path)
  // What goes wrong with the file comes out of what unpacks it.
  const plain = path.endsWith('.gz') ? pipeline(source, createGunzip(), () => {}) : source
  const lines = new Lines()
  for await (const chunk of plain) yield * lines.take(chunk as Buffer)
  yield * lines.end()
}

/**
 * The lines that are written to a file from now on, or all of them and then those. Where another file takes its place the old one is read to its end first,
 * then the new one from its beginning; where it is cut, too.
 */
export async function * follow (path: string, fromStart: boolean): AsyncGenerator<string, void, undefined> {
  let file = await open(path)
  let position = fromStart ? 0 : (await file.stat()).size
  let lines = new Lines()
  const buffer = Buffer.alloc(65_536)
  try {
    for (;;) {
      const count = await read()
      if (count > 0) {
        yield * lines.take(buffer.subarray(0, count))
        continue
      }
      const next = await successor(path, file)
      if (next !== undefined) {
        // What was written between our last look and the change.
        for (let left = await read(); left > 0; left = await read()) yield * lines.take(buffer.subarray(0, left))
        yield * lines.end()
        await file.close()
        file = next
        position = 0
        lines = new Lines()
        continue
      }
      if ((await file.stat()).size < position) {
        position = 0
        lines = new Lines()
        continue
      }
      await sleep(pollMs)
    }
  } finally {
    await file.close()
  }

  async function read (): Promise<number> {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position)
    position += bytesRead
    return bytesRead
  }
}

/** The file that has taken the place of this one; undefined while none has. */
async function successor (path: string, file: FileHandle): Promise<FileHandle | undefined> {
  try {
    const [there, here] = await Promise.all([stat(path), file.stat()])
    return there.ino === here.ino && there.dev === here.dev ? undefined : await open(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Cuts bytes into lines. */
class Lines {
  readonly #decoder = new StringDecoder('utf8')
  #rest = ''
  #isTooLong = false

  take (chunk: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.write(Buffer.from(chunk))).split(/\r?\n/)
    this.#rest = lines.pop()!
    // The first of them ends what was too long.
    if (this.#isTooLong && lines.length > 0) {
      lines.shift()
      this.#isTooLong = false
    }
    if (this.#rest.length > mostOfLine) {
      this.#isTooLong = true
      this.#rest = ''
    }
    return lines.filter((line) => line !== '')
  }

  end (): string[] {
    return this.#rest === '' || this.#isTooLong ? [] : [this.#rest]
  }
}
