import { describe, expect } from 'vitest'
import { sharedWith } from '../../app.ts'
import { candidate, Peer, sdp } from '../signaling/peer.ts'
import { SocketPeer } from './peer.ts'

const test = sharedWith({ MUXI_API_STREAM_LIFE_MS: '0' })

const claimOf = ({ joined: { session_id, participant_id, participant_token } }: Peer) => ({ session_id, participant_id, participant_token })
const nameOf = ({ joined: { session_id, participant_id } }: Peer) => ({ session_id, participant_id })

async function pair (url: string) {
  const ada = await Peer.open(url)
  const ben = await Peer.join(url, ada)
  const [one, other] = [await SocketPeer.open(url), await SocketPeer.open(url)]
  one.send('rtc_subscribe', 'sub', claimOf(ada))
  await one.next('rtc_state', 'sub')
  other.send('rtc_subscribe', 'sub', claimOf(ben))
  await other.next('rtc_state', 'sub')
  return { ada, ben, one, other }
}

describe('signaling over the socket', () => {
  test('who subscribes is told so, then who is there', async ({ url }) => {
    const { ada, ben, one, other } = await pair(url)
    for (const peer of [one, other]) peer.close()

    expect(other.frames.slice(0, 2)).toMatchObject([
      { type: 'rtc_subscribed', id: 'sub', data: nameOf(ben) },
      { type: 'rtc_state', id: 'sub', event_id: expect.any(String), data: { type: 'welcome', participants: [{ participant_id: ada.id, transport: 'socket' }, { participant_id: ben.id }] } }
    ])
  })

  test('an offer, its answer and their candidates arrive in their order, each with a receipt', async ({ url }) => {
    const { ada, ben, one, other } = await pair(url)
    other.send('rtc_signal', 'o1', { type: 'offer', ...nameOf(ben), to: ada.id, description: { type: 'offer', sdp: sdp('ben') } })
    const { data: offer } = await one.next('rtc_signal', 'sub')
    for (let at = 0; at < 20; at++) other.send('rtc_signal', `c${at}`, { type: 'candidate', ...nameOf(ben), candidate: candidate('ben', at + 1) })
    one.send('rtc_signal', 'a1', { type: 'answer', ...nameOf(ada), in_reply_to: offer.signal_id, description: { type: 'answer', sdp: sdp('ada') } })
    const { data: answer } = await other.next('rtc_signal', 'sub')
    await expect.poll(() => one.of('rtc_signal').filter(({ data }) => data.type === 'candidate').length).toBe(20)
    for (const peer of [one, other]) peer.close()

    expect(offer).toMatchObject({ type: 'offer', from: ben.id, to: ada.id, description: { sdp: sdp('ben') } })
    expect(answer).toMatchObject({ type: 'answer', from: ada.id, in_reply_to: offer.signal_id })
    expect(other.of('rtc_receipt', 'o1')[0]!.data).toMatchObject({ status: 'delivered', signal_id: offer.signal_id, recipients: 1 })
    expect(one.of('rtc_signal').slice(1).map(({ data }) => data.candidates[0].candidate.split(' ')[5])).toEqual(Array.from({ length: 20 }, (_, at) => String(at + 1)))
  })

  test('a signal without an id has no receipt, and tells of its failure all the same', async ({ url }) => {
    const { ada, ben, one, other } = await pair(url)
    other.send('rtc_signal', undefined, { type: 'offer', ...nameOf(ben), to: ada.id, description: { type: 'offer', sdp: sdp('ben') } })
    await one.next('rtc_signal', 'sub')
    other.send('rtc_signal', undefined, { type: 'offer', ...nameOf(ben), to: 'prt_nobody', description: { type: 'offer', sdp: sdp('ben') } })
    const failure = await other.next('error')
    for (const peer of [one, other]) peer.close()

    expect(failure).toEqual({ type: 'error', data: expect.objectContaining({ code: 'not_found' }) })
    expect(other.of('rtc_receipt')).toEqual([])
  })

  test('nobody speaks for another participant, or in a room that they are not in', async ({ url }) => {
    const { ada, ben, one, other } = await pair(url)
    const stranger = await SocketPeer.open(url)
    const offer = { description: { type: 'offer', sdp: sdp() } }
    other.send('rtc_signal', 'as ada', { type: 'offer', ...nameOf(ada), ...offer })
    other.send('rtc_signal', 'from', { type: 'offer', ...nameOf(ben), ...offer, from: ada.id })
    other.send('rtc_leave', 'leave', nameOf(ada))
    stranger.send('rtc_signal', 'outside', { type: 'offer', ...nameOf(ben), ...offer })
    stranger.send('rtc_subscribe', 'wrong', { ...claimOf(ben), participant_token: 'no-token' })
    stranger.send('rtc_subscribe', 'none', { ...claimOf(ben), session_id: 'rtc_nothere' })
    const failures = [await other.next('error', 'as ada'), await other.next('error', 'from'), await other.next('error', 'leave'), await stranger.next('error', 'outside'), await stranger.next('error', 'wrong'), await stranger.next('error', 'none')]
    for (const peer of [one, other, stranger]) peer.close()

    expect(failures.map(({ data }) => data.code)).toEqual(['forbidden', 'bad_request', 'forbidden', 'not_found', 'not_found', 'not_found'])
    expect(one.of('rtc_signal')).toEqual([])
  })

  test('who listens elsewhere takes the place of the old socket, which ends with 4409', async ({ url }) => {
    const { ben, one, other } = await pair(url)
    const next = await SocketPeer.open(url)
    next.send('rtc_subscribe', 'again', claimOf(ben))
    await next.next('rtc_state', 'again')
    const code = await other.end()
    for (const peer of [one, next]) peer.close()

    expect(other.of('rtc_end')[0]!.data).toEqual({ session_id: ben.session, reason: 'taken_over' })
    expect(code).toBe(4409)
  })

  test('the same socket may subscribe anew, and goes on where it was', async ({ url }) => {
    const { ada, ben, one, other } = await pair(url)
    const { event_id: last } = other.of('rtc_state').at(-1)!
    one.send('rtc_signal', 'o', { type: 'offer', ...nameOf(ada), to: ben.id, description: { type: 'offer', sdp: sdp('ada') } })
    await other.next('rtc_signal')
    other.send('rtc_subscribe', 'anew', { ...claimOf(ben), last_event_id: last })
    const signal = await other.next('rtc_signal', 'anew')
    for (const peer of [one, other]) peer.close()

    expect(signal.data).toMatchObject({ type: 'offer', from: ada.id })
    expect(other.of('rtc_end')).toEqual([])
  })

  test('a socket that is gone leaves its participant reconnecting, which resumes on another one and misses nothing', async ({ url }) => {
    const { ada, ben, one, other } = await pair(url)
    const { event_id: last } = other.of('rtc_state').at(-1)!
    other.close()
    await expect.poll(() => one.of('rtc_state').map(({ data }) => data.type)).toContain('participant_reconnecting')
    one.send('rtc_signal', 'o', { type: 'offer', ...nameOf(ada), to: ben.id, description: { type: 'offer', sdp: sdp('ada') } })
    const { data: receipt } = await one.next('rtc_receipt', 'o')
    const back = await SocketPeer.open(url)
    back.send('rtc_subscribe', 'back', { ...claimOf(ben), last_event_id: last })
    const { data: offer } = await back.next('rtc_signal', 'back')
    await expect.poll(() => one.of('rtc_state').map(({ data }) => data.type)).toContain('participant_resumed')
    for (const peer of [one, back]) peer.close()

    expect(receipt.status).toBe('queued')
    expect(offer).toMatchObject({ type: 'offer', from: ada.id })
  })

  test('who unsubscribes may come back, who leaves may not', async ({ url }) => {
    const { ada, ben, one, other } = await pair(url)
    other.send('rtc_unsubscribe', 'u', { session_id: ben.session })
    await other.next('rtc_unsubscribed', 'u')
    other.send('rtc_signal', 's', { type: 'offer', ...nameOf(ben), description: { type: 'offer', sdp: sdp() } })
    const early = await other.next('error', 's')
    other.send('rtc_subscribe', 'again', claimOf(ben))
    await other.next('rtc_subscribed', 'again')
    other.send('rtc_leave', 'l', nameOf(ben))
    await other.next('rtc_left', 'l')
    other.send('rtc_subscribe', 'late', claimOf(ben))
    const late = await other.next('error', 'late')
    await expect.poll(() => one.of('rtc_state').map(({ data }) => data.type)).toContain('participant_left')
    for (const peer of [one, other]) peer.close()

    expect([early.data.code, late.data.code]).toEqual(['not_found', 'not_found'])
    expect(one.of('rtc_state').at(-1)!.data).toMatchObject({ participant_id: ben.id, reason: 'left' })
    expect(ada.session).toBe(ben.session)
  })

  test('a mixed pair, one by the socket and one by SSE and POST, is the same to both', async ({ url }) => {
    const ada = await Peer.open(url)
    await ada.listen()
    const ben = await Peer.join(url, ada)
    const socket = await SocketPeer.open(url)
    socket.send('rtc_subscribe', 'sub', claimOf(ben))
    await socket.next('rtc_subscribed')
    socket.send('rtc_signal', 'o', { type: 'offer', ...nameOf(ben), to: ada.id, description: { type: 'offer', sdp: sdp('ben') } })
    await expect.poll(() => ada.signals.length).toBe(1)
    await ada.answer(ada.signals[0]!.signal_id!, 'ada')
    const { data: answer } = await socket.next('rtc_signal')
    ada.hangUp()
    socket.close()

    expect(answer).toMatchObject({ type: 'answer', from: ada.id, in_reply_to: ada.signals[0]!.signal_id })
  })
})
