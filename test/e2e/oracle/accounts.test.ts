import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { redisMissing } from '../own-redis.ts'
import { skipped, until } from '../processes.ts'
import { Client, fits, type Filter, type Habits } from './clients.ts'
import { install, type Instance } from './instances.ts'
import { proxyMissing } from './proxy.ts'
import { Publisher } from './publishers.ts'
import { Random } from './random.ts'

const timeout = 120_000
/** None of the servers' own events: what is published is all there is. */
const quiet = { MUXI_API_LOG_LEVEL: 'fatal' }

/** What a client was given, and what it was told that it was not. */
interface Account { given: number, leftOut: number, reasons: string[], owed: number }

function accountOf ({ steps, filter }: Client, { sent }: Publisher): Account {
  const gaps = steps.flatMap(({ gap }) => gap ?? [])
  return {
    given: steps.filter(({ event }) => event !== undefined).length,
    leftOut: gaps.reduce((sum, { count = NaN }) => sum + count, 0),
    reasons: [...new Set(gaps.map(({ reason }) => reason))],
    owed: sent.filter((event) => event.state === 'accepted' && fits(filter, event)).length
  }
}

/** Publishes for a while, and waits until every client has been given or told of everything. */
async function followed ({ at, from, filters, habits = {}, rate, ms, meanwhile }: { at: Instance, from: Instance, filters: Filter[], habits?: Habits, rate: number, ms: number, meanwhile?: () => Promise<void> }): Promise<{ accounts: Account[], early: number[] }> {
  const random = new Random(1)
  const clients = filters.map((filter, i) => new Client(`client ${i}`, at.url, { random: random.fork(), filter, habits }))
  const publisher = new Publisher(0, from, random.fork())
  const following = new AbortController()
  const follow = Promise.all(clients.map(async (client) => { await client.run(following.signal) }))
  try {
    await until(() => clients.every(({ steps }) => steps.length > 0))
    await Promise.all([publisher.run(rate, AbortSignal.timeout(ms)), meanwhile?.()])
    const early = clients.map((client) => accountOf(client, publisher).given)
    const accounts = () => clients.map((client) => accountOf(client, publisher))
    await until(() => accounts().every(({ given, leftOut, owed }) => given + leftOut >= owed), 30_000).catch(() => {})
    return { accounts: accounts(), early }
  } finally {
    following.abort()
    await follow
  }
}

describe.skipIf(skipped(redisMissing() ?? proxyMissing()))('a client of the log stream', () => {
  test('is given 100 events a second of 300, and told exactly how many it is not given', { timeout }, async () => {
    await using installation = await install(1, { ...quiet, MUXI_API_STREAM_RATE: '100' })
    const [at] = installation.instances as [Instance]
    const { accounts, early } = await followed({ at, from: at, filters: [{}, { level: 'info' }, { service: 'shop' }], rate: 300, ms: 12_000 })
    process.stderr.write(`at 100 a second: ${JSON.stringify(accounts)}, of these ${early.join(', ')} within 12 s\n`)

    for (const { given, leftOut, owed } of accounts) expect(given + leftOut).toBe(owed)
    expect(accounts.map(({ reasons }) => reasons)).toEqual([['rate'], ['rate'], []])
    // The first 100 may come at once.
    expect(Math.max(...early)).toBeLessThanOrEqual(1_350)
    expect(Math.min(...early.slice(0, 2))).toBeGreaterThan(800)
  })

  test('that does not read for a while is told exactly how many it missed', { timeout }, async () => {
    await using installation = await install(1, quiet)
    const [at] = installation.instances as [Instance]
    const habits = { sleep: { afterMs: 1_000, forMs: 20_000 } }
    const { accounts: [account] } = await followed({ at, from: at, filters: [{}], habits, rate: 600, ms: 22_000 })
    process.stderr.write(`not reading: ${JSON.stringify(account)}\n`)

    expect(account!.given + account!.leftOut).toBe(account!.owed)
    expect(account!.leftOut).toBeGreaterThan(0)
    expect(account!.reasons).toEqual(['slow'])
  })

  test('of an instance that was frozen until the history had passed it by is told exactly how many it missed', { timeout }, async () => {
    await using installation = await install(2, { ...quiet, MUXI_API_EVENTS_HISTORY: '1000' })
    const [at, from] = installation.instances as [Instance, Instance]
    const meanwhile = async () => {
      await sleep(1_000)
      at.freeze()
      await sleep(6_000)
      at.thaw()
    }
    const { accounts: [account] } = await followed({ at, from, filters: [{}], rate: 600, ms: 8_000, meanwhile })
    process.stderr.write(`frozen: ${JSON.stringify(account)}\n`)

    expect(account!.given + account!.leftOut).toBe(account!.owed)
    expect(account!.leftOut).toBeGreaterThan(0)
    expect(account!.reasons).toEqual(['trimmed'])
  })
})
