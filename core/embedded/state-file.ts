import { open, readFile, rename, rm } from 'node:fs/promises'
import { Value } from '@sinclair/typebox/value'
import { Saved } from './saved.ts'

const pauseMs = 200

/** Reads the state of an earlier start; undefined when there was none. */
export async function readState (file: string): Promise<Saved | undefined> {
  let value: unknown
  try {
    value = JSON.parse(await readFile(file, 'utf8'))
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return undefined
    throw unusable(file, err instanceof SyntaxError ? 'it is no JSON' : lineOf(err))
  }
  if (typeof value === 'object' && value !== null && 'version' in value && value.version !== 1) throw unusable(file, `it has version ${String(value.version)} and not 1`)
  const [error] = Value.Errors(Saved, value)
  if (error) throw unusable(file, `${error.path.slice(1).replaceAll('/', '.') || 'the whole'}: ${error.message}`)
  return value as Saved // Value.Errors found none
}

/** A file that follows the state: written soon after a change and at the end, whole or not at all. */
export class StateFile {
  readonly #file: string
  readonly #saved: () => Saved
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor (file: string, saved: () => Saved) {
    this.#file = file
    this.#saved = saved
  }

  /** Notes a change; several within a moment are written once. */
  changed (): void {
    if (this.#isClosed) return
    this.#timer ??= setTimeout(() => {
      this.write().catch((err: unknown) => { process.stderr.write(`${lineOf(err)}\n`) })
    }, pauseMs)
  }

  /** Writes the state as it is now; a failure is one clear line. */
  async write (): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.catch(() => {}).then(async () => { await replace(this.#file, JSON.stringify(this.#saved())) })
    await this.#writing
  }

  /** Writes the state for the last time. */
  async close (): Promise<void> {
    this.#isClosed = true
    await this.write()
  }
}

/** The file is there in its old form or in its new one at every moment, and only its owner may read it. */
async function replace (file: string, text: string): Promise<void> {
  const fresh = `${file}.${process.pid}.tmp`
  try {
    const handle = await open(fresh, 'w', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(fresh, file)
  } catch (err) {
    await rm(fresh, { force: true }).catch(() => {})
    throw unusable(file, lineOf(err))
  }
}

function unusable (file: string, reason: string): Error {
  return new Error(`the state file ${file} can't be used: ${reason}`)
}

function lineOf (err: unknown): string {
  return (err instanceof Error ? err.message : String(err)).split('\n')[0] ?? ''
}
