import { setMaxListeners } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { redisMissing } from '../own-redis.ts'
import { skipped, until } from '../processes.ts'
import { Client, type Filter } from './clients.ts'
import { makeFaults, type Happening } from './faults.ts'
import { install, type Installation } from './instances.ts'
import { gapsOf, judge } from './judge.ts'
import { proxyMissing } from './proxy.ts'
import { Publisher } from './publishers.ts'
import { Random } from './random.ts'

const seeds = process.env.ORACLE_SEED?.split(',').map(Number) ?? [1, 2, 3]
const seconds = Number(process.env.ORACLE_SECONDS ?? 60)
const dump = process.env.ORACLE_DUMP
const rate = 300
/** Ten seconds of the rate: who is away for a while, or behind a Redis that is, does not meet its end. */
const history = 3_000
/** Who is given all of it at once, after a pause, is not slow. */
const settings = { MUXI_API_EVENTS_HISTORY: String(history), MUXI_API_STREAM_BUFFER: String(history + 1_000) }
const filters: Filter[] = [{}, { level: 'warn' }, { service: 'shop' }, { level: 'error', service: 'billing' }, { level: 'info' }, { service: 'bulk', level: 'info' }]

/** Fifty clients: every second leaves now and then, one stops reading for a while. */
function clientsOf ({ proxy, instances }: Installation, random: Random): Client[] {
  return Array.from({ length: 50 }, (_, i) => {
    // What a proxy's sockets hold would do it for longer than this takes.
    if (i === 0) return new Client('sleeper', instances[0]!.url, { random: random.fork(), mayGap: ['slow', 'trimmed'], habits: { sleep: { afterMs: 5_000, forMs: Math.min(30_000, seconds * 500) } } })
    const filter = i < 6 ? {} : random.pick(filters)
    return i % 2 === 0
      ? new Client(`leaver ${i}`, proxy.url, { random: random.fork(), filter, habits: { stayMs: [100, 5_000], awayMs: [0, 2_000] } })
      : new Client(`client ${i}`, proxy.url, { random: random.fork(), filter })
  })
}

/** All must come to the last event of each publisher, whether their filter lets it pass or not; answers who did not. */
async function stragglers (clients: Client[], publishers: Publisher[]): Promise<string[]> {
  const wide = clients.find(({ filter, mayGap }) => Object.keys(filter).length === 0 && mayGap.length === 0)!
  const headOf = (event: string) => wide.steps.findLast((step) => step.event === event)?.id
  const last = publishers.map(({ index, sent }) => `${index}-${sent.length - 1}`)
  const missing = () => last.filter((event) => headOf(event) === undefined)
  const isBehind = ({ steps }: Client) => {
    const { epoch, seq } = steps.at(-1)?.id ?? {}
    return epoch !== wide.steps.at(-1)!.id.epoch || seq! < Math.max(...last.map((event) => headOf(event)?.seq ?? 0))
  }
  await until(() => missing().length === 0 && !clients.some(isBehind), 20_000).catch(() => {})
  return [
    ...missing().map((event) => `${event} never came`),
    ...clients.filter(isBehind).map(({ name, steps }) => `${name} stayed behind at ${JSON.stringify(steps.at(-1)?.id)}, ${Math.round((performance.now() - (steps.at(-1)?.at ?? 0)) / 1_000)} s ago`)
  ]
}

describe.skipIf(skipped(redisMissing() ?? proxyMissing()))('the log stream', () => {
  test.for(seeds)('loses no event in silence, whatever happens (seed %i)', { timeout: (seconds + 120) * 1_000 }, async (seed) => {
    await using installation = await install(3, settings)
    const random = new Random(seed)
    const clients = clientsOf(installation, random)
    const publishers = [...installation.instances, ...installation.instances].map((instance, i) => new Publisher(i, instance, random.fork()))
    const happenings: Happening[] = []
    const publishing = new AbortController()
    const following = new AbortController()
    setMaxListeners(Infinity, publishing.signal, following.signal)
    const follow = Promise.all(clients.map(async (client) => { await client.run(following.signal) }))
    let behind: string[] = []
    try {
      await until(() => clients.every(({ connects }) => connects > 0))
      const publish = Promise.all(publishers.map(async (publisher) => { await publisher.run(rate / publishers.length, publishing.signal) }))
      await makeFaults({ ...installation, publishers, history }, random, seconds, happenings).finally(() => { publishing.abort() })
      await publish
      await Promise.all(publishers.map(async (publisher) => { await publisher.send(1) }))
      behind = await stragglers(clients, publishers)
    } finally {
      publishing.abort()
      following.abort()
      await follow
    }
    const publications = publishers.flatMap((publisher) => publisher.publications())
    const problems = [...behind, ...judge({ journeys: clients, publications, happenings, history })]
    // What every client went through, for who looks for the cause.
    if (dump !== undefined) await writeFile(join(dump, `oracle-${seed}.json`), JSON.stringify({ problems, happenings, clients }))
    const steps = clients.flatMap(({ steps }) => steps)
    process.stderr.write([
      `oracle seed ${seed}: ${publications.length} published (${publications.filter(({ state }) => state !== 'accepted').length} in doubt)`,
      `${steps.filter(({ event }) => event !== undefined).length} deliveries`,
      `gaps ${Object.entries(gapsOf(clients)).map(([reason, count]) => `${reason} ${count}`).join(', ')}`,
      `${clients.reduce((sum, { connects }) => sum + connects - 1, 0)} reconnects\n`
    ].join('; '))

    expect(problems.slice(0, 20), `${problems.length} problems; ${happenings.map(({ name }) => name).join('; ')}`).toEqual([])
    // What trims has happened to clients that have no part in it.
    expect(gapsOf(clients.filter(({ mayGap }) => mayGap.length === 0)).trimmed).toBeGreaterThan(0)
  })
})
