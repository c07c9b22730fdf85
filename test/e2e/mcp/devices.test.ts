import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { buildApp } from '../../../app.ts'
import { startEmbeddedCore, type ChatRequest, type EmbeddedCore } from '../../../core/embedded/index.ts'
import { configFor, Lines } from '../../app.ts'
import { keys } from '../oracle/instances.ts'
import { Random } from '../oracle/random.ts'
import { Device, type Call } from './device.ts'
import { Network } from './network.ts'

const seeds = process.env.DEVICES_SEED?.split(',').map(Number) ?? [1]
const [devicesCount, seconds] = [50, 20]
const settings = { MUXI_API_RATE_LIMIT: '0', MUXI_API_RATE_LIMIT_MCP: '0', MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user }

test.for(seeds)('fifty devices whose network comes and goes know of every call what became of it (seed %i)', { timeout: 180_000 }, async (seed) => {
  const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
  const app = await buildApp(configFor(core, settings), new Lines())
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  await app.core.check()
  const random = new Random(seed)
  const networks = await Promise.all(Array.from({ length: devicesCount }, async () => await Network.to(url)))
  const devices = networks.map((network, i) => new Device(`d${i}`, network, random.fork(), i % 2 === 1))
  const stop = new AbortController()
  try {
    const run = Promise.all(devices.map(async (device) => { await device.run(stop.signal) }))
    await Promise.all(networks.map(async (network) => { await trouble(network, random.fork(), seconds * 1_000) }))
    stop.abort()
    await run
    // What its device has left is broken off at the Core, too.
    await expect.poll(() => running(core), { timeout: 5_000 }).toEqual([])
    const calls = devices.flatMap((device) => device.calls.map((call) => ({ ...call, isLatest: device.isLatest })))
    process.stderr.write(`devices, seed ${seed}: ${calls.length} calls; ${tally(calls)}; ${core.requests.size} chats at the Core\n`)

    expect(calls.flatMap((call) => problemsOf(call, [...core.requests.values()].filter(({ user_id: user }) => user === call.id)))).toEqual([])
    expect(calls.length).toBeGreaterThan(devicesCount * 4)
    expect(new Set(calls.flatMap(({ outcomes }) => outcomes))).toEqual(new Set(['answered', 'cancelled', 'lost']))
  } finally {
    stop.abort()
    await Promise.all(networks.map(async (network) => { await network[Symbol.asyncDispose]() }))
    await app.close()
    await core.close()
  }
})

/** The network of one device is gone now and then, for moments and for seconds. */
async function trouble (network: Network, random: Random, ms: number): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end;) {
    await sleep(random.between(500, 6_000))
    network.down()
    await sleep(random.between(10, random.next() < 0.3 ? 3_000 : 300))
    network.up()
  }
}

function problemsOf (call: Call & { isLatest: boolean }, chats: ChatRequest[]): string[] {
  const { id, kind, outcomes, answer, isLatest } = call
  const text = JSON.stringify(answer?.result?.structuredContent ?? answer?.result?.content ?? answer ?? null)
  const isTrue = kind === 'quick' ? text.includes('"greeter"') : kind === 'failing' ? text.includes('not_found') && answer?.result?.isError === true : text.includes(`I am ${id}`)
  const left = chats.filter(({ status }) => status === 'completed').length
  return [
    ...(outcomes.length === 1 ? [] : [`${outcomes.length} outcomes: ${outcomes.join()}`]),
    ...(outcomes[0] === 'answered' && !isTrue ? [`answered with ${text.slice(0, 200)}`] : []),
    ...(chats.length > 1 ? [`done ${chats.length} times`] : []),
    ...(kind === 'cancelled' && left > 0 ? ['cancelled, and done nevertheless'] : []),
    // A stream that was begun in a session comes back.
    ...(outcomes[0] === 'refused' ? [`refused: ${text.slice(0, 200)}`] : []),
    ...(outcomes[0] === 'lost' && isLatest ? ['lost'] : [])
  ].map((problem) => `${id} (${kind}, ${isLatest ? '2026' : '2025'}): ${problem}`)
}

function running (core: EmbeddedCore): string[] {
  return [...core.requests.values()].filter(({ status }) => status === 'processing').map(({ user_id: user }) => user)
}

function tally (calls: Call[]): string {
  const counts = new Map<string, number>()
  for (const { kind, outcomes } of calls) counts.set(`${kind} ${outcomes.join('+')}`, (counts.get(`${kind} ${outcomes.join('+')}`) ?? 0) + 1)
  return [...counts].sort(([a], [b]) => a < b ? -1 : 1).map(([name, count]) => `${name} ${count}`).join(', ')
}
