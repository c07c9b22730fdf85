import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { expect, test as base, vi } from 'vitest'
import { type EmbeddedCore, startEmbeddedCore } from '../../core/embedded/index.ts'
import { keys } from '../app.ts'
import { listening } from '../core/client.ts'
import { folder } from '../fixtures/folder.ts'

// Processes take their time where the processors are shared.
vi.setConfig({ testTimeout: 30_000 })

const main = resolve('dist/cli/index.js')

/** A running command line: what it has written, and how it ended. */
export class Run {
  stdout = ''
  stderr = ''
  readonly process: ChildProcess
  readonly ended: Promise<{ code: number | null, signal: string | null }>

  constructor (args: string[], options: { cwd: string, env: Record<string, string> }) {
    this.process = spawn(process.execPath, [main, ...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => { this.stdout += text })
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => { this.stderr += text })
    this.ended = once(this.process, 'close').then(([code, signal]) => ({ code, signal }))
  }

  /** The lines of its log, parsed. */
  get lines (): Record<string, unknown>[] {
    return this.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  /** Where it listens, once it does. */
  async url (): Promise<string> {
    let url: string | undefined
    await expect.poll(() => url = /listening on (http:\/\/[^"]+)"/.exec(this.stdout)?.[1], { timeout: 30_000, interval: 20 }).toBeDefined()
    return url!
  }

  /** How it ended after that signal, or by itself. */
  async end (signal?: NodeJS.Signals): Promise<{ code: number | null, signal: string | null, stdout: string, stderr: string }> {
    if (signal !== undefined) this.process.kill(signal)
    return { ...await this.ended, stdout: this.stdout, stderr: this.stderr }
  }
}

interface Fixtures {
  folder: string
  core: EmbeddedCore
  /** starts the command in a folder of its own, with these variables and no others */
  run: (args: string[], env?: Record<string, string>) => Run
  freePort: () => Promise<number>
}

/** A test with the compiled command line. */
export const test = base.extend<Fixtures>({
  folder,
  core: async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    await use(core)
    await core.close()
  },
  run: async ({ folder }, use) => {
    const all: Run[] = []
    await use((args, env = {}) => {
      const run = new Run(args, { cwd: folder, env: { PATH: process.env.PATH ?? '', ...env } })
      all.push(run)
      return run
    })
    for (const { process: child } of all) child.kill('SIGKILL')
    await Promise.all(all.map(async ({ ended }) => await ended))
  },
  freePort: async ({}, use) => {
    await use(async () => {
      const server = createServer()
      const { port } = new URL(await listening(server))
      server.close()
      return Number(port)
    })
  }
})
