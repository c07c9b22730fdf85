import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { until } from '../processes.ts'

const running = new Map<ChildProcess, NodeJS.Signals>()
// Whatever a failure left behind.
const endAll = () => { for (const [child, signal] of running) child.kill(signal) }
process.on('exit', endAll)
process.once('SIGTERM', () => {
  endAll()
  process.exit(1)
})

interface How {
  cwd: string
  /** File that takes what the program writes. */
  log: string
  env?: Record<string, string>
  /** With which it is ended for good; a program that has children must end them itself. */
  end?: NodeJS.Signals
}

/** A program of one test: it can be killed, frozen and started again. */
export class Program {
  readonly #command: string
  readonly #args: string[]
  readonly #how: How
  #child: ChildProcess | undefined

  constructor (command: string, args: string[], how: How) {
    this.#command = command
    this.#args = args
    this.#how = how
  }

  get runs (): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  async start (ready: () => Promise<boolean>): Promise<void> {
    const { cwd, log, env = {}, end = 'SIGKILL' } = this.#how
    const out = openSync(log, 'a')
    // What is set for whoever runs this is not for these processes.
    const rest = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MUXI_')))
    const child = spawn(this.#command, this.#args, { cwd, env: { ...rest, ...env }, stdio: ['ignore', out, out] })
    closeSync(out)
    this.#child = child
    running.set(child, end)
    child.once('exit', () => { running.delete(child) })
    try {
      await once(child, 'spawn')
      await until(async () => {
        if (!this.runs) throw new Error('it ended')
        return await ready()
      })
    } catch (cause) {
      await this.stop()
      throw new Error(`${this.#command} did not start:\n${(await readFile(log, 'utf8')).slice(-4_096)}`, { cause })
    }
  }

  signal (name: NodeJS.Signals): void {
    if (this.runs) this.#child!.kill(name)
  }

  /** Ends it; resolves when it is gone. */
  async stop (): Promise<void> {
    if (!this.runs) return
    const gone = once(this.#child!, 'exit')
    this.#child!.kill(this.#how.end ?? 'SIGKILL')
    await gone
  }
}
