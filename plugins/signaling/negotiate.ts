import { ApiError } from '../../errors.ts'
import type { RtcSignal, SignalInput } from '../../schemas/rtc.ts'
import { pairOf, type Early, type Member, type Negotiation, type Pair, type Room } from './room.ts'

type Of<Type extends SignalInput['type']> = Extract<SignalInput, { type: Type }>
type Candidates = NonNullable<RtcSignal['candidates']>

/** Where candidates go: with the negotiation that they belong to, after the description that is not there yet, or nowhere. */
export interface Sorted { negotiation: Negotiation | undefined, now: Candidates, early: Early[], stale: number }

const mostPast = 32
const mostEarly = 64
const earlyMs = 10_000

/**
 * Begins a negotiation between two, in place of the one before. Of two that offer at once the one who joined earlier is heard:
 * its offer takes the place of the other's, whose own is refused (perfect negotiation, W3C WebRTC section 10.7). Answers the candidates that came before it.
 */
export function offer (room: Room, from: Member, to: Member, signal: Of<'offer'>, ids: { signal: string, negotiation: string }): Candidates {
  const pair = pairOf(room, from.id, to.id)
  const open = pair.negotiation
  if (open !== undefined && !open.isAnswered && open.from === to.id && from.order > to.order) {
    throw new ApiError('conflict', 'the peer has offered at the same time, and joined earlier: answer its offer', { details: { reason: 'glare', offer: open.offer, negotiation_id: open.id } })
  }
  if (open !== undefined) retire(pair, open)
  pair.negotiation = { id: ids.negotiation, version: room.version, offer: ids.signal, from: from.id, at: Date.now(), isAnswered: false, offerFragment: fragmentOf(signal.description.sdp) }
  return begun(pair, from.id, ids.negotiation, pair.negotiation.offerFragment)
}

/** Answers an offer, once; gives back for whom that is, and the candidates that came before it. */
export function answer (room: Room, from: Member, signal: Of<'answer'>): { to: string, negotiation: Negotiation, early: Candidates } {
  for (const other of room.members) {
    if (other === from || (signal.to !== undefined && signal.to !== other.id)) continue
    const pair = pairOf(room, from.id, other.id)
    const { negotiation } = pair
    if (negotiation === undefined || negotiation.offer !== signal.in_reply_to || negotiation.from !== other.id) continue
    if (negotiation.isAnswered) throw new ApiError('conflict', `the offer ${signal.in_reply_to} is answered`, { details: { reason: 'answered' } })
    negotiation.isAnswered = signal.description.type === 'answer'
    negotiation.answerFragment = fragmentOf(signal.description.sdp)
    return { to: other.id, negotiation, early: begun(pair, from.id, negotiation.id, negotiation.answerFragment) }
  }
  throw new ApiError('conflict', `the offer ${signal.in_reply_to} does not hold: another has taken its place, or its sender has left`, { details: { reason: 'superseded' } })
}

/** Says of each candidate what it belongs to; changes nothing. */
export function sort (pair: Pair | undefined, from: string, candidates: Candidates, named: string | undefined): Sorted {
  const negotiation = pair?.negotiation
  const sorted: Sorted = { negotiation, now: [], early: [], stale: 0 }
  for (const candidate of candidates) {
    const fragment = candidate?.usernameFragment ?? undefined
    const place = placeOf(pair, negotiation, from, named, fragment)
    if (place === 'now') sorted.now.push(candidate)
    else if (place === 'stale') sorted.stale++
    else sorted.early.push({ from, name: named ?? fragment, candidates: [candidate], at: Date.now() })
  }
  return sorted
}

/** Keeps candidates until their description comes, few of them and not for long. */
export function hold (pair: Pair, early: Early[]): void {
  const now = Date.now()
  pair.early = [...pair.early.filter(({ at }) => now - at < earlyMs), ...early].slice(-mostEarly)
}

/** An SDP as far as it is looked at: how it begins (RFC 8866, section 5), and that no line hides another. */
export function checkSdp (sdp: string): void {
  // eslint-disable-next-line no-control-regex -- control characters are what it refuses
  if (!/^v=0\r?\no=[^\r\n]+\r?\ns=/.test(sdp) || /[\u0000-\u0008\u000b\u000c\u000e-\u001f]|\r(?!\n)/.test(sdp)) {
    throw new ApiError('bad_request', 'description.sdp is no session description: it begins with the lines v=, o= and s=', { details: { field: 'body.description.sdp' } })
  }
}

function placeOf (pair: Pair | undefined, negotiation: Negotiation | undefined, from: string, named: string | undefined, fragment: string | undefined): 'now' | 'early' | 'stale' {
  const names = [named, fragment].filter((name) => name !== undefined)
  if (names.some((name) => pair?.past.includes(name))) return 'stale'
  if (negotiation === undefined || (named !== undefined && named !== negotiation.id)) return 'early'
  const isOffering = from === negotiation.from
  // The peer takes candidates only after the description.
  if (!isOffering && !negotiation.isAnswered && negotiation.answerFragment === undefined) return 'early'
  const own = isOffering ? negotiation.offerFragment : negotiation.answerFragment
  return fragment === undefined || own === undefined || fragment === own ? 'now' : 'early'
}

/** What belongs to it comes too late from now on. */
function retire (pair: Pair, { id, offerFragment, answerFragment }: Negotiation): void {
  pair.past = [...pair.past, ...[id, offerFragment, answerFragment].filter((name) => name !== undefined)].slice(-mostPast)
}

/** A description is there: the candidates that waited for it go on. What goes on with the ICE session before has its fragment. */
function begun (pair: Pair, from: string, negotiation: string, fragment: string | undefined): Candidates {
  pair.past = pair.past.filter((name) => name !== fragment)
  return takeEarly(pair, from, [negotiation, fragment])
}

function takeEarly (pair: Pair, from: string, names: (string | undefined)[]): Candidates {
  const now = Date.now()
  const isTaken = (early: Early) => early.from === from && (early.name === undefined || names.includes(early.name))
  const taken = pair.early.filter((early) => isTaken(early) && now - early.at < earlyMs)
  pair.early = pair.early.filter((early) => !isTaken(early))
  return taken.flatMap(({ candidates }) => candidates)
}

function fragmentOf (sdp: string): string | undefined {
  return /^a=ice-ufrag:(\S{1,256})/m.exec(sdp)?.[1]
}
