import { describe, expect } from 'vitest'
import type { RtcJoined, RtcSession } from '../../../schemas/rtc.ts'
import { as, sharedWith } from '../../app.ts'
import { call, candidate, Peer, sdp } from './peer.ts'

const test = sharedWith({ MUXI_API_STREAM_LIFE_MS: '0', MUXI_API_ICE_SERVERS: 'stun:stun.test:3478,turn:turn.test:3478', MUXI_API_TURN_SECRET: 'north-of-the-river' })

async function pair (url: string): Promise<[Peer, Peer]> {
  const ada = await Peer.open(url)
  await ada.listen()
  const ben = await Peer.join(url, ada)
  await ben.listen()
  return [ada, ben]
}

describe('rooms', () => {
  test('a room is opened, joined, read, left and closed', async ({ url }) => {
    const [ada, ben] = await pair(url)

    const read = await ben.read()
    const left = await ben.leave()
    const last = await ada.leave()

    expect(read.json).toMatchObject({ status: 'new', max_participants: 2, participants: [{ participant_id: ada.id, order: 1, state: 'joined', transport: 'sse' }, { participant_id: ben.id, order: 2 }] })
    expect(JSON.stringify(read.json)).not.toMatch(/token|credential/)
    expect(left.json).toEqual({ status: 'left', session_id: ada.session, participant_id: ben.id })
    expect(last.status).toBe(200)
    await expect.poll(() => ada.types).toEqual(['welcome', 'participant_joined', 'participant_left', 'participant_left', 'end'])
    expect(ada.ended).toBe('left')
    expect(ben.ended).toBe('left')
    expect((await ada.read()).json).toMatchObject({ status: 'closed', participants: [] })
  })

  test('who is not in a room is told that there is none', async ({ url }) => {
    const [ada] = await pair(url)
    const other = await Peer.open(url)

    const statuses = await Promise.all([
      call<RtcSession>(url, 'GET', `/sessions/${ada.session}`),
      call<RtcSession>(url, 'GET', `/sessions/${ada.session}`, undefined, other.token),
      call(url, 'DELETE', `/sessions/${ada.session}`, undefined, other.token),
      other.send('offer', { session_id: ada.session, participant_id: ada.id, description: { type: 'offer', sdp: sdp() } }),
      call(url, 'POST', '/sessions/rtc_nothere/participants', {})
    ])

    expect(statuses.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404])
    expect((await call<RtcSession>(url, 'GET', `/sessions/${ada.session}`, undefined, as('admin'))).status).toBe(200)
  })

  test('a full room takes nobody more', async ({ url }) => {
    const [ada] = await pair(url)

    const third = await call<RtcJoined>(url, 'POST', `/sessions/${ada.session}/participants`, { user_id: 'eve' })

    expect(third.status).toBe(409)
    expect(third.json.error).toMatchObject({ code: 'conflict', details: { reason: 'full' } })
  })

  test('TURN credentials are for one participant and short-lived', async ({ url }) => {
    const ada = await Peer.open(url)

    const turn = ada.joined.ice_servers[1]!

    expect(ada.joined.ice_servers[0]).toEqual({ urls: ['stun:stun.test:3478'] })
    expect(turn.username).toMatch(new RegExp(`^\\d+:${ada.id}$`))
    expect(Number(turn.username!.split(':')[0]) - Date.now() / 1_000).toBeLessThanOrEqual(600)
    expect(turn.credential).toMatch(/^[A-Za-z0-9+/]{27}=$/)
  })
})

