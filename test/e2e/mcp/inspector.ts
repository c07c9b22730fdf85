import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cache, run, temporary } from '../processes.ts'
import type { Connection, Result, Tool } from './connection.ts'

const version = '2.12.0'
const entry = 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js'

/** Why the Inspector cannot run here: it needs Node 22.19 or later. */
export function inspectorMissing (): string | undefined {
  return node() === undefined ? 'the Inspector needs Node 22.19 or later' : undefined
}

interface Said { result?: Result & { tools?: Tool[], protocolVersion?: string }, error?: { code: string, message: string } }

/** `--cli` of the Inspector: a process, and a connection, for each thing that is asked. */
export async function connectInspector (url: string, key: string, era: 'legacy' | 'modern'): Promise<Connection> {
  const program = join(await inspector(), entry)
  const folder = await temporary()
  const ask = async (method: string, ...more: string[]): Promise<NonNullable<Said['result']>> => {
    const args = [program, '--cli', '--server-url', `${url}/mcp`, '--transport', 'http', '--format', 'json', '-q', '--protocol-era', era, '--stored-auth-only', '--header', `Authorization: Bearer ${key}`, '--method', method, ...more]
    // It keeps a file of its own in the home of whoever runs it.
    const env = { PATH: process.env.PATH, HOME: folder.path }
    const { stdout, stderr } = await run(node()!, args, { env, cwd: folder.path }).catch((error: unknown) => error as { stdout: string, stderr: string })
    const { result, error } = JSON.parse(stdout.trim() === '' ? stderr : stdout) as Said
    if (result === undefined) throw Object.assign(new Error(error?.message), { code: error?.code, ...(error?.code === 'auth_required' && { status: 401 }) })
    return result
  }
  try {
    return {
      revision: (await ask('initialize')).protocolVersion,
      tools: async () => (await ask('tools/list')).tools!,
      call: async (name, args) => await ask('tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(args)),
      close: async () => { await folder[Symbol.asyncDispose]() }
    }
  } catch (error) {
    await folder[Symbol.asyncDispose]()
    throw error
  }
}

/** Where its packages are: too many for everybody who installs ours. */
export async function inspector (): Promise<string> {
  const folder = join(cache, `inspector-${createHash('sha256').update(version).digest('hex').slice(0, 12)}`)
  if (!existsSync(join(folder, '.complete'))) {
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true })
    await run('npm', ['install', '--no-fund', '--no-audit', '--ignore-scripts', '--prefix', folder, `@modelcontextprotocol/inspector@${version}`], { cwd: folder })
    await writeFile(join(folder, '.complete'), '')
  }
  return folder
}

/** This Node where it is new enough, else the newer one that the pipeline keeps. */
function node (): string | undefined {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 19)) return process.execPath
  const kept = existsSync(cache) ? readdirSync(cache).filter((name) => /^node24-[\d.]+$/.test(name)) : []
  return kept.map((name) => join(cache, name, 'node_modules/.bin/node')).find((file) => existsSync(file))
}
