import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test as base } from 'vitest'
import { startEmbeddedCore } from '../../core/embedded/index.ts'
import { as, keys } from '../app.ts'
import { until } from './processes.ts'
import { Server } from './real-core.ts'
import { StreamReader } from './stream-reader.ts'

const readers = 200
const stuck = 40
const calls = 50
/** What those who read follow. */
const light = { service: 'light', perCall: 20, filling: 'x'.repeat(256) }
/** What those follow who do not read: 16 MiB for each, more than the kernel takes. */
const heavy = { service: 'heavy', perCall: 10, filling: 'x'.repeat(32_768) }
const mebibyte = 1_048_576

interface Memory { external: number, resident: number }
interface Run { reading: StreamReader[], stuck: StreamReader[], before: Memory, after: Memory }

/** What a process holds beyond what is in use is given back soon, or memory would tell of the past. */
const thrifty = { NODE_OPTIONS: '--max-semi-space-size=2 --max-old-space-size=160', MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '131072' }

/** The same events four times: twice to fill what fills anyway, then as a measure, then with clients that read nothing in the place of some that do. */
const test = base.extend<{ run: Run }>({
  run: [async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    await using server = await Server.start({
      env: {
        ...thrifty,
        MUXI_CORE_URI: core.url,
        MUXI_CORE_ADMIN_KEY: keys.admin,
        MUXI_API_RATE_LIMIT: '0',
        MUXI_API_STREAMS_PER_CALLER: '1000',
        MUXI_API_STREAM_RATE: '0',
        MUXI_API_STREAM_BUFFER: '100',
        MUXI_API_STREAM_STALL_MS: '600000',
        MUXI_API_EVENTS_HISTORY: '1000'
      }
    })
    await until(async () => (await server.ready()).status === 200)
    const open = async (amount: number, { service }: typeof light) => await Promise.all(Array.from({ length: amount }, async () => await StreamReader.open(server.url, keys.admin, `service=${service}`)))
    const reading = await open(readers, light)
    const others = await open(stuck, heavy)
    for (const reader of [...reading, ...others]) reader.read()
    for (const begin of [0, 1]) await flood(server, begin * calls, reading, others)
    const without = await flood(server, calls * 2, reading, others)
    const before = await least(server)
    for (const reader of others) reader.close()
    const stuckOnes = await open(stuck, heavy)
    const beside = await flood(server, calls * 3, reading)
    const after = await least(server)
    process.stderr.write(`p99 ${without} ms alone, ${beside} ms beside ${stuck} that do not read; per client ${perClient(before, after, 'external')} MiB external, ${perClient(before, after, 'resident')} MiB resident\n`)
    await use({ reading, stuck: stuckOnes, before, after })
    for (const reader of [...reading, ...stuckOnes]) reader.close()
    await server.stop()
    await core.close()
  }, { scope: 'file' }]
})

/** Sends the events as a collector does, each call when all who read have the one before; answers the 99th percentile of the delays in ms. */
async function flood ({ url }: Server, sent: number, reading: StreamReader[], others: StreamReader[] = []): Promise<number> {
  for (const { delays } of reading) delays.length = 0
  for (let call = sent; call < sent + calls; call++) {
    const body = JSON.stringify({ resourceLogs: [light, heavy].map((kind) => recordsOf(kind, call)) })
    const res = await fetch(`${url}/api/v1/logs`, { method: 'POST', headers: { ...as('admin'), 'content-type': 'application/json' }, body })
    expect({ status: res.status, body: await res.json() }).toEqual({ status: 200, body: {} })
    const have = (readers: StreamReader[], { perCall }: typeof light) => readers.every(({ events }) => events >= (call + 1) * perCall)
    await until(() => have(reading, light) && have(others, heavy))
  }
  const delays = reading.flatMap((reader) => reader.delays).sort((a, b) => a - b)
  return delays[Math.floor(delays.length * 0.99)]!
}

function recordsOf ({ service, perCall, filling }: typeof light, call: number): object {
  const logRecords = Array.from({ length: perCall }, (_, i) => ({ timeUnixNano: '1795424298295000000', severityNumber: 9, body: { stringValue: `n=${call * perCall + i} at=${Date.now()} ${filling}` } }))
  return { resource: { attributes: [{ key: 'service.name', value: { stringValue: service } }] }, scopeLogs: [{ logRecords }] }
}

/** What it holds once it has come to rest: the least of some seconds. */
async function least ({ url }: Server): Promise<Memory> {
  const all: Memory[] = []
  for (let i = 0; i < 20; i++) {
    const text = await (await fetch(`${url}/metrics`, { headers: as('admin') })).text()
    const valueOf = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)![1])
    all.push({ external: valueOf('nodejs_external_memory_bytes'), resident: valueOf('process_resident_memory_bytes') })
    await sleep(200)
  }
  return { external: Math.min(...all.map(({ external }) => external)), resident: Math.min(...all.map(({ resident }) => resident)) }
}

function perClient (before: Memory, after: Memory, kind: keyof Memory): number {
  return Number(((after[kind] - before[kind]) / stuck / mebibyte).toFixed(2))
}

// The first case waits for the run.
test('beside clients that do not read, all others get every event in order', { timeout: 180_000 }, ({ run: { reading } }) => {
  expect(reading.map(({ events, disordered, gaps }) => ({ events, disordered, gaps }))).toEqual(reading.map(() => ({ events: calls * 4 * light.perCall, disordered: 0, gaps: [] })))
})

test('a client that does not read costs at most 1 MiB', ({ run: { before, after } }) => {
  expect(perClient(before, after, 'external')).toBeLessThan(1)
  expect(perClient(before, after, 'resident')).toBeLessThan(1)
})

test('when it reads at last it is told how many it has missed', async ({ run: { stuck: [one] } }) => {
  const reader = one!.read()
  const accounted = () => reader.events + reader.gaps.reduce((sum, { count = 0 }) => sum + count, 0)
  await expect.poll(accounted).toBeGreaterThanOrEqual(calls * heavy.perCall)

  expect(accounted()).toBe(calls * heavy.perCall)
  expect(reader.disordered).toBe(0)
  expect(new Set(reader.gaps.map(({ reason }) => reason))).toEqual(new Set(['slow']))
})
