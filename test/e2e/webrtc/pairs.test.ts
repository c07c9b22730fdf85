import { describe, expect, test as base } from 'vitest'
import type { RtcJoined } from '../../../schemas/rtc.ts'
import { authorization, install, type Installation } from '../oracle/instances.ts'
import { proxyMissing } from '../oracle/proxy.ts'
import { redisMissing } from '../own-redis.ts'
import { skipped } from '../processes.ts'
import { candidate, sdp } from '../../plugins/signaling/peer.ts'
import { SocketPeer } from './sockets.ts'

const test = base.extend<{ installation: Installation }>({
  installation: [async ({}, use) => {
    await using installation = await install(2)
    await use(installation)
  }, { scope: 'file' }]
})
const pairs = 200
const glares = 1_000

describe.skipIf(skipped(redisMissing() ?? proxyMissing()))('two instances', () => {
  test(`${pairs} pairs at once, each over both instances, all negotiate`, { timeout: 180_000 }, async ({ installation: { instances: [first, second] } }) => {
    const rooms = await inTurn(pairs, 20, async () => await connectPair(first!.url, second!.url))
    const delays: number[] = []

    const outcomes = await Promise.all(rooms.map(async ([ada, ben], i) => await negotiate(ada, ben, i, delays).catch((error: unknown) => String(error))))
    for (const room of rooms) for (const peer of room) peer.close()
    delays.sort((a, b) => a - b)
    const at = (part: number) => delays[Math.floor(delays.length * part)]!.toFixed(1)
    process.stderr.write(`pairs: ${outcomes.filter((outcome) => outcome === 'stable').length} of ${pairs}; a signal reaches the other instance's peer after ${at(0.5)} ms (p50), ${at(0.99)} ms (p99), of ${delays.length}, all pairs at once\n`)

    expect(outcomes.filter((outcome) => outcome !== 'stable')).toEqual([])
    // One after the other, as calls come: what it takes when nobody waits for a core.
    const calm: number[] = []
    const [ada, ben] = await connectPair(first!.url, second!.url)
    // A participant may send 200 signals at once.
    for (let i = 0; i < 90; i++) await negotiate(ada, ben, i, calm)
    calm.sort((a, b) => a - b)
    process.stderr.write(`pairs: one alone: ${calm[Math.floor(calm.length / 2)]!.toFixed(1)} ms (p50), ${calm[Math.floor(calm.length * 0.99)]!.toFixed(1)} ms (p99)\n`)
    for (const peer of [ada, ben]) peer.close()
  })

  test(`${glares} times both offer at once: both agree on whose offer holds, and end stable`, { timeout: 180_000 }, async ({ installation: { instances: [first, second] } }) => {
    const rooms = await inTurn(20, 10, async () => await connectPair(first!.url, second!.url))
    const endings: string[] = []

    await Promise.all(rooms.map(async ([ada, ben]) => { for (let i = 0; i < glares / rooms.length; i++) endings.push(await glare(ada, ben, i)) }))
    for (const room of rooms) for (const peer of room) peer.close()
    const counted = Object.fromEntries([...new Set(endings)].map((ending) => [ending, endings.filter((one) => one === ending).length]))
    process.stderr.write(`glare: ${JSON.stringify(counted)}\n`)

    expect(endings).toHaveLength(glares)
    // The earlier one joined first, so its offer holds whichever came first.
    expect(endings.filter((ending) => !ending.startsWith('stable on the offer of the earlier'))).toEqual([])
  })
})

async function connectPair (first: string, second: string): Promise<[SocketPeer, SocketPeer]> {
  const opened = await post(first, '/sessions', { user_id: 'ada' })
  const joined = await post(second, `/sessions/${opened.session_id}/participants`, { user_id: 'ben' })
  return [await SocketPeer.connect(first, opened), await SocketPeer.connect(second, joined)]
}

