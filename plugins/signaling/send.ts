import { randomBytes } from 'node:crypto'
import { ApiError } from '../../errors.ts'
import type { Receipt, RtcSignal, SignalInput } from '../../schemas/rtc.ts'
import { report, type Reported } from './fallback.ts'
import type { Journal, Line } from './journal.ts'
import { answer, checkSdp, hold, offer, sort } from './negotiate.ts'
import { pairKey, pairOf, type Member, type Room } from './room.ts'
import type { Store } from './store.ts'
import { timeOf } from './view.ts'

type Of<Type extends SignalInput['type']> = Extract<SignalInput, { type: Type }>
type Candidates = NonNullable<RtcSignal['candidates']>

/** What passing signals on needs: the room as this instance knows it, with the speaker, and what may be in the way. */
export interface Speaking {
  store: Store
  journal: Journal
  /** As last seen here; what decides is decided on the newest. */
  room: Room
  /** The speaker in a room, or `not_found`. */
  speakerIn: (room: Room) => Member
  /** Throws where the room is not what the caller has seen. */
  check: (room: Room) => void
  onReport: (reported: Reported, signal: Of<'state'>) => void
  /** The room as a change has left it. */
  onChange: (room: Room) => void
}

interface Passed { lines: Line[], recipients: Member[], status: Receipt['status'], negotiation?: string | undefined }

const mostQueued = 64
const mostQueuedBytes = 65_536
const mostData = 16_384

/** Passes one signal on: what must not happen twice is decided in the room, then told in the journal. */
export async function send (speaking: Speaking, signal: SignalInput): Promise<Receipt> {
  const id = `sig_${randomBytes(9).toString('base64url')}`
  if (signal.type === 'candidate') return await sendCandidates(speaking, signal, id)
  const { store, speakerIn, check } = speaking
  if (signal.type === 'offer' || signal.type === 'answer') checkSdp(signal.description.sdp)
  if (signal.type === 'data') checkData(signal)
  let reported: Reported[] = []
  const decide = (room: Room): Passed => {
    const from = speakerIn(room)
    check(room)
    if (signal.type === 'state') {
      const targets = targetsOf(room, from, signal.to)
      reported = targets.map((to) => report(room, from, to, signal))
      return { lines: [], recipients: targets, status: 'delivered' }
    }
    if (signal.type === 'offer') return passOffer(room, from, signal, id)
    if (signal.type === 'answer') return passAnswer(room, from, signal, id)
    return passData(room, from, signal, id)
  }
  const changed = signal.type === 'data' ? { room: speaking.room, result: decide(speaking.room) } : await store.change(room(speaking), decide)
  if (changed === undefined) throw new ApiError('not_found', `no session ${signal.session_id}`)
  speaking.onChange(changed.room)
  if (signal.type === 'state') for (const one of reported) speaking.onReport(one, signal)
  return await pass(speaking, changed.room, changed.result, id)
}

const room = ({ room: { id } }: Speaking): string => id

function passOffer (room: Room, from: Member, signal: Of<'offer'>, id: string): Passed {
  const recipients = targetsOf(room, from, signal.to)
  const negotiation = signal.negotiation_id ?? `neg_${id.slice(4)}`
  const lines: Line[] = []
  room.version++
  const { version } = room
  for (const to of recipients) {
    const early = offer(room, from, to, signal, { signal: id, negotiation })
    queue(to, { id, from: from.id, bytes: signal.description.sdp.length })
    lines.push(lineOf(room, from, to, { signal_id: id, type: 'offer', description: signal.description, ...(signal.ice_restart === true && { ice_restart: true }), negotiation_id: negotiation }, version))
    if (early.length > 0) lines.push(lineOf(room, from, to, { signal_id: id, type: 'candidate', candidates: early, negotiation_id: negotiation }, version))
  }
  room.stats.offers++
  if (signal.ice_restart === true) room.stats.restarts++
  room.offeredAt ??= Date.now()
  return { lines, recipients, status: statusFor(recipients), negotiation }
}

function passAnswer (room: Room, from: Member, signal: Of<'answer'>, id: string): Passed {
  const { to: target, negotiation, early } = answer(room, from, signal)
  const [to] = targetsOf(room, from, target)
  queue(to!, { id, from: from.id, bytes: signal.description.sdp.length })
  room.stats.answers++
  room.version++
  const lines = [lineOf(room, from, to!, { signal_id: id, type: 'answer', description: signal.description, in_reply_to: signal.in_reply_to, negotiation_id: negotiation.id }, negotiation.version)]
  if (early.length > 0) lines.push(lineOf(room, from, to!, { signal_id: id, type: 'candidate', candidates: early, negotiation_id: negotiation.id }, negotiation.version))
  return { lines, recipients: [to!], status: statusFor([to!]), negotiation: negotiation.id }
}

/** Only for those who have tried all else; nothing of it waits for who is not heard. */
function passData (room: Room, from: Member, { to: target, data, encoding = 'text' }: Of<'data'>, id: string): Passed {
  const recipients = targetsOf(room, from, target)
  for (const to of recipients) {
    if (room.pairs[pairKey(from.id, to.id)]?.step !== 'data_relay') throw new ApiError('conflict', `data are relayed only after the fallback data_relay: connect to ${to.id}, and report when that fails`, { details: { reason: 'not_in_fallback' } })
    if (to.heard === undefined) throw new ApiError('conflict', `${to.id} does not listen now`, { retryAfter: 1, details: { reason: 'not_listening' } })
  }
  return { lines: recipients.map((to) => lineOf(room, from, to, { signal_id: id, type: 'data', data, encoding, relayed: true })), recipients, status: 'delivered' }
}

