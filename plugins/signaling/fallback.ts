import { fallbackSteps, type FallbackStep, type SignalInput } from '../../schemas/rtc.ts'
import { note, pairOf, type Member, type Room } from './room.ts'

type State = Extract<SignalInput, { type: 'state' }>

/** What a report has changed, for the metrics. */
export interface Reported { connectedMs?: number, isConnected?: boolean, isFailed?: boolean, step?: FallbackStep }

/**
 * Takes in how the connection between two is, as one of them sees it. A failure leads both to the next step: restart ICE, then by relay alone, then without the socket,
 * at last without a connection; the other's report of the same failure does not. Who has been connected begins at the first step again.
 */
export function report (room: Room, from: Member, to: Member, { connection_state: state, negotiation_id: id }: State): Reported {
  const pair = pairOf(room, from.id, to.id)
  const current = pair.negotiation
  const before = pair.states[from.id]
  const reported: Reported = {}
  pair.states[from.id] = state
  if (before !== state) note(room, { type: 'connection_state', participant_id: from.id, to: to.id, connection_state: state })
  if (state === 'connected' && before !== 'connected') {
    reported.isConnected = true
    pair.step = undefined
    if (room.connectedAt === undefined && room.offeredAt !== undefined) room.connectedAt = Date.now()
    if (current !== undefined && pair.failed !== current.id) reported.connectedMs = Date.now() - current.at
  }
  if (state !== 'failed' || current === undefined || pair.failed === current.id || (id !== undefined && id !== current.id)) return reported
  pair.failed = current.id
  reported.isFailed = true
  const step = stepAfter(pair.step, from, to)
  if (step === pair.step) return reported
  reported.step = pair.step = step
  note(room, { type: 'fallback', participant_id: from.id, to: to.id, step, negotiation_id: current.id }, { only: [from.id, to.id] })
  return reported
}

/** Who has no socket has nothing to gain by going without. */
function stepAfter (step: FallbackStep | undefined, ...members: Member[]): FallbackStep {
  const next = fallbackSteps[Math.min(fallbackSteps.length - 1, step === undefined ? 0 : fallbackSteps.indexOf(step) + 1)]!
  return next === 'sse' && members.every(({ heard }) => heard?.transport === 'sse') ? 'data_relay' : next
}
