import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startLoad, startPeer, startServer, type Served } from '../processes.ts'
import type { Burst, Order } from '../load.ts'
import type { Figure, Options, Outcome } from '../report.ts'

const path = '/api/v1/agents'
const key = 'sk_muxi_admin_000000000000000000000000'
const connections = 32
// On, but never reached: a limit that is off would cost nothing.
const huge = String(1_000_000_000)

interface Measured { cpuMicros: number, perSecond: number, latencyMs: number }

/** An authenticated GET of a small list, its key known already, against the bare servers that do the same one call of the Core. */
export default async function rest ({ quick, say }: Options): Promise<Outcome> {
  const { starts, warmUp, rounds, seconds } = quick ? { starts: 2, warmUp: 1.5, rounds: 3, seconds: 1 } : { starts: 5, warmUp: 5, rounds: 9, seconds: 4 }
  const cwd = await mkdtemp(join(tmpdir(), 'muxi-api-bench-'))
  try {
    const core = await startPeer('core')
    const { server, readyMs } = await startsOf(starts, { env: environment(core.url), cwd }, say)
    await sleep(2_000)
    const { memoryBytes } = await server.usage()

    const servers = { 'muxi-api': server, 'bare Fastify + undici': await startPeer('fastify', core.url, key), 'bare node:http + undici': await startPeer('node', core.url, key) }
    const load = startLoad<Order, Burst>()
    const measured = new Map<string, Measured[]>()
    for (const [name, one] of Object.entries(servers)) {
      await checked(name, one)
      say(`warm-up of ${name}`)
      await measure(name, one, load, warmUp)
      measured.set(name, [])
    }
    for (let round = 1; round <= rounds; round++) {
      for (const [name, one] of Object.entries(servers)) measured.get(name)!.push(await measure(name, one, load, seconds))
      say(`round ${round} of ${rounds}: ${[...measured].map(([name, all]) => `${name} ${all.at(-1)!.cpuMicros.toFixed(0)} µs`).join(', ')}`)
    }
    return {
      how: `GET ${path}, ${connections} connections, ${rounds} interleaved rounds of ${seconds} s`,
      figures: [
        ...figuresOf(measured),
        { what: 'start until ready', unit: 'ms', values: readyMs, target: 'start' },
        { what: 'idle memory, 2 s after ready', unit: 'MiB', values: [memoryBytes / 1_048_576] }
      ]
    }
  } finally {
    await rm(cwd, { recursive: true, force: true })
  }
}

function environment (core: string): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    MUXI_CORE_URI: core,
    MUXI_CORE_ADMIN_KEY: key,
    MUXI_API_PORT: '0',
    MUXI_API_RATE_LIMIT: huge,
    MUXI_API_RATE_LIMIT_SUBJECT: huge,
    MUXI_API_RATE_LIMIT_MCP: huge
  }
}

/** Starts the server several times; the last one stays. */
async function startsOf (count: number, options: Parameters<typeof startServer>[0], say: Options['say']): Promise<{ server: Served, readyMs: number[] }> {
  const readyMs: number[] = []
  for (;;) {
    const server = await startServer(options)
    readyMs.push(server.readyMs)
    say(`start ${readyMs.length} of ${count}: ready after ${server.readyMs.toFixed(0)} ms`)
    if (readyMs.length === count) return { server, readyMs }
    await server.stop()
  }
}

/** Figures of a server that answers something else would be worth nothing. */
async function checked (name: string, { url }: Served): Promise<void> {
  const res = await fetch(url + path, { headers: { authorization: `Bearer ${key}` } })
  const body = await res.text()
  if (res.status !== 200 || !body.includes('"id":"analyst"')) throw new Error(`${name} answers ${res.status} ${body.slice(0, 200)}`)
}

async function measure (name: string, { url, usage }: Served, load: (order: Order) => Promise<Burst>, seconds: number): Promise<Measured> {
  const before = await usage()
  const { requests, perSecond, latencyMs, failures } = await load({ url: url + path, headers: { authorization: `Bearer ${key}` }, connections, seconds })
  const after = await usage()
  if (failures > 0 || requests === 0) throw new Error(`${name}: ${failures} of ${requests} requests failed`)
  return { cpuMicros: (after.cpuMs - before.cpuMs) * 1_000 / requests, perSecond, latencyMs }
}

function figuresOf (measured: Map<string, Measured[]>): Figure[] {
  const [[name, own], ...peers] = [...measured] as [[string, Measured[]], ...[string, Measured[]][]]
  const ratios = peers.map(([peer, theirs]): Figure => ({
    what: `CPU per request, ${name} : ${peer}`,
    unit: '×',
    values: own.map(({ cpuMicros }, round) => cpuMicros / theirs[round]!.cpuMicros),
    ...(peer.includes('Fastify') && { target: 'get' as const })
  }))
  const single = (what: string, unit: string, pick: (one: Measured) => number) =>
    [...measured].map(([server, all]): Figure => ({ what: `${what}, ${server}`, unit, values: all.map(pick) }))
  return [
    ...ratios,
    ...single('CPU per request', 'µs', ({ cpuMicros }) => cpuMicros),
    ...single('requests per second', '1/s', ({ perSecond }) => perSecond),
    ...single('mean latency', 'ms', ({ latencyMs }) => latencyMs)
  ]
}
