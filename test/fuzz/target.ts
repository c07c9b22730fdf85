import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { startHttpServer } from '../core/embedded/mcp-http.ts'
import { freePort, root, temporary, until } from '../e2e/processes.ts'

export const keys = { user: 'sk_muxi_user_generatedcalls000000000', admin: 'sk_muxi_admin_generatedcalls00000000' } as const

interface Line { level: string, message: string, statusCode?: number, [name: string]: unknown }

/** A server in front of an embedded Core, as processes, that starts no programs and dials out to loopback alone. */
export interface Target extends AsyncDisposable {
  url: string
  /** An MCP server that an agent can be connected to. */
  toolServer: string
  /** An empty folder that is gone afterwards. */
  folder: string
  /** What the server has logged so far. */
  lines: () => Promise<Line[]>
  /** Whether both processes are there. */
  alive: () => boolean
}

export async function startTarget (): Promise<Target> {
  const parts: AsyncDisposable[] = []
  const stop = async () => { for (const part of parts.reverse()) await part[Symbol.asyncDispose]() }
  try {
    return await startedIn(parts, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

/** Every part is put on the list as soon as it is there, so that it can be ended. */
async function startedIn (parts: AsyncDisposable[], stop: () => Promise<void>): Promise<Target> {
  const own = <T extends AsyncDisposable>(part: T): T => {
    parts.push(part)
    return part
  }
  const { path: folder } = own(await temporary())
  // Generated paths of files lead below the Core's working folder.
  await cp(join(root, 'test/fuzz/files'), folder, { recursive: true })
  const tools = own(await startHttpServer())
  const [corePort, port] = [await freePort(), await freePort()]
  // What is set for whoever runs this is not for these processes.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MUXI_')))

  const core = fork(join(root, 'dist/core/embedded/main.js'), { cwd: folder, env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  own({ [Symbol.asyncDispose]: async () => { await ended(core) } })
  core.send({ port: corePort, userKey: keys.user, adminKey: keys.admin, mcpCommands: false, mcpHosts: 'loopback' })
  await once(core, 'message')

  const log = join(folder, 'server.log')
  await writeFile(log, '')
  const server = spawn(process.execPath, [join(root, 'dist/cli/index.js'), 'start'], {
    cwd: folder,
    stdio: ['ignore', openSync(log, 'a'), 'inherit'],
    env: {
      ...env,
      MUXI_CORE_URI: `http://127.0.0.1:${corePort}`,
      MUXI_CORE_ADMIN_KEY: keys.admin,
      MUXI_CORE_CLIENT_KEY: keys.user,
      MUXI_API_PORT: String(port),
      MUXI_API_KEY_ATTEMPTS: '0',
      MUXI_API_USER_TOKENS_SECRET: 'a-secret-for-user-tokens-of-32-characters',
      MUXI_API_RATE_LIMIT: '0',
      MUXI_API_RATE_LIMIT_SUBJECT: '0',
      MUXI_API_RATE_LIMIT_MCP: '0',
      MUXI_API_MCP_COMMANDS: 'false',
      // Streams that never end by themselves would be waited for.
      MUXI_API_STREAM_LIFE_MS: '20',
      MUXI_API_STREAM_HEARTBEAT_MS: '100'
    }
  })
  own({ [Symbol.asyncDispose]: async () => { await ended(server) } })
  const lines = async () => (await readFile(log, 'utf8')).split('\n').filter(Boolean).map((line) => JSON.parse(line) as Line)
  // Not by asking: a probe that comes too early is answered with 503, and that is what the log is searched for.
  await until(async () => (await lines()).some(({ message }) => message === 'the MUXI Core is there'))

  return {
    url: `http://127.0.0.1:${port}`,
    toolServer: tools.url,
    folder,
    lines,
    alive: () => [core, server].every(({ exitCode, signalCode }) => exitCode === null && signalCode === null),
    [Symbol.asyncDispose]: stop
  }
}

async function ended (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
