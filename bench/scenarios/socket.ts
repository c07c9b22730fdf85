import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLoad, startPeer, startServer, type Served } from '../processes.ts'
import type { Figure, Options, Outcome } from '../report.ts'
import type { Talk, Talked } from '../talkers.ts'

const key = 'sk_muxi_admin_000000000000000000000000'
const huge = String(1_000_000_000)
/** Below what one participant may send in a second. */
const rate = 25

type Subject = Pick<Talk, 'url' | 'headers' | 'rooms' | 'hasReceipts'> & { served: Served }
interface Measured extends Talked { cpuMicros: number }

const [own, receipts, bare] = ['muxi-api', 'muxi-api with receipts', 'raw ws'] as const

/** A signal from one socket to another one of the same instance, against the least that does it with `ws`. */
export default async function socket ({ quick, say }: Options): Promise<Outcome> {
  const { pairs, warmUp, rounds, seconds } = quick ? { pairs: 20, warmUp: 2, rounds: 3, seconds: 2 } : { pairs: 50, warmUp: 8, rounds: 7, seconds: 6 }
  const cwd = await mkdtemp(join(tmpdir(), 'muxi-api-bench-'))
  try {
    const core = await startPeer('core')
    const served = await startServer({ env: environment(core.url), cwd })
    const peer = await startPeer('relay')
    const ours = { served, url: `${served.url.replace('http', 'ws')}/api/v1/ws`, headers: { authorization: `Bearer ${key}` }, rooms: `${served.url}/api/v1/rtc/sessions` }
    const subjects: Record<string, Subject> = {
      [own]: { ...ours, hasReceipts: false },
      [receipts]: { ...ours, hasReceipts: true },
      [bare]: { served: peer, url: peer.url.replace('http', 'ws'), headers: {}, hasReceipts: false }
    }
    // Each speaks from a process of its own: the sockets stay open from round to round.
    const loads = new Map(Object.keys(subjects).map((name) => [name, startLoad<Talk, Talked>('talkers')]))
    const measured = new Map<string, Measured[]>(Object.keys(subjects).map((name) => [name, []]))
    const measure = async (name: string, duration: number): Promise<Measured> => {
      const { served: { usage }, ...subject } = subjects[name]!
      const before = await usage()
      const talked = await loads.get(name)!({ ...subject, pairs, rate, seconds: duration })
      const after = await usage()
      if (talked.failures > 0 || talked.delivered !== talked.sent) throw new Error(`${name}: ${talked.delivered} of ${talked.sent} frames arrived, ${talked.failures} failed`)
      return { ...talked, cpuMicros: (after.cpuMs - before.cpuMs) * 1_000 / talked.delivered }
    }
    for (const name of Object.keys(subjects)) {
      say(`warm-up of ${name}`)
      await measure(name, warmUp)
    }
    for (let round = 1; round <= rounds; round++) {
      for (const name of Object.keys(subjects)) measured.get(name)!.push(await measure(name, seconds))
      say(`round ${round} of ${rounds}: ${[...measured].map(([name, all]) => `${name} ${all.at(-1)!.cpuMicros.toFixed(1)} µs`).join(', ')}`)
    }
    return { how: `${pairs} pairs, each of the two says ${rate} candidates a second, ${rounds} interleaved rounds of ${seconds} s`, figures: figuresOf(measured) }
  } finally {
    await rm(cwd, { recursive: true, force: true })
  }
}

function environment (core: string): Record<string, string> {
  return { PATH: process.env.PATH ?? '', MUXI_CORE_URI: core, MUXI_CORE_ADMIN_KEY: key, MUXI_API_PORT: '0', MUXI_API_RATE_LIMIT: huge, MUXI_API_STREAM_LIFE_MS: '0' }
}

function figuresOf (measured: Map<string, Measured[]>): Figure[] {
  const ratio = (one: string, target?: Figure['target']): Figure => ({
    what: `CPU, ${one} : ${bare}`,
    unit: '×',
    values: measured.get(one)!.map(({ cpuMicros }, round) => cpuMicros / measured.get(bare)![round]!.cpuMicros),
    ...(target !== undefined && { target })
  })
  const single = (what: string, unit: string, pick: (one: Measured) => number) => [...measured].map(([name, all]): Figure => ({ what: `${what}, ${name}`, unit, values: all.map(pick) }))
  return [
    ratio(own, 'relay'),
    ratio(receipts),
    ...single('CPU per frame', 'µs', ({ cpuMicros }) => cpuMicros),
    ...single('delay p50', 'ms', ({ p50Ms }) => p50Ms),
    ...single('delay p99', 'ms', ({ p99Ms }) => p99Ms)
  ]
}