/** The most frequent signal: decided on what is known here, since the readers of the journal drop what another offer has made stale meanwhile. */
async function sendCandidates (speaking: Speaking, signal: Of<'candidate'>, id: string): Promise<Receipt> {
  const { speakerIn, check, store } = speaking
  const candidates = candidatesOf(signal)
  const judge = (room: Room) => {
    const from = speakerIn(room)
    check(room)
    return targetsOf(room, from, signal.to).map((to) => ({ from, to, sorted: sort(room.pairs[pairKey(from.id, to.id)], from.id, candidates, signal.negotiation_id) }))
  }
  const compose = (room: Room, all: ReturnType<typeof judge>): Passed => {
    const now = all.filter(({ sorted }) => sorted.now.length > 0)
    const isHeld = all.some(({ sorted }) => sorted.early.length > 0)
    return {
      lines: now.map(({ from, to, sorted }) => lineOf(room, from, to, { signal_id: id, type: 'candidate', candidates: sorted.now, negotiation_id: sorted.negotiation?.id }, sorted.negotiation?.version)),
      recipients: now.map(({ to }) => to),
      status: now.length > 0 ? statusFor(now.map(({ to }) => to)) : isHeld ? 'held' : 'stale',
      negotiation: now[0]?.sorted.negotiation?.id
    }
  }
  let all = judge(speaking.room)
  // All is known, and nobody is away: no need to change the room.
  const isPlain = all.every(({ to, sorted }) => sorted.now.length === candidates.length && to.heard !== undefined)
  if (isPlain) return await pass(speaking, speaking.room, compose(speaking.room, all), id)
  const changed = await store.change(speaking.room.id, (room) => {
    all = judge(room)
    for (const { from, to, sorted } of all) {
      if (sorted.early.length > 0) hold(pairOf(room, from.id, to.id), sorted.early)
      if (sorted.now.length > 0) queue(to, { id, from: from.id, bytes: 256 * sorted.now.length })
    }
    return compose(room, all)
  })
  if (changed === undefined) throw new ApiError('not_found', `no session ${signal.session_id}`)
  speaking.onChange(changed.room)
  return await pass(speaking, changed.room, changed.result, id)
}

async function pass ({ journal }: Speaking, room: Room, { lines, recipients, status, negotiation }: Passed, id: string): Promise<Receipt> {
  if (lines.length > 0) await journal.append(room.id, lines)
  return { status, signal_id: id, session_id: room.id, recipients: recipients.length, ...(negotiation !== undefined && { negotiation_id: negotiation }), version: room.version }
}

function lineOf (room: Room, from: Member, to: Member, signal: Omit<RtcSignal, 'session_id' | 'from' | 'to' | 'timestamp'>, version?: number): Line {
  const now = Date.now()
  const data: RtcSignal = { session_id: room.id, ...signal, from: from.id, to: to.id, timestamp: timeOf(now) }
  return { label: { event: 'rtc_signal', type: signal.type, to: [to.id], from: from.id, signal: signal.signal_id, version, at: now }, json: JSON.stringify(data) }
}

function targetsOf ({ members }: Room, from: Member, to: string | undefined): Member[] {
  const targets = members.filter((member) => member !== from && member.id !== from.id && (to === undefined || member.id === to))
  if (to !== undefined && targets.length === 0) throw new ApiError('not_found', to === from.id ? 'a participant does not signal to itself' : `no participant ${to} in this session`)
  return targets
}

/** What waits for who is not heard is bounded: what does not fit is refused, and nothing is lost without a word. */
function queue (to: Member, { id, from, bytes }: { id: string, from: string, bytes: number }): void {
  if (to.heard !== undefined) return
  if (to.queue.length >= mostQueued || to.queue.reduce((sum, one) => sum + one.bytes, bytes) > mostQueuedBytes) {
    throw new ApiError('conflict', `${to.id} does not listen now, and too much waits for it: try again when it is back`, { retryAfter: 1, details: { reason: 'queue_full' } })
  }
  to.queue.push({ id, from, bytes, at: Date.now() })
}

const statusFor = (recipients: Member[]): Receipt['status'] => recipients.some(({ heard }) => heard === undefined) ? 'queued' : 'delivered'

function candidatesOf ({ candidate, candidates }: Of<'candidate'>): Candidates {
  if ((candidate === undefined) === (candidates === undefined)) throw new ApiError('bad_request', 'send candidate or candidates', { details: { field: 'body.candidate' } })
  return candidates ?? [candidate!]
}

function checkData ({ data, encoding }: Of<'data'>): void {
  const field = 'body.data'
  if (encoding === 'base64' && (data.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(data))) throw new ApiError('bad_request', `${field} is not base64`, { details: { field } })
  const bytes = encoding === 'base64' ? data.length / 4 * 3 : Buffer.byteLength(data)
  if (bytes > mostData + 2) throw new ApiError('payload_too_large', `${field} has more than 16 KiB`, { details: { field } })
}