describe('signals', () => {
  test('offer, answer and candidates go back and forth in their order', async ({ url }) => {
    const [ada, ben] = await pair(url)

    const offer = await ben.offer('b1')
    await ben.send('ice-candidate', { candidates: [candidate('b1', 1), candidate('b1', 2), null] })
    const answer = await ada.answer(offer.json.signal_id, 'a1')
    await ada.send('ice-candidate', { candidate: candidate('a1') })

    expect(offer.status).toBe(202)
    expect(offer.json).toMatchObject({ status: 'delivered', recipients: 1 })
    expect(answer.json).toMatchObject({ status: 'delivered', negotiation_id: offer.json.negotiation_id })
    await expect.poll(() => ada.signals.length).toBe(2)
    await expect.poll(() => ben.signals.length).toBe(2)
    expect(ada.signals).toMatchObject([{ type: 'offer', from: ben.id, to: ada.id, signal_id: offer.json.signal_id, description: { type: 'offer', sdp: sdp('b1') } }, { type: 'candidate', candidates: [{ usernameFragment: 'b1' }, {}, null] }])
    expect(ben.signals).toMatchObject([{ type: 'answer', in_reply_to: offer.json.signal_id }, { type: 'candidate' }])
  })

  test('candidates that come before their offer wait for it, those of an older one go nowhere', async ({ url }) => {
    const [ada, ben] = await pair(url)

    const early = await ben.send('ice-candidate', { candidate: candidate('b1') })
    await ben.offer('b1')
    await ben.offer('b2')
    const stale = await ben.send('ice-candidate', { candidate: candidate('b1') })

    expect(early.json.status).toBe('held')
    expect(stale.json.status).toBe('stale')
    await expect.poll(() => ada.signals.map(({ type }) => type)).toEqual(['offer', 'candidate', 'offer'])
  })

  test('of two that offer at once the earlier one is heard, whichever comes first', async ({ url }) => {
    const [ada, ben] = await pair(url)
    const [cleo, dan] = await pair(url)

    await ada.offer('a1')
    const refused = await ben.offer('b1')
    await dan.offer('d1')
    const taken = await cleo.offer('c1')
    const late = await cleo.answer((await expect.poll(() => cleo.signals[0]?.signal_id).toBeDefined(), cleo.signals[0]!.signal_id!))

    expect(refused.json.error).toMatchObject({ code: 'conflict', details: { reason: 'glare' } })
    expect(taken.status).toBe(202)
    expect(late.json.error).toMatchObject({ code: 'conflict', details: { reason: 'superseded' } })
  })

  test('an offer is answered once', async ({ url }) => {
    const [ada, ben] = await pair(url)
    const { json: { signal_id: id } } = await ben.offer()

    const answers = [await ada.answer(id), await ada.answer(id)]

    expect(answers.map(({ status }) => status)).toEqual([202, 409])
  })

  test('a change under a tag of an older state is refused, an ICE restart without one, too', async ({ url }) => {
    const [ada, ben] = await pair(url)
    const { etag } = await ben.read()

    const first = await ben.send('offer', { description: { type: 'offer', sdp: sdp('b1') } }, { 'if-match': etag! })
    await ada.answer(first.json.signal_id)
    const restart = { ice_restart: true, description: { type: 'offer', sdp: sdp('b2') } }
    const statuses = [
      await ben.send('offer', restart),
      await ben.send('offer', restart, { 'if-match': etag! }),
      await ben.send('offer', restart, { 'if-match': (await ben.read()).etag! }),
      await ben.send('offer', { ...restart, description: { type: 'offer', sdp: sdp('b3') } }, { 'if-match': '*' })
    ]

    expect(first.status).toBe(202)
    expect(statuses.map(({ status }) => status)).toEqual([428, 412, 202, 202])
  })

  test('what is no session description is refused', async ({ url }) => {
    const [, ben] = await pair(url)

    const statuses = await Promise.all(['hello', 'v=0\r\n', `${sdp()}\u0000`, 'v=0\r\no=x\r\ns=-\rm=x', 'x'.repeat(70_000)].map(async (text) => (await ben.send('offer', { description: { type: 'offer', sdp: text } })).status))

    expect(statuses).toEqual([400, 400, 400, 400, 400])
  })
})

describe('limits', () => {
  test('a participant that sends more than 50 signals a second, after a burst of 200, is told so; another is not', { timeout: 60_000 }, async ({ url }) => {
    const [ada, ben] = await pair(url)

    const flood = await Promise.all(Array.from({ length: 500 }, async () => (await ben.send('ice-candidate', { candidate: candidate('b1') })).status))
    const other = await ada.send('ice-candidate', { candidate: candidate('a1') })

    expect(flood.filter((status) => status === 202).length).toBeGreaterThanOrEqual(200)
    expect(flood.filter((status) => status === 429).length).toBeGreaterThan(0)
    expect(other.status).toBe(202)
  })

  test('of candidates that wait for their offer the newest 64 are kept', async ({ url }) => {
    const [ada, ben] = await pair(url)

    for (let i = 0; i < 4; i++) await ben.send('ice-candidate', { candidates: Array.from({ length: 25 }, (_, port) => candidate('b1', 100 * i + port + 1)) })
    await ben.offer('b1')

    await expect.poll(() => ada.signals.length).toBe(2)
    expect(ada.signals[1]!.candidates).toHaveLength(64)
    expect(ada.signals[1]!.candidates!.at(-1)).toEqual(candidate('b1', 325))
  })

  test('what waits for who does not listen is bounded, and what does not fit is refused', async ({ url }) => {
    const [ada, ben] = await pair(url)
    ada.hangUp()
    await expect.poll(() => ben.types).toContain('participant_reconnecting')
    const large = (i: number) => ({ description: { type: 'offer', sdp: sdp(`b${i}`, `a=x:${'y'.repeat(30_000)}\r\n`) } })

    const statuses = [await ben.send('offer', large(1)), await ben.send('offer', large(2)), await ben.send('offer', large(3))]

    expect(statuses.map(({ status }) => status)).toEqual([202, 202, 409])
    expect(statuses[2]!.json.error!.details).toMatchObject({ reason: 'queue_full' })
  })

  test('data are relayed for nobody who has not tried all else, and are at most 16 KiB', async ({ url }) => {
    const [ada, ben] = await pair(url)

    const early = await ben.send('data', { to: ada.id, data: 'hello' })
    const large = await ben.send('data', { to: ada.id, data: 'é'.repeat(10_000) })
    const broken = await ben.send('data', { to: ada.id, data: 'a', encoding: 'base64' })

    expect([early, large, broken].map(({ status }) => status)).toEqual([409, 413, 400])
  })
})

