import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { root, until } from './processes.ts'

/** The least of a secret that nobody writes by chance. */
const telling = 20

/** Every spelling of a secret by which it could be found: itself, and base64 of it wherever it begins among three bytes. */
function spellings (secret: string): string[] {
  const core = secret.slice(-telling)
  const shifted = [0, 1, 2].map((skip) => {
    const bytes = Buffer.from(core).subarray(skip)
    return bytes.subarray(0, bytes.length - bytes.length % 3).toString('base64')
  })
  return [core, ...shifted, ...shifted.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))]
}

/** Finds secrets in texts of any length: windows of the text are looked up, so that many secrets cost as much as one. */
export class Search {
  readonly #names = new Map<string, string>()
  readonly #length: number

  /** Secrets by what they are called. Their ends must be random. */
  constructor (secrets: Map<string, string>) {
    const all = [...secrets].flatMap(([name, secret]) => spellings(secret).map((text) => [text, name] as const))
    this.#length = Math.min(...all.map(([text]) => text.length))
    for (const [text, name] of all) this.#names.set(text.slice(0, this.#length), name)
  }

  /** Names of what is in the text. */
  in (text: string): Set<string> {
    const found = new Set<string>()
    // A secret has no blanks, quotes or braces: only words as long as one are looked into.
    for (const [word] of text.matchAll(/[\w+/=-]{16,}/g)) {
      for (let at = 0; at + this.#length <= word.length; at++) {
        const name = this.#names.get(word.slice(at, at + this.#length))
        if (name !== undefined) found.add(name)
      }
    }
    return found
  }

  /** The same of a file, a piece at a time; pieces overlap, so that no end cuts a secret. */
  async inFile (path: string): Promise<Set<string>> {
    const found = new Set<string>()
    let tail = ''
    for await (const piece of createReadStream(path, { encoding: 'latin1', highWaterMark: 1_048_576 })) {
      const text = tail + String(piece)
      for (const name of this.in(text)) found.add(name)
      tail = text.slice(-64)
    }
    return found
  }
}

/** The built server in a process of its own, whose heap can be written to a file. */
export class Searched {
  readonly child: ChildProcess
  url = ''
  /** Standard output and standard error, whole. */
  log = ''
  readonly #folder: string

  private constructor (folder: string, env: Record<string, string>) {
    this.#folder = folder
    // Unless told so a snapshot keeps no more than 1,024 characters of a string.
    const flags = ['--heapsnapshot-signal=SIGUSR2', '--heap-snapshot-string-limit=1000000000', `--diagnostic-dir=${folder}`]
    const { PATH = '', HOME = '' } = process.env
    this.child = spawn(process.execPath, [...flags, join(root, 'dist/cli/index.js'), 'start', '--port', '0'], { cwd: folder, env: { PATH, HOME, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    process.once('exit', () => { this.child.kill('SIGKILL') })
    for (const stream of [this.child.stdout!, this.child.stderr!]) stream.on('data', (chunk: Buffer) => { this.log += chunk.toString() })
  }

  static async start (folder: string, env: Record<string, string>): Promise<Searched> {
    const server = new Searched(folder, env)
    await until(async () => {
      if (server.child.exitCode !== null) throw new Error(`the server ended:\n${server.log}`)
      server.url = /listening on (http:\/\/[^"\s]+)/.exec(server.log)?.[1] ?? ''
      return server.url !== '' && (await fetch(`${server.url}/health/ready`)).ok
    })
    return server
  }

  /** A collection, then a second of idleness: what waits for a finaliser is let go only after the first. */
  async collect (): Promise<void> {
    await rm(await this.#snapshot())
    await sleep(1_000)
  }

  /** Whose secrets the heap holds; a snapshot begins with a full collection, so what is found is held. */
  async heap (search: Search): Promise<Set<string>> {
    const path = await this.#snapshot()
    const found = await search.inFile(path)
    await rm(path)
    return found
  }

  async #snapshot (): Promise<string> {
    this.child.kill('SIGUSR2')
    let path: string | undefined
    await until(async () => {
      path = (await readdir(this.#folder)).filter((name) => name.endsWith('.heapsnapshot')).map((name) => join(this.#folder, name))[0]
      return path !== undefined && await isWhole(path)
    }, 60_000)
    return path!
  }

  async stop (): Promise<void> {
    this.child.kill('SIGTERM')
    await once(this.child, 'exit')
  }
}

/** The end of a snapshot is the end of its last member, the strings. */
async function isWhole (path: string): Promise<boolean> {
  const text = (await readFile(path)).subarray(-16).toString()
  return /\]\s*\}\s*$/.test(text)
}

/** All of a Redis as text: names, and values of every type. */
export async function contentsOf (port: number): Promise<{ names: string[], text: string }> {
  const client = new Redis(port, '127.0.0.1')
  const names: string[] = []
  for await (const page of client.scanStream({ count: 1_000 })) names.push(...page as string[])
  const values = await Promise.all(names.map(async (name) => {
    switch (await client.type(name)) {
      case 'list': return await client.lrange(name, 0, -1)
      case 'hash': return await client.hgetall(name)
      case 'set': return await client.smembers(name)
      case 'zset': return await client.zrange(name, '0', '-1')
      case 'stream': return await client.xrange(name, '-', '+')
      // Counters of distinct members are strings of bytes, too.
      default: return (await client.getBuffer(name))?.toString('latin1')
    }
  }))
  client.disconnect()
  return { names, text: names.map((name, at) => `${name} ${JSON.stringify(values[at])}`).join('\n') }
}
