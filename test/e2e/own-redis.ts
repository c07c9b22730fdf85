import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { Redis } from 'ioredis'
import { freePort, installed } from './processes.ts'

/** Why there is no Redis to start; undefined where there is. */
export function redisMissing (): string | undefined {
  return installed('redis-server') ? undefined : 'no redis-server in the PATH (Debian: apt-get install redis-server)'
}

/** As a replica it would write down what it is given, and read that when it starts. */
const withoutDisk = ['--dir', tmpdir(), '--dbfilename', 'nothing.rdb', '--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0', '--repl-diskless-load', 'swapdb']

/** A Redis of one test, on loopback, that keeps nothing on disk. */
export class OwnRedis {
  readonly port: number
  #process: ChildProcess | undefined

  private constructor (port: number) { this.port = port }

  static async start (): Promise<OwnRedis> {
    const redis = new OwnRedis(await freePort())
    await redis.start()
    return redis
  }

  async start (): Promise<void> {
    this.#process = spawn('redis-server', ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...withoutDisk], { stdio: 'ignore' })
    const client = new Redis(this.port, '127.0.0.1', { retryStrategy: () => 50 })
    client.on('error', () => {})
    await new Promise<void>((resolve) => { client.once('ready', resolve) })
    client.disconnect()
  }

  /** It keeps its connections and takes new ones, but answers nothing. */
  freeze (): void { this.#process!.kill('SIGSTOP') }
  thaw (): void { this.#process!.kill('SIGCONT') }

  async kill (): Promise<void> {
    if (this.#process?.exitCode !== null || this.#process.signalCode !== null) return
    this.#process.kill('SIGKILL')
    await once(this.#process, 'exit')
  }
}
