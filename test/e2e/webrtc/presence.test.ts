import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { beforeAll, describe, expect, test as base } from 'vitest'
import type { RtcSession } from '../../../schemas/rtc.ts'
import { Random } from '../oracle/random.ts'
import { authorization, install, type Installation } from '../oracle/instances.ts'
import { proxyMissing } from '../oracle/proxy.ts'
import { redisMissing } from '../own-redis.ts'
import { skipped } from '../processes.ts'
import { call, Peer, shown } from '../../plugins/signaling/peer.ts'

const leaseMs = 3_000
const keptMs = 4_000
const test = base.extend<{ installation: Installation }>({
  installation: [async ({}, use) => {
    await using installation = await install(3, { MUXI_API_RTC_LEASE_MS: String(leaseMs), MUXI_API_RTC_KEPT_MS: String(keptMs) })
    await use(installation)
  }, { scope: 'file' }]
})
const seed = Number(process.env.PRESENCE_SEED ?? 1)
const rooms = 5
const actions = 1_000

beforeAll(() => { shown.headers = authorization })

describe.skipIf(skipped(redisMissing() ?? proxyMissing()))('three instances', () => {
  test('kill -9 of an instance: others see its peer reconnecting, then again, or left; who rejoins at once comes in', async ({ installation: { instances: [first, second] } }) => {
    const ada = await (await Peer.open(second!.url, { max_participants: 3 })).listen()
    const ben = await (await Peer.join(first!.url, ada)).listen()
    const cleo = await (await Peer.join(first!.url, ada, 'cleo')).listen()
    const [benLast, killed] = [ben.lastId!, performance.now()]
    await first!.kill()
    ben.url = second!.url
    await ben.listen({ 'last-event-id': benLast })
    const rejoined = await (await Peer.join(second!.url, ada, 'cleo')).listen()
    await expect.poll(() => ada.heard.filter(({ data }) => data.type === 'participant_left').map(({ data }) => data.participant_id), { timeout: 20_000 }).toContain(cleo.id)
    const goneAfter = performance.now() - killed
    await first!.start()

    expect(ben.status).toBe(200)
    expect(ada.types).toContain('participant_resumed')
    expect(rejoined.status).toBe(200)
    // By the lease of 25 s this is below 30 s.
    expect(goneAfter).toBeLessThan(leaseMs * 1.2 + 1_000)
    expect(ada.roster.ids).toEqual([ada, ben, rejoined].map(({ id }) => `${id} joined`).sort())
    for (const peer of [ada, ben, rejoined]) await peer.leave()
  })

  test(`after ${actions} joins, drops, resumes, leavings and kills all rosters agree, and nothing is left in Redis when the rooms are over (seed ${seed})`, { timeout: 240_000 }, async ({ installation: { instances, proxy, redis } }) => {
    const random = new Random(seed)
    const halls = await Promise.all(Array.from({ length: rooms }, async () => [await (await Peer.open(proxy.url, { max_participants: 12 })).listen()]))
    const sessions = halls.map(([peer]) => peer!.session)
    const counts: Record<string, number> = {}
    const act = async (peers: Peer[]) => {
      const [first, ...others] = peers as [Peer, ...Peer[]]
      // Who opened the room stays, and comes back when its instance is gone.
      if (!first.isOpen) {
        first.url = random.pick(instances).url
        await first.listen({ 'last-event-id': first.lastId! })
      }
      const peer = others.length > 0 ? random.pick(others) : undefined
      const what = peer === undefined || (peers.length < 8 && random.next() < 0.3) ? 'join' : random.pick(['drop', 'resume', 'resume', 'restart', 'leave'])
      counts[what] = (counts[what] ?? 0) + 1
      const url = random.pick(instances).url
      if (what === 'join') {
        const made = await Peer.join(url, first, `user-${peers.length}`).catch(() => undefined)
        if (made !== undefined) peers.push(await made.listen())
      } else if (what === 'drop') peer!.hangUp()
      else if (what === 'leave') {
        peer!.url = url
        if ((await peer!.leave()).status === 200) peers.splice(peers.indexOf(peer!), 1)
      } else {
        peer!.url = url
        const last = peer!.lastId
        await peer!.listen(what === 'resume' && last !== undefined ? { 'last-event-id': last } : {})
      }
    }
    const chaos = (async () => {
      for (let i = 0; i < 3; i++) {
        await sleep(5_000)
        const victim = random.pick(instances)
        await victim.kill()
        await sleep(1_500)
        await victim.start()
      }
    })()
    await Promise.all(halls.map(async (peers) => {
      for (let i = 0; i < actions / rooms; i++) {
        await act(peers).catch(() => {})
        await sleep(random.between(10, 150))
      }
    }))
    await chaos
    // Who is still there listens once more; who is not is taken out when its lease has lapsed.
    for (const peers of halls) {
      for (const peer of [...peers]) {
        peer.url = random.pick(instances).url
        await peer.listen(peer.lastId === undefined ? {} : { 'last-event-id': peer.lastId })
        if (peer.status !== 200) peers.splice(peers.indexOf(peer), 1)
      }
    }
    await sleep(leaseMs * 1.2 + 3_000)
    const truths = await Promise.all(sessions.map(async (id) => (await call<RtcSession>(proxy.url, 'GET', `/sessions/${id}`)).json))
    const disagreeing = halls.flatMap((peers, i) => {
      const truth = (truths[i]!.participants ?? []).map(({ participant_id: id, state }) => `${id} ${state}`).sort()
      return peers.filter(({ roster }) => roster.ids.join() !== truth.join()).map(({ id, roster }) => ({ id, roster, truth }))
    })
    process.stderr.write(`presence: ${JSON.stringify(counts)}; at the end ${halls.map((peers) => peers.length).join(', ')} in the rooms\n`)
    for (const id of sessions) await call(proxy.url, 'DELETE', `/sessions/${id}`)

    expect(disagreeing).toEqual([])
    expect(halls.flat().length).toBeGreaterThan(rooms)
    expect(halls.every((peers) => peers.every(({ heard }) => hasOnePairAtMost(heard)))).toBe(true)
    const client = new Redis(redis.url)
    const left = async () => (await client.keys('*rtc:*')).filter((key) => !key.includes('topic:'))
    await expect.poll(left, { timeout: 30_000, interval: 500 }).toEqual([])
    // What was said goes a minute after the last word.
    const journals = await client.keys('*topic:rtc:*')
    const lives = await Promise.all(journals.map(async (key) => await client.pttl(key)))
    client.disconnect()
    expect(lives.filter((ms) => ms === -1 || ms > 60_000 + keptMs)).toEqual([])
  })
})

/** Nobody is told twice that the same one has come, or has left. */
function hasOnePairAtMost (heard: Peer['heard']): boolean {
  const told = heard.filter(({ data }) => data.type === 'participant_joined' || data.type === 'participant_left').map(({ data }) => `${data.type} ${data.participant_id}`)
  return new Set(told).size === told.length
}