async function post (url: string, path: string, body: object): Promise<RtcJoined> {
  const response = await fetch(`${url}/api/v1/rtc${path}`, { method: 'POST', headers: { ...authorization, 'content-type': 'application/json' }, body: JSON.stringify(body) })
  if (response.status !== 201) throw new Error(await response.text())
  return await response.json() as RtcJoined
}

/** The next signal of a kind; its delay is from when it was sent. */
async function next (peer: SocketPeer, type: string, sent: () => Promise<{ type: string }>, delays?: number[]): Promise<Record<string, unknown>> {
  const from = performance.now()
  const came = new Promise<Record<string, unknown>>((resolve, reject) => {
    const timer = setTimeout(() => { reject(new Error(`no ${type} came within 20 s`)) }, 20_000)
    peer.onFrame = (frame) => {
      if (frame.type !== 'rtc_signal' || frame.data.type !== type) return
      clearTimeout(timer)
      delays?.push(performance.now() - from)
      resolve(frame.data)
    }
  })
  const [data, answer] = await Promise.all([came, sent()])
  if (answer.type !== 'rtc_receipt') throw new Error(JSON.stringify(answer))
  return data
}

async function negotiate (ada: SocketPeer, ben: SocketPeer, i: number, delays: number[]): Promise<string> {
  const offer = await next(ada, 'offer', async () => await ben.signal({ type: 'offer', to: ada.id, description: { type: 'offer', sdp: sdp(`b${i}`) } }), delays)
  await next(ada, 'candidate', async () => await ben.signal({ type: 'candidate', to: ada.id, candidate: candidate(`b${i}`) }), delays)
  const answer = await next(ben, 'answer', async () => await ada.signal({ type: 'answer', description: { type: 'answer', sdp: sdp(`a${i}`) }, in_reply_to: offer.signal_id }), delays)
  await next(ben, 'candidate', async () => await ada.signal({ type: 'candidate', to: ben.id, candidate: candidate(`a${i}`) }), delays)
  return answer.in_reply_to === offer.signal_id && answer.negotiation_id === offer.negotiation_id ? 'stable' : `answered ${String(answer.in_reply_to)}`
}

/** Both offer in the same moment, and do what perfect negotiation says (W3C WebRTC, section 10.7): the impolite one ignores what comes, the polite one rolls back and answers. */
async function glare (ada: SocketPeer, ben: SocketPeer, i: number): Promise<string> {
  const offers: Record<string, string> = {}
  const ended = new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => { reject(new Error('not stable within 20 s')) }, 20_000)
    ben.onFrame = (frame) => {
      if (frame.type !== 'rtc_signal' || frame.data.type !== 'offer') return
      const id = String(frame.data.signal_id)
      ben.signal({ type: 'answer', description: { type: 'answer', sdp: sdp(`ba${i}`) }, in_reply_to: id }).then((answer) => {
        if (answer.type !== 'rtc_receipt') reject(new Error(JSON.stringify(answer)))
      }, reject)
    }
    ada.onFrame = (frame) => {
      if (frame.type !== 'rtc_signal' || frame.data.type !== 'answer') return
      clearTimeout(timer)
      resolve(String(frame.data.in_reply_to))
    }
  })
  const [own, other] = await Promise.all([
    ada.signal({ type: 'offer', to: ben.id, description: { type: 'offer', sdp: sdp(`a${i}`) } }),
    ben.signal({ type: 'offer', to: ada.id, description: { type: 'offer', sdp: sdp(`b${i}`) } })
  ])
  offers.ada = String(own.data.signal_id)
  const holds = await ended
  const refused = other.type === 'error' && other.data.details?.reason === 'glare'
  return holds === offers.ada ? `stable on the offer of the earlier, ${refused ? 'the other refused' : 'the other superseded'}` : `stable on ${holds}`
}

async function inTurn<T> (count: number, together: number, make: () => Promise<T>): Promise<T[]> {
  const made: T[] = []
  while (made.length < count) made.push(...await Promise.all(Array.from({ length: Math.min(together, count - made.length) }, make)))
  return made
}
