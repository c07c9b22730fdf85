import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startNchan } from '../peers/nchan.ts'
import { startLoad, startPeer, startServer, type Served } from '../processes.ts'
import type { Burst, Order } from '../load.ts'
import type { Delivery, ReadersOrder, Source } from '../readers.ts'
import type { Figure, Options, Outcome } from '../report.ts'

const key = 'sk_muxi_admin_000000000000000000000000'
const huge = String(1_000_000_000)
const own = 'muxi-api'
/** How the events come in: ten in one call, or each in a call of its own. */
const ways = { 'ten at a time': 10, 'one by one': 1 }

interface Streaming { served: Served, source: Source }
interface Measured extends Delivery { cpuMicros: number }
interface Wish { clients: number, seconds: number, atOnce: number }
type Readers = <T = Delivery>(order: ReadersOrder) => Promise<T>

/** 100 events a second to many clients, against the least that does it in Node and against nginx with nchan; and what an idle stream holds. */
export default async function sse ({ quick, say }: Options): Promise<Outcome> {
  const { clients, many, idle, rounds, seconds, repeats } = quick
    ? { clients: 100, many: 200, idle: 500, rounds: 2, seconds: 1, repeats: 1 }
    : { clients: 500, many: 1_000, idle: 2_000, rounds: 5, seconds: 4, repeats: 3 }
  const cwd = await mkdtemp(join(tmpdir(), 'muxi-api-bench-'))
  let nchan: Served | undefined
  try {
    const core = await startPeer('core')
    const readers = startLoad<ReadersOrder, Delivery>('readers') as Readers
    const idleKiB: number[] = []
    for (let repeat = 1; repeat <= repeats; repeat++) {
      idleKiB.push(await idleStreams(await ownServer(core.url, cwd), readers, idle))
      say(`idle stream: ${idleKiB.at(-1)!.toFixed(1)} KiB`)
    }

    const all = new Map<string, Streaming>([[own, await ownServer(core.url, cwd)], ['bare node:http', await bareServer()]])
    nchan = await startNchan(cwd)
    if (nchan === undefined) say('nginx with nchan is not installed (Debian: libnginx-mod-nchan): left out')
    else all.set('nchan', { served: nchan, source: { stream: `${nchan.url}/stream`, publish: `${nchan.url}/publish`, headers: {}, form: 'text' } })

    for (const [name, one] of all) await measure(name, one, readers, { clients, seconds: 2, atOnce: 10 })
    const measured = Object.keys(ways).map((way) => ({ way, of: new Map<string, Measured[]>([...all.keys()].map((name) => [name, []])) }))
    for (let round = 1; round <= rounds; round++) {
      for (const { way, of } of measured) {
        for (const [name, one] of all) of.get(name)!.push(await measure(name, one, readers, { clients, seconds, atOnce: ways[way as keyof typeof ways] }))
        say(`round ${round} of ${rounds}, ${way}: ${[...of].map(([name, them]) => `${name} ${them.at(-1)!.cpuMicros.toFixed(2)} µs, p99 ${them.at(-1)!.p99Ms.toFixed(0)} ms`).join('; ')}`)
      }
    }
    const most = await measure(own, all.get(own)!, readers, { clients: many, seconds, atOnce: 10 })
    return {
      how: `${clients} clients × 100 events/s, ${rounds} interleaved rounds of ${seconds} s, events of about 200 bytes; ${idle} idle streams${nchan === undefined ? '; nchan is not installed' : ''}`,
      figures: [
        ...measured.flatMap(figuresOf),
        { what: `CPU per delivered event, ${own}, ${many} clients`, unit: 'µs', values: [most.cpuMicros] },
        { what: `delay p99, ${own}, ${many} clients`, unit: 'ms', values: [most.p99Ms] },
        { what: 'memory per idle stream', unit: 'KiB', values: idleKiB, target: 'stream' }
      ]
    }
  } finally {
    await nchan?.stop()
    await rm(cwd, { recursive: true, force: true })
  }
}

/** As its users start it, but for the limits. */
async function ownServer (core: string, cwd: string): Promise<Streaming> {
  const env = {
    PATH: process.env.PATH ?? '',
    MUXI_CORE_URI: core,
    MUXI_CORE_ADMIN_KEY: key,
    MUXI_API_PORT: '0',
    MUXI_API_RATE_LIMIT: huge,
    MUXI_API_STREAM_RATE: '0',
    MUXI_API_STREAMS_PER_CALLER: '1000000'
  }
  const served = await startServer({ env, cwd })
  // What the server says of itself, such as the calls that bring the events, is not counted.
  return { served, source: { stream: `${served.url}/api/v1/logs/stream?service=bench`, publish: `${served.url}/api/v1/logs`, headers: { authorization: `Bearer ${key}` }, form: 'otlp' } }
}

async function bareServer (): Promise<Streaming> {
  const served = await startPeer('sse')
  return { served, source: { stream: `${served.url}/stream`, publish: served.url, headers: {}, form: 'otlp' } }
}

/** Figures of a server that leaves something out would be worth nothing. */
async function measure (name: string, { served, source }: Streaming, readers: Readers, { clients, seconds, atOnce }: Wish): Promise<Measured> {
  await readers({ open: clients, source })
  const before = await served.usage()
  const delivery = await readers({ publish: seconds, atOnce, source })
  const after = await served.usage()
  await readers({ close: true })
  const { published, delivered, short, disordered } = delivery
  if (short > 0 || disordered > 0) throw new Error(`${name}: ${delivered} of ${published * clients} events came, ${short} of ${clients} clients have another number, ${disordered} came out of order`)
  return { ...delivery, cpuMicros: (after.cpuMs - before.cpuMs) * 1_000 / delivered }
}

/** The memory that a server holds for each of many streams without events; it has worked before, so that nothing else grows. Ends it. */
async function idleStreams ({ served, source }: Streaming, readers: Readers, amount: number): Promise<number> {
  const load = startLoad<Order, Burst>()
  await load({ url: `${served.url}/api/v1/agents`, headers: source.headers, connections: 32, seconds: 3 })
  await readers({ open: 50, source })
  await readers({ publish: 1, atOnce: 10, source })
  await sleep(1_000)
  const before = await served.usage()
  await readers({ open: 50 + amount, source })
  await sleep(2_000)
  const after = await served.usage()
  await readers({ close: true })
  await served.stop()
  return (after.memoryBytes - before.memoryBytes) / 1_024 / amount
}

function figuresOf ({ way, of }: { way: string, of: Map<string, Measured[]> }): Figure[] {
  const [[name, theirs], ...peers] = [...of] as [[string, Measured[]], ...[string, Measured[]][]]
  const ratios = peers.map(([peer, them]): Figure => ({
    what: `CPU per delivered event, ${name} : ${peer}, ${way}`,
    unit: '×',
    values: theirs.map(({ cpuMicros }, round) => cpuMicros / them[round]!.cpuMicros),
    target: peer === 'nchan' ? 'nchan' : 'delivery'
  }))
  const single = (what: string, unit: string, pick: (one: Measured) => number) =>
    [...of].map(([server, all]): Figure => ({ what: `${what}, ${server}, ${way}`, unit, values: all.map(pick) }))
  return [
    ...ratios,
    ...single('CPU per delivered event', 'µs', ({ cpuMicros }) => cpuMicros),
    ...single('delay p50', 'ms', ({ p50Ms }) => p50Ms),
    ...single('delay p99', 'ms', ({ p99Ms }) => p99Ms)
  ]
}
