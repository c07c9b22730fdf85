import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** What a process has used so far: CPU of all its threads, and the memory it holds now. */
export interface Usage { cpuMs: number, memoryBytes: number }

/** A process that serves, and can be measured. */
export interface Served { url: string, usage: () => Promise<Usage>, stop: () => Promise<void> }

interface ServerOptions { env: Record<string, string>, cwd: string }

// Ticks of 10 ms: what Linux tells programs, whatever its own clock.
const tickMs = 10
const patience = 20_000
const hasProc = existsSync('/proc/self/stat')
const children = new Set<ChildProcess>()

/** Starts a file of `peers/`; it says by message where it listens. */
export async function startPeer (name: string, ...args: string[]): Promise<Served> {
  const child = adopt(fork(new URL(`peers/${name}.js`, import.meta.url), args, { execArgv: [] }))
  const { url } = await answerOf<{ url: string }>(child, name)
  return servedBy(child, url)
}

/** Starts `muxi-api start` as its users do, with nothing of the caller's environment; its log goes into a pipe that is read and thrown away. */
export async function startServer ({ env, cwd }: ServerOptions): Promise<Served & { readyMs: number }> {
  const started = performance.now()
  const cli = fileURLToPath(new URL('../cli/index.js', import.meta.url))
  const probe = hasProc ? [] : ['--import', new URL('probe.js', import.meta.url).href]
  const child = adopt(spawn(process.execPath, [...probe, cli, 'start'], { env, cwd, stdio: ['ignore', 'pipe', 'inherit', ...(hasProc ? [] : ['ipc' as const])] }))
  const url = await listening(child)
  for (;;) {
    const ready = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(patience) })
    await ready.arrayBuffer()
    if (ready.ok) break
    if (performance.now() - started > patience) throw new Error(`the server is not ready after ${patience} ms`)
    await sleep(5)
  }
  return { ...servedBy(child, url), readyMs: performance.now() - started }
}

/** Starts a server that is not ours; what its own children use is its use, too. Linux alone. */
export async function startProgram (command: string, args: string[], url: string): Promise<Served> {
  const child = adopt(spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] }))
  for (const started = performance.now(); !await fetch(url).then(() => true, () => false); await sleep(20)) {
    if (child.exitCode !== null || performance.now() - started > patience) throw new Error(`${command} does not start`)
  }
  const pids = [child.pid!, ...await childrenOf(child.pid!)]
  const usage = async () => (await Promise.all(pids.map(procUsage))).reduce((sum, one) => ({ cpuMs: sum.cpuMs + one.cpuMs, memoryBytes: sum.memoryBytes + one.memoryBytes }))
  return { ...servedBy(child, url), usage }
}

/** Starts the load generator, or another file that makes load: a process of its own, so that its CPU is not counted. */
export function startLoad<Order extends object, Result> (name = 'load'): (order: Order) => Promise<Result> {
  const child = adopt(fork(new URL(`${name}.js`, import.meta.url), { execArgv: [] }))
  return async (order) => {
    child.send(order)
    return await answerOf<Result>(child, name)
  }
}

/** Ends all that was started here, and waits until it has ended. */
export async function stopAll (): Promise<void> {
  await Promise.all([...children].map(stop))
}

function adopt (child: ChildProcess): ChildProcess {
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

function servedBy (child: ChildProcess, url: string): Served {
  return { url, usage: async () => await usageOf(child), stop: async () => { await stop(child) } }
}

async function stop (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), 3_000)
  await ended
  clearTimeout(force)
}

async function answerOf<T> (child: ChildProcess, name: string): Promise<T> {
  const gone = new AbortController()
  const onExit = () => { gone.abort(new Error(`the process "${name}" ended early`)) }
  child.once('exit', onExit)
  try {
    const [answer] = await once(child, 'message', { signal: AbortSignal.any([gone.signal, AbortSignal.timeout(60_000)]) })
    return answer as T
  } catch (error) {
    throw gone.signal.aborted ? gone.signal.reason : new Error(`the process "${name}" does not answer`, { cause: error })
  } finally {
    child.off('exit', onExit)
  }
}

/** Where the server listens, from its own log. */
async function listening (child: ChildProcess): Promise<string> {
  const { stdout } = child
  if (stdout === null) throw new Error('the log of the server is not piped')
  let text = ''
  return await new Promise((resolve, reject) => {
    const onEnd = () => { reject(new Error(`the server ended before it listened: ${text}`)) }
    const onData = (chunk: Buffer) => {
      text += chunk.toString()
      const url = /listening on (http:[^"\s]+)/.exec(text)?.[1]
      if (url === undefined) return
      stdout.off('data', onData).off('end', onEnd).resume()
      resolve(url)
    }
    stdout.on('data', onData).once('end', onEnd)
  })
}

async function usageOf (child: ChildProcess): Promise<Usage> {
  if (!hasProc) {
    child.send('usage')
    return (await answerOf<{ usage: Usage }>(child, 'usage')).usage
  }
  return await procUsage(child.pid!)
}

async function procUsage (pid: number): Promise<Usage> {
  const [fields, status] = await Promise.all([statOf(pid), readFile(`/proc/${pid}/status`, 'utf8')])
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * tickMs, memoryBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024 }
}

async function childrenOf (pid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const parents = await Promise.all(pids.map(async (one) => Number((await statOf(one).catch(() => []))[1])))
  return pids.filter((_, at) => parents[at] === pid)
}

/** The name in brackets may hold blanks: fields from the state after it on, which is field 3; the parent is 4, utime and stime are 14 and 15. */
async function statOf (pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
