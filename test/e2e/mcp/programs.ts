import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { copyFile, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { cache, installed, run, temporary } from '../processes.ts'
import { venv } from '../venv.ts'
import type { Connection, Result, Tool } from './connection.ts'

const here = new URL('.', import.meta.url).pathname
const go = installed('go') ? 'go' : '/usr/local/go/bin/go'
const needs = (isThere: boolean, what: string) => () => isThere ? undefined : what

export const pythonMissing = needs(installed('python3'), 'there is no python3')
export const goMissing = needs(installed('go') || existsSync(go), 'there is no go')

interface Said { connected?: string, status?: number, failed?: string, tools?: Tool[], result?: Result, error?: { code: number, message: string } }

/** client.py or client-fastmcp.py. */
export async function connectPython (file: string, url: string, key: string, mode: string): Promise<Connection> {
  return await connectProgram(await python(), ['-u', join(here, file), url, key, mode])
}

/** go/client.go. */
export async function connectGo (url: string, key: string, mode: string): Promise<Connection> {
  return await connectProgram(await goClient(), [url, key, mode])
}

/** A Python with the packages of requirements.txt. */
export async function python (): Promise<string> {
  return join(await venv('mcp', join(here, 'requirements.txt')), 'python')
}

/** The client in Go, built once for each state of its sources. */
export async function goClient (): Promise<string> {
  const files = ['go.mod', 'go.sum', 'client.go'].map((name) => join(here, 'go', name))
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(file))
  const folder = join(cache, `go-mcp-${hash.digest('hex').slice(0, 12)}`)
  const program = join(folder, 'client')
  if (!existsSync(program)) {
    await using work = await temporary()
    for (const file of files) await copyFile(file, join(work.path, file.slice(file.lastIndexOf('/') + 1)))
    await mkdir(folder, { recursive: true })
    // In one step: a build that was ended halfway is no build.
    await run(go, ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-o', `${program}.new`, '.'], { cwd: work.path, env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' } })
    await rename(`${program}.new`, program)
  }
  return program
}

/** A program that says one line of JSON for each that it is told. */
async function connectProgram (command: string, args: string[]): Promise<Connection> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  // What is written to one that has just ended is answered by its end.
  child.stdin.on('error', () => {})
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const hear = async (): Promise<Said> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error(`${command} has ended`)
    return JSON.parse(value) as Said
  }
  const ask = async (wish: object): Promise<Said> => {
    child.stdin.write(`${JSON.stringify(wish)}\n`)
    return await hear()
  }
  const first = await hear()
  if (first.connected === undefined) {
    await ended
    throw Object.assign(new Error(first.failed), { status: first.status })
  }
  return {
    revision: first.connected,
    tools: async () => {
      const { tools, error, failed } = await ask({ tools: true })
      if (tools === undefined) throw Object.assign(new Error(error?.message ?? failed), error)
      return tools
    },
    call: async (name, args) => {
      const { result, error, failed } = await ask({ call: name, arguments: args })
      if (result === undefined) throw Object.assign(new Error(error?.message ?? failed), error)
      return result
    },
    close: async () => {
      child.stdin.end()
      const timer = setTimeout(() => { child.kill('SIGKILL') }, 5_000)
      await ended
      clearTimeout(timer)
    }
  }
}
