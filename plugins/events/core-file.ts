import { open, stat, type FileHandle } from 'node:fs/promises'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { LogEvent } from '../../schemas/logs.ts'
import type { TraceEvent } from '../../schemas/traces.ts'
import { createComplaint, type Complain } from './complaint.ts'
import { eventsOf, type TraceOf } from './core-events.ts'
import { Lines } from './core-lines.ts'

interface Options {
  publish: (topic: 'logs' | 'traces', event: LogEvent | TraceEvent, once: string) => void
  log: Pick<FastifyBaseLogger, 'warn'>
  /** The trace of a request of ours, as long as it is known. */
  traceOf?: TraceOf
  everyMs?: number
  /** A file that was replaced is left when it was silent that long: its writer may notice late. */
  quietMs?: number
}
interface Opened { handle: FileHandle, dev: number, ino: number, position: number, before: Buffer, lines: Lines, replacedAt?: number, silentSince: number }

const longestLine = 1_048_576
const readBytes = 65_536
/** Of what was read last: where it is no longer found before what comes next, the file was emptied and written anew. */
const rememberedBytes = 64
const mostQuietMs = 10_000
const mostOpen = 16

/**
 * Follows the file to which the MUXI Core writes its events: from its end, or whole where it comes later; over its replacement and its truncation.
 *
 * Looks every so often, and does not wait for the system to tell: network file systems and mounts of containers tell nothing.
 */
export function followCoreFile (path: string, { publish, log, traceOf, everyMs = 250, quietMs = 1_000 }: Options): { close: () => Promise<void> } {
  const closing = new AbortController()
  const complain = createComplaint(log)
  const take = (line: string) => {
    const events = tried(() => eventsOf(line, traceOf))
    if (events === undefined) {
      complain('a line of the events of the Core is no event', { path })
      return
    }
    publish('logs', events.log, events.id)
    if (events.trace !== undefined) publish('traces', events.trace, events.id)
  }
  const follower = new Follower({ path, quietMs }, take, complain)

  const run = async () => {
    while (!closing.signal.aborted) {
      try {
        await follower.look(closing.signal)
      } catch (err) {
        complain('the events of the Core cannot be read', { path, err })
      }
      await sleep(everyMs, undefined, { ref: false, signal: closing.signal }).catch(() => {})
    }
    await follower.close()
  }
  const running = run()
  return {
    close: async () => {
      closing.abort()
      await running
    }
  }
}

class Follower {
  readonly #path: string
  readonly #quietMs: number
  readonly #take: (line: string) => void
  readonly #complain: Complain
  readonly #bytes = Buffer.alloc(readBytes)
  /** In the order in which they were written: all but the last are replaced. */
  readonly #files: Opened[] = []
  #isFirst = true

  constructor ({ path, quietMs }: { path: string, quietMs: number }, take: (line: string) => void, complain: Complain) {
    this.#path = path
    this.#quietMs = quietMs
    this.#take = take
    this.#complain = complain
  }

  /** Reads what has come since the last look. */
  async look (signal: AbortSignal): Promise<void> {
    await this.#open()
    for (const file of [...this.#files]) {
      try {
        while (await this.#read(file) && !signal.aborted) await turn()
      } catch (error) {
        // A file of a network file system that is gone for good: the path is opened anew.
        await this.#leave(file)
        throw error
      }
      // What comes after it waits for its end.
      if (!this.#isDone(file)) return
      await this.#leave(file)
    }
  }

  async close (): Promise<void> {
    for (const { handle } of this.#files.splice(0)) await handle.close()
  }

  async #open (): Promise<void> {
    const isFirst = this.#isFirst
    const facts = await stat(this.#path).catch(unlessAbsent)
    this.#isFirst = false
    const last = this.#files.at(-1)
    if (facts === undefined || (facts.ino === last?.ino && facts.dev === last.dev) || this.#files.length >= mostOpen) return
    const handle = await open(this.#path, 'r').catch(unlessAbsent)
    if (handle === undefined) return
    const { dev, ino, size } = await handle.stat()
    const position = isFirst ? size : 0
    const before = Buffer.alloc(Math.min(position, rememberedBytes))
    await handle.read(before, 0, before.length, position - before.length)
    const isWithin = position > 0 && before.at(-1) !== 0x0a
    const lines = new Lines(longestLine, () => { this.#complain('a line of the events of the Core is too long', { path: this.#path, most: longestLine }) }, isWithin)
    if (last !== undefined) last.replacedAt = performance.now()
    this.#files.push({ handle, dev, ino, position, before, lines, silentSince: performance.now() })
  }

  /** One piece of the file; false at its end. */
  async #read (file: Opened): Promise<boolean> {
    const { handle, before } = file
    const { size } = await handle.stat()
    if (size === file.position) return false
    const { bytesRead } = await handle.read(this.#bytes, 0, readBytes, file.position - before.length)
    if (size < file.position || !before.equals(this.#bytes.subarray(0, before.length))) {
      this.#end(file)
      file.position = 0
      file.before = Buffer.alloc(0)
      return true
    }
    const piece = this.#bytes.subarray(before.length, bytesRead)
    if (piece.length === 0) return false
    file.position += piece.length
    file.before = Buffer.from(this.#bytes.subarray(Math.max(0, bytesRead - rememberedBytes), bytesRead))
    file.silentSince = performance.now()
    for (const line of file.lines.take(piece)) this.#take(line)
    return true
  }

  /** What has no end by then is taken for a line. */
  #end ({ lines }: Opened): void {
    const rest = lines.rest()
    if (rest !== '') this.#take(rest)
  }

  #isDone ({ replacedAt, silentSince }: Opened): boolean {
    if (replacedAt === undefined) return false
    const now = performance.now()
    return now - Math.max(silentSince, replacedAt) >= this.#quietMs || now - replacedAt >= mostQuietMs
  }

  async #leave (file: Opened): Promise<void> {
    this.#files.splice(this.#files.indexOf(file), 1)
    this.#end(file)
    await file.handle.close()
  }
}

/** Whatever a line holds, the next one is read. */
function tried<T> (make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}

function unlessAbsent (error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined
  throw error
}
