import { copyFile, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { Program } from './program.ts'

/** A Redis that writes its data to disk when it is told to, so that it can come back with an older state, or with none. */
export class StoredRedis {
  readonly url: string
  readonly #port: number
  readonly #folder: string
  readonly #program: Program

  private constructor (port: number, folder: string) {
    this.#port = port
    this.#folder = join(folder, 'redis')
    this.url = `redis://127.0.0.1:${port}`
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '', '--appendonly', 'no']
    this.#program = new Program('redis-server', args, { cwd: folder, log: join(folder, 'redis.log') })
  }

  static async start (port: number, folder: string): Promise<StoredRedis> {
    const redis = new StoredRedis(port, folder)
    await mkdir(redis.#folder)
    await redis.start()
    return redis
  }

  /** Starts with the state of a snapshot, or empty. */
  async start (snapshot?: string): Promise<void> {
    const dump = join(this.#folder, 'dump.rdb')
    await rm(dump, { force: true })
    if (snapshot !== undefined) await copyFile(snapshot, dump)
    await this.#program.start(async () => await this.#ask(async (client) => await client.ping() === 'PONG').catch(() => false))
  }

  /** Writes the present state to a file of its own. */
  async snapshot (): Promise<string> {
    await this.#ask(async (client) => await client.save())
    const file = join(this.#folder, 'snapshot.rdb')
    await copyFile(join(this.#folder, 'dump.rdb'), file)
    return file
  }

  async kill (): Promise<void> {
    await this.#program.stop()
  }

  freeze (): void { this.#program.signal('SIGSTOP') }
  thaw (): void { this.#program.signal('SIGCONT') }

  async #ask<T> (question: (client: Redis) => Promise<T>): Promise<T> {
    const client = new Redis(this.#port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => null })
    client.on('error', () => {})
    try {
      await client.connect()
      return await question(client)
    } finally {
      client.disconnect()
    }
  }
}
