import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, request, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Capability } from '../../core/capabilities.ts'
import { cache, freePort, root } from './processes.ts'

const starter = join(root, 'scripts/real-core/start.sh')
const running = new Set<ChildProcess>()
// Whatever a failure left behind.
process.on('exit', () => { for (const child of running) child.kill('SIGTERM') })

/** Why the real Core cannot be started here at once; undefined when it can. */
export function realCoreMissing (): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the real Core runs on Linux x86-64 only'
  const hash = createHash('sha256').update(readFileSync(join(root, 'scripts/real-core/requirements.txt'))).digest('hex').slice(0, 12)
  const folder = process.env.CORE_VENV ?? join(cache, `real-core-${hash}`)
  return existsSync(join(folder, '.complete')) ? undefined : 'the real Core is not installed: scripts/real-core/start.sh install'
}

/** A program that runs until it is ended; `lines` are those of its standard output. */
class Program {
  readonly child: ChildProcess
  readonly lines: string[] = []
  readonly ended: Promise<number>
  errors = ''
  #heard = () => {}

  constructor (command: string, args: string[], { env, cwd = root }: { env: Record<string, string>, cwd?: string | undefined }) {
    // Nothing of the caller's own settings.
    const { PATH = '', HOME = '', CORE_VENV, CORE_PYTHON, XDG_CACHE_HOME } = process.env
    const child = spawn(command, args, { cwd, env: { PATH, HOME, CORE_VENV, CORE_PYTHON, XDG_CACHE_HOME, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = child
    running.add(child)
    createInterface(child.stdout).on('line', (line) => {
      this.lines.push(line)
      this.#heard()
    })
    child.stderr.on('data', (chunk: Buffer) => { this.errors = (this.errors + chunk.toString()).slice(-8_192) })
    this.ended = once(child, 'exit').then(([code]) => {
      running.delete(child)
      this.#heard()
      return Number(code)
    })
  }

  /** The first line that fits, or an error with what the program said when it ends before. */
  async line (fits: RegExp): Promise<RegExpExecArray> {
    for (let at = 0; ;) {
      for (; at < this.lines.length; at++) {
        const found = fits.exec(this.lines[at]!)
        if (found !== null) return found
      }
      if (this.child.exitCode !== null || this.child.signalCode !== null) throw new Error(`the program ended before it said ${String(fits)}:\n${this.lines.slice(-5).join('\n')}\n${this.errors}`)
      await new Promise<void>((resolve) => { this.#heard = resolve })
    }
  }

  async stop (): Promise<number> {
    this.child.kill('SIGTERM')
    return await this.ended
  }
}

/** The real MUXI Core, which can be killed and started again at its port. */
export class RealCore {
  readonly url: string
  readonly keys = { user: 'sk_muxi_client_for_tests_only', admin: 'sk_muxi_admin_for_tests_only' }
  /** To which it appends what happens inside of it. */
  readonly eventsFile: string
  readonly #port: number
  #program: Program | undefined
  #pid = 0

  constructor (port: number, events: string) {
    this.url = `http://127.0.0.1:${port}`
    this.#port = port
    this.eventsFile = events
  }

  /** Makes one that appends its events to a file; it is not started yet. */
  static async at (events: string): Promise<RealCore> {
    return new RealCore(await freePort(), events)
  }

  async start (): Promise<void> {
    this.#program = new Program(starter, [], {
      env: { CORE_PORT: String(this.#port), CORE_LLM_PORT: '0', CORE_DB_PORT: '0', CORE_ADMIN_KEY: this.keys.admin, CORE_CLIENT_KEY: this.keys.user, CORE_EVENTS_FILE: this.eventsFile }
    })
    const [, pid] = await this.#program.line(/^CORE_PID=(\d+)$/)
    this.#pid = Number(pid)
  }

  /** Ends the Core as a crash would, with no answer finished and no connection closed in order; then what was started with it. */
  async kill (): Promise<void> {
    if (this.#pid !== 0) process.kill(this.#pid, 'SIGKILL')
    await this.stop()
  }

  async stop (): Promise<void> {
    this.#pid = 0
    await this.#program?.stop()
    this.#program = undefined
  }

  /** What happened inside the Core, in its own words. */
  async events (): Promise<{ event: string, request?: { id: string, user_id: string }, data?: Record<string, unknown> }[]> {
    const lines = (await readFile(this.eventsFile, 'utf8')).split('\n').filter((line) => line !== '')
    return lines.map((line) => JSON.parse(line) as { event: string })
  }
}

/** The server as anybody starts it: the compiled command, in a process of its own. */
export class Server {
  readonly url: string
  readonly #program: Program

  private constructor (url: string, program: Program) {
    this.url = url
    this.#program = program
  }

  static async start ({ env = {}, args = [], cwd }: { env?: Record<string, string>, args?: string[], cwd?: string } = {}): Promise<Server> {
    const program = new Program(process.execPath, [join(root, 'dist/cli/index.js'), 'start', '--port', '0', ...args], { env, cwd })
    const [, url] = await program.line(/listening on (http:\/\/[^"\s]+)/)
    return new Server(url!, program)
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.stop()
  }

  /** What it has logged so far; the last lines come when it has stopped. */
  get lines (): string[] {
    return this.#program.lines
  }

  /** Ends with the exit code. */
  async stop (): Promise<number> {
    return await this.#program.stop()
  }

  async ready (): Promise<{ status: number, checks: Record<string, string> }> {
    const res = await fetch(`${this.url}/health/ready`)
    return { status: res.status, checks: (await res.json() as { checks: Record<string, string> }).checks }
  }

  /** What the server says that its Core cannot do; waits for the check. */
  async missing (): Promise<Capability[]> {
    const [line] = await this.#program.line(/.*"missing":.*/)
    return (JSON.parse(line) as { missing: Capability[] }).missing
  }
}

/** Stands before the Core as a gateway does that serves it below a path; anything else is 404 there. */
export async function prefixed (core: string, prefix: string): Promise<AsyncDisposable & { url: string }> {
  const server: HttpServer = createServer((incoming, outgoing) => {
    const { url = '', method, headers } = incoming
    if (!url.startsWith(`${prefix}/`)) {
      outgoing.writeHead(404).end()
      return
    }
    const onward = request(core + url.slice(prefix.length), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', () => { outgoing.destroy() })
    outgoing.on('close', () => { onward.destroy() })
    incoming.pipe(onward)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    }
  }
}