describe('presence', () => {
  test('a signal that nobody fetched within 10 s is void, and its sender is told', { timeout: 40_000 }, async ({ url }) => {
    const [ada, ben] = await pair(url)
    const last = ada.lastId!
    ada.hangUp()
    await expect.poll(() => ben.types).toContain('participant_reconnecting')

    const { json: { signal_id: id, status } } = await ben.offer('b1')
    await expect.poll(() => ben.heard.filter(({ data }) => data.type === 'signal_expired').map(({ data }) => data)).toMatchObject([{ signal_id: id, participant_id: ada.id }])
    ada.heard.length = 0
    await ada.listen({ 'last-event-id': last })
    await ben.offer('b2')

    expect(status).toBe('queued')
    await expect.poll(() => ada.signals.map(({ description }) => description?.sdp)).toEqual([sdp('b2')])
  })

  test('who comes back goes on where it was', async ({ url }) => {
    const [ada, ben] = await pair(url)
    const last = ada.lastId!

    ada.hangUp()
    await expect.poll(() => ben.types).toContain('participant_reconnecting')
    const queued = await ben.offer('b1')
    ada.heard.length = 0
    await ada.listen({ 'last-event-id': last })

    expect(queued.json.status).toBe('queued')
    await expect.poll(() => ada.types).toEqual(['welcome', 'participant_reconnecting', 'offer'])
    await expect.poll(() => ben.types).toContain('participant_resumed')
  })

  test('the same participant elsewhere takes its place', async ({ url }) => {
    const [ada, ben] = await pair(url)
    const again = new Peer(url, ada.joined)

    await again.listen()

    await expect.poll(() => ada.ended).toBe('taken_over')
    await expect.poll(() => ben.types).toEqual(['welcome', 'participant_restarted'])
  })

  test('a Last-Event-ID that is none begins with a gap and all who are there', async ({ url }) => {
    const [ada, ben] = await pair(url)
    ada.heard.length = 0

    await ada.listen({ 'last-event-id': 'nothing' })

    await expect.poll(() => ada.types).toEqual(['end', 'welcome', 'gap', 'resync'])
    expect(ada.heard[2]!.data).toMatchObject({ reason: 'invalid_id' })
    expect(ada.roster.ids).toEqual([`${ada.id} joined`, `${ben.id} joined`].sort())
  })

  test('an admin may take a participant out, and close a room', async ({ url }) => {
    const [ada, ben] = await pair(url)

    const removed = await call(url, 'DELETE', `/sessions/${ada.session}/participants/${ben.id}`, undefined, as('admin'))
    const closed = await call(url, 'DELETE', `/sessions/${ada.session}`, undefined, as('admin'))

    expect([removed.status, closed.status]).toEqual([200, 200])
    await expect.poll(() => [ben.ended, ada.ended]).toEqual(['left', 'session_closed'])
    expect((await ada.offer()).status).toBe(404)
  })

  test('what happens is counted', async ({ app, url }) => {
    const [ada, ben] = await pair(url)
    const { json } = await ben.offer('b1')
    await ada.answer(json.signal_id)
    await ben.send('state', { to: ada.id, connection_state: 'connected', route: { local: 'host', remote: 'relay' } })

    const metrics = await app.metrics.registry.metrics()

    for (const line of [/^muxi_api_rtc_signals_total\{type="offer",status="delivered"\} \d/m, /^muxi_api_rtc_connections_total\{outcome="connected"\} \d/m, /^muxi_api_rtc_routes_total\{local="host",remote="relay",protocol="udp"\} \d/m, /^muxi_api_rtc_connect_duration_seconds_count [1-9]/m, /^muxi_api_rtc_delivery_seconds_count [1-9]/m]) expect.soft(metrics).toMatch(line)
    expect((await ada.read()).json).toMatchObject({ status: 'connected', stats: { offers: 1, answers: 1, time_to_connect_ms: expect.any(Number) } })
  })

  test('peers that fail are led from step to step', async ({ url }) => {
    const [ada, ben] = await pair(url)
    const steps = () => ada.heard.filter(({ data }) => data.type === 'fallback').map(({ data }) => data.step)

    for (let i = 0; i < 3; i++) {
      const { json } = await ben.offer(`b${i}`)
      await ada.answer(json.signal_id)
      await ben.send('state', { to: ada.id, connection_state: 'failed', negotiation_id: json.negotiation_id })
      await ada.send('state', { to: ben.id, connection_state: 'failed', negotiation_id: json.negotiation_id })
    }
    const data = await ben.send('data', { to: ada.id, data: 'hello' })

    await expect.poll(steps).toEqual(['ice_restart', 'relay_only', 'data_relay'])
    expect(data.status).toBe(202)
    await expect.poll(() => ada.signals.at(-1)).toMatchObject({ type: 'data', data: 'hello', relayed: true })
    expect((await ada.read()).json.status).toBe('failed')
  })
})
