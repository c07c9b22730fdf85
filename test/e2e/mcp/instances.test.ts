import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, test as base } from 'vitest'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { authorization, install, keys, type Installation } from '../oracle/instances.ts'
import { proxyMissing } from '../oracle/proxy.ts'
import { redisMissing } from '../own-redis.ts'
import { skipped } from '../processes.ts'
import { Caller, type Asked } from './caller.ts'
import { clients } from './clients.ts'
import { prepare } from './prepare.ts'

const test = base.extend<{ installation: Installation }>({
  installation: [async ({}, use) => {
    await using installation = await install(2, { MUXI_API_RATE_LIMIT_MCP: '0' })
    await use(installation)
  }, { scope: 'file' }]
})

/** How long after an instance is gone what it has worked on is reported. */
const goneMs = 35_000

/** How long an instance that is killed may still take connections, on a busy machine. */
const dyingMs = 500

beforeAll(prepare)

describe.skipIf(skipped(redisMissing() ?? proxyMissing()))('two instances behind a proxy', () => {
  test('a session that was opened at one goes on at the other, also when the first is gone', async ({ installation: { instances: [first, second] } }) => {
    const opened = await connect(first!.url)
    const there = await connect(second!.url, opened.transport.sessionId)
    const before = await there.client.callTool({ name: 'agent_list', arguments: {} })
    await first!.kill()
    const after = await there.client.callTool({ name: 'agent_list', arguments: {} })
    await first!.start()
    const back = await opened.client.callTool({ name: 'agent_list', arguments: {} })
    await there.client.close()

    expect(there.transport.sessionId).toBe(opened.transport.sessionId)
    expect([before, after, back].map(({ structuredContent }) => structuredContent)).toEqual(Array(3).fill({ agents: expect.any(Array), pagination: expect.any(Object) }))
  })

  test('every kind of client is answered or told at once, and goes on, while one is killed and replaced', { timeout: 180_000 }, async ({ installation: { instances: [first], proxy } }) => {
    const callers = clients.filter(({ missing }) => missing() === undefined).map((maker) => new Caller(maker, proxy.url, keys.admin))
    await Promise.all(callers.map(async (caller) => { await caller.connect() }))
    const stop = new AbortController()
    const run = Promise.all(callers.map(async (caller) => { await caller.run(stop.signal) }))
    await sleep(3_000)
    const killed = performance.now()
    await first!.kill()
    await sleep(2_000)
    await first!.start()
    const back = performance.now()
    await sleep(3_000)
    stop.abort()
    await run
    await Promise.all(callers.map(async (caller) => { await caller.close() }))
    for (const { name, asked } of callers) process.stderr.write(`${name}: ${tally(asked)}\n`)

    expect(callers.flatMap((caller) => problemsOf(caller, killed, back).map((problem) => `${caller.name}: ${problem}`))).toEqual([])
  })
})

async function connect (url: string, sessionId?: string) {
  const client = new Client({ name: 'muxi-api-e2e', version: '1.0.0' })
  const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers: authorization }, ...(sessionId !== undefined && { sessionId }) })
  await client.connect(transport as Transport)
  return { client, transport }
}

function problemsOf ({ asked, hidesRefusals }: Caller, killed: number, back: number): string[] {
  const told = ({ what, at, ms, detail }: Asked) => `${what} ${Math.round(at - killed)} ms after the kill, for ${Math.round(ms)} ms: ${detail}`
  // The proxy refuses what reaches the instance while it dies.
  const isHidden = (one: Asked | undefined) => hidesRefusals && one?.came === 'wrong' && one.at > killed && one.at < killed + dyingMs
  const judged = asked.filter((one, i) => !isHidden(one) && !(one.came === 'failed' && isHidden(asked[i - 1])))
  const failed = judged.filter(({ came }) => came === 'failed')
  return [
    ...judged.filter(({ came }) => came === 'wrong').map((one) => `wrong: ${told(one)}`),
    ...judged.filter(({ ms }) => ms > goneMs).map((one) => `late: ${told(one)}`),
    ...failed.filter(({ at, ms }) => at + ms < killed || at > back + 1_000).map((one) => `for no reason: ${told(one)}`),
    ...(asked.at(-1)?.came === 'answered' ? [] : ['did not go on'])
  ]
}

function tally (asked: Asked[]): string {
  const of = (came: Asked['came']) => asked.filter((one) => one.came === came)
  const failures = of('failed').map(({ what, ms, detail }) => `${what} after ${Math.round(ms)} ms: ${detail.slice(0, 90).replaceAll('\n', ' ')}`)
  return `${of('answered').length} answered, ${failures.length} failed, ${asked.filter(({ reconnected }) => reconnected).length} reconnects, slowest ${Math.round(Math.max(...asked.map(({ ms }) => ms)))} ms${failures.length === 0 ? '' : ` (${[...new Set(failures)].join('; ')})`}`
}
