import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export const run = promisify(execFile)

/** The root of the repository. */
export const root = new URL('../..', import.meta.url).pathname

/** Where things that are slow to make are kept between runs. */
export const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'muxi-api')

/** True when something is missing, and says so; in the pipeline nothing may be missing. */
export function skipped (missing: string | undefined): boolean {
  if (missing === undefined || process.env.CI !== undefined) return false
  process.stderr.write(`skipped: ${missing.trim()}\n`)
  return true
}

/** True for a command that is in the PATH. */
export function installed (command: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, command)))
}

/** A TCP port of loopback that nothing listens on. */
export async function freePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => { server.close(resolve) })
  return port
}

/** An empty folder that is gone with `await using`. */
export async function temporary (): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'muxi-api-'))
  return { path, [Symbol.asyncDispose]: async () => { await rm(path, { recursive: true, force: true }) } }
}

/** Starts a program, waits until `ready` holds, and gives a function that ends it; what it wrote is in the error when it does not get there. */
export async function started (command: string, args: string[], env: Record<string, string>, ready: () => Promise<boolean>): Promise<() => Promise<void>> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { output = (output + chunk.toString()).slice(-8_192) })
  const ended = new Promise<void>((resolve) => { child.once('close', () => { resolve() }) })
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}`)
      return await ready()
    })
  } catch (cause) {
    await stop()
    throw new Error(`${command} did not start:\n${output}`, { cause })
  }
  return stop
}

/** Asks every 50 ms until the answer is yes. */
export async function until (holds: () => Promise<boolean> | boolean, ms = 20_000): Promise<void> {
  const end = Date.now() + ms
  while (!await holds()) {
    if (Date.now() > end) throw new Error(`did not come true within ${ms} ms: ${holds.toString()}`)
    await new Promise((resolve) => { setTimeout(resolve, 50) })
  }
}
