import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { freePort, root, temporary } from '../processes.ts'
import { Program } from './program.ts'
import { Proxy } from './proxy.ts'
import { StoredRedis } from './redis.ts'

/** Of the Core behind all instances, which are also those of its callers. */
export const keys = { user: 'sk_muxi_user_deliveryoracle0000000000', admin: 'sk_muxi_admin_deliveryoracle000000000' } as const

/** The header of whoever may do everything here. */
export const authorization = { authorization: `Bearer ${keys.admin}` }

/** One server of several, as a process. */
export class Instance {
  readonly url: string
  readonly #program: Program
  /** When it was killed, each time. */
  readonly kills: number[] = []

  constructor (name: string, port: number, folder: string, env: Record<string, string>, program: string[]) {
    this.url = `http://127.0.0.1:${port}`
    this.#program = new Program(process.execPath, program, { cwd: folder, log: join(folder, `${name}.log`), env: { ...env, MUXI_API_PORT: String(port) } })
  }

  async start (): Promise<void> {
    await this.#program.start(async () => await fetch(`${this.url}/health/ready`, { signal: AbortSignal.timeout(5_000) }).then(({ ok }) => ok, () => false))
  }

  async kill (): Promise<void> {
    this.kills.push(performance.now())
    await this.#program.stop()
  }

  /** Where the log ends, as one who begins to follow here is told. */
  async head (): Promise<{ epoch: string, seq: number }> {
    const { body } = await fetch(`${this.url}/api/v1/logs/stream`, { headers: authorization, signal: AbortSignal.timeout(5_000) })
    let text = ''
    for await (const part of body!.pipeThrough(new TextDecoderStream())) {
      text += part
      const [, epoch, seq] = /^id: ?([\w-]+)\.(\d+)\./m.exec(text) ?? []
      if (epoch !== undefined) return { epoch, seq: Number(seq) }
    }
    throw new Error(`${this.url} did not tell where the log ends`)
  }

  freeze (): void { this.#program.signal('SIGSTOP') }
  thaw (): void { this.#program.signal('SIGCONT') }
}

/** Instances on one Redis and one Core, behind one proxy: gone with `await using`. */
export interface Installation extends AsyncDisposable { redis: StoredRedis, instances: Instance[], proxy: Proxy, folder: string }

/** `program` is what each of them runs, as the arguments of Node. */
export async function install (count: number, settings: Record<string, string> = {}, program = [join(root, 'dist/cli/index.js'), 'start']): Promise<Installation> {
  const endings: (() => Promise<void>)[] = []
  const end = async () => { for (const part of endings.splice(0).reverse()) await part() }
  try {
    return { ...await installed(count, settings, program, endings), [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw error
  }
}

/** Every part's ending is put on the list as soon as the part is there. */
async function installed (count: number, settings: Record<string, string>, program: string[], endings: (() => Promise<void>)[]): Promise<Omit<Installation, keyof AsyncDisposable>> {
  const { path: folder, [Symbol.asyncDispose]: remove } = await temporary()
  endings.push(async () => { await remove() })
  const core = await startCore()
  endings.push(core.stop)
  const redis = await StoredRedis.start(await freePort(), folder)
  endings.push(async () => { await redis.kill() })
  const ports: number[] = []
  for (let i = 0; i < count; i++) ports.push(await freePort())
  const env = {
    MUXI_CORE_URI: core.url,
    MUXI_CORE_ADMIN_KEY: keys.admin,
    MUXI_CORE_CLIENT_KEY: keys.user,
    MUXI_API_TRUST_PROXY: '127.0.0.1',
    MUXI_API_REDIS_URL: redis.url,
    MUXI_API_SECRET: 'a-secret-of-the-delivery-oracle-of-32-characters',
    MUXI_API_LOG_LEVEL: 'warn',
    MUXI_API_RATE_LIMIT: '0',
    MUXI_API_STREAM_RATE: '0',
    MUXI_API_STREAM_HEARTBEAT_MS: '500',
    ...settings
  }
  const instances = ports.map((port, i) => new Instance(`instance-${i}`, port, folder, env, program))
  endings.push(async () => { await Promise.all(instances.map(async (instance) => { await instance.kill() })) })
  await Promise.all(instances.map(async (instance) => { await instance.start() }))
  const proxy = await Proxy.start(await freePort(), folder, ports)
  endings.push(async () => { await proxy.stop() })
  return { redis, instances, proxy, folder }
}

async function startCore (): Promise<{ url: string, stop: () => Promise<void> }> {
  const port = await freePort()
  const core = fork(join(root, 'dist/core/embedded/main.js'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  core.send({ port, userKey: keys.user, adminKey: keys.admin, mcpCommands: false })
  await once(core, 'message')
  const stop = async () => {
    if (core.exitCode !== null || core.signalCode !== null) return
    core.kill('SIGTERM')
    await once(core, 'exit')
  }
  return { url: `http://127.0.0.1:${port}`, stop }
}
