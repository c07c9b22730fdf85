import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../../errors.ts'
import { rank } from '../../schemas/contract.ts'
import type { RtcJoined } from '../../schemas/rtc.ts'
import { Budgets } from './budget.ts'
import { iceServersFor } from './ice.ts'
import { Journal } from './journal.ts'
import { expire, LiveRoom, tend } from './live-room.ts'
import { createMeasures } from './measure.ts'
import { close, digestOf, isOpen, isToken, note, remove, type Member, type Room } from './room.ts'
import { send } from './send.ts'
import type { Claim, Ear, Signaling } from './signaling.ts'
import { Store, unheardMs } from './store.ts'
import { addStream } from './stream.ts'
import { viewOf } from './view.ts'

const mostWaitMs = 60_000
/** The user of a call that names none. */
const nobody = '0'

/** Rooms in which WebRTC peers find each other, the same at all instances: the state in the cluster, what is said in one journal for each. */
export default fp(async (app) => {
  const { cluster } = app
  const journal = new Journal(app)
  const store = new Store(app, journal)
  const measures = createMeasures(app)
  const budgets = new Budgets()
  const live = new Map<string, LiveRoom>()
  const listening = new Set<() => void>()
  const turns = new Map<string, Promise<void>>()
  /** Who is between two connections is waited for a little longer than who is gone without a word. */
  const graceMs = () => 1.2 * app.config.api.rtc_lease_ms

  app.decorate('signaling', {
    create: async (request, { mode, user_id: userId, media, max_participants: max, ttl_seconds: ttl, metadata }) => {
      if (mode === 'agent') throw new ApiError('not_implemented', 'agents as media peers are not there yet: use mode p2p')
      const now = Date.now()
      const token = newToken()
      const room: Room = {
        id: `rtc_${randomBytes(12).toString('base64url')}`,
        creator: digestOf(token),
        media: media ?? { audio: true, video: false, screen: false },
        max,
        metadata,
        createdAt: now,
        expiresAt: now + ttl * 1_000,
        version: 1,
        nextOrder: 1,
        members: [],
        gone: [],
        pairs: {},
        stats: { offers: 0, answers: 0, candidates: 0, restarts: 0, resumes: 0 },
        outbox: []
      }
      const member = enter(room, request, userId, token, '')
      await store.lease(room.id, member.id, unheardMs)
      await store.create(room)
      measures.sessions.inc()
      return joined(room, member, token)
    },

    join: async (request, sessionId, userId) => {
      const token = newToken()
      // Before it is told whether there is such a session.
      const own = request.userId(userId)
      const found = await store.find(sessionId)
      if (found === undefined || !isOpen(found)) throw noSession(sessionId)
      const since = await journal.head(sessionId)
      const instances = await cluster.members().catch(() => [cluster.id])
      const id = `prt_${randomBytes(9).toString('base64url')}`
      await store.lease(sessionId, id, unheardMs)
      const changed = await store.change(sessionId, async (room) => {
        await reap(room)
        if (!isOpen(room)) throw noSession(sessionId)
        if (room.members.length >= room.max) {
          // The same user again, who has lost what it had: it is not kept out by itself. Of users without a name only one that is not heard is taken for the same.
          const ghost = room.members.find((one) => one.owner === request.caller.keyDigest && one.userId === own && (own !== nobody || isSilent(one, instances)))
          if (ghost === undefined) throw new ApiError('conflict', `the session has its ${room.max} participants`, { details: { reason: 'full', max_participants: room.max } })
          remove(room, ghost.id, 'replaced')
          // It was the last one, and leaves to itself.
          room.closedAt = undefined
          room.outbox = room.outbox.filter(({ state }) => state.type !== 'session_closed')
        }
        return enter(room, request, userId, token, since, id)
      })
      if (changed === undefined) throw noSession(sessionId)
      return joined(changed.room, changed.result, token)
    },

    leave: async (request, claim) => {
      const changed = await store.change(claim.session_id, (room) => {
        const member = isAdmin(request) && claim.token === undefined ? room.members.find(({ id }) => id === claim.participant_id) : speakerOf(room, claim, request)
        if (member === undefined) throw new ApiError('not_found', `no participant ${claim.participant_id} in this session`)
        remove(room, member.id, isAdmin(request) && claim.token === undefined ? 'removed' : 'left')
      })
      if (changed === undefined) throw noSession(claim.session_id)
      await store.release(claim.session_id, claim.participant_id)
    },

    get: async (request, sessionId, token) => {
      const found = await store.find(sessionId)
      if (found === undefined || !mayRead(found, request, token)) throw noSession(sessionId)
      return await shown(found)
    },

    list: async () => await Promise.all((await store.list()).map(shown)),

    close: async (request, sessionId, token) => {
      const found = await store.find(sessionId)
      if (found === undefined || !mayRead(found, request, token)) throw noSession(sessionId)
      if (!isAdmin(request) && !isToken(found.creator, token)) throw new ApiError('forbidden', 'only who opened the session, and admins, may close it: leave it instead')
      await store.change(sessionId, (room) => { close(room, 'closed') })
      for (const { id } of found.members) await store.release(sessionId, id)
    },

    send: async (request, token, signal, ifMatch) => {
      const started = performance.now()
      const claim: Claim = { session_id: signal.session_id, participant_id: signal.participant_id, token }
      const here = live.get(signal.session_id)
      const room = here?.room ?? await store.find(signal.session_id)
      if (room === undefined) throw noSession(signal.session_id)
      const speaker = speakerOf(room, claim, request)
      budgets.spend(speaker.id, costOf(signal))
      const receipt = await inOrder(speaker.id, async () => await send({
        store,
        journal,
        room: live.get(room.id)?.room ?? room,
        speakerIn: (current) => speakerOf(current, claim, request),
        check: (current) => { checkVersion(current, ifMatch) },
        onReport: measures.reported,
        onChange: (changed) => { live.get(room.id)?.see(changed) }
      }, signal))
      if (here === undefined && speaker.heard === undefined) await store.lease(room.id, speaker.id, unheardMs)
      if (signal.type === 'candidate') cluster.increment(countsOf(room.id), { candidates: signal.candidates?.length ?? 1 }, room.expiresAt - Date.now() + mostWaitMs).catch(() => {})
      if (signal.type === 'data') measures.relayedBytes.inc(signal.data.length)
      measures.sent(signal, receipt.status)
      request.spanned({ component: 'rtc', operation: signal.type, name: `rtc.${signal.type}`, started, data: { session_id: room.id, participant_id: speaker.id, to: signal.to, signal_id: receipt.signal_id, negotiation_id: receipt.negotiation_id, status: receipt.status } })
      return receipt
    },

    listen: async (request, claim, ear) => await listen(request, claim, ear)
  } satisfies Signaling)

  /** What one sends is passed on in the order in which it came. */
  async function inOrder<T> (participant: string, work: () => Promise<T>): Promise<T> {
    const turn = (turns.get(participant) ?? Promise.resolve()).then(work)
    const settled = turn.catch(() => {}).then(() => { if (turns.get(participant) === settled) turns.delete(participant) })
    turns.set(participant, settled)
    return await turn
  }

  async function listen (request: FastifyRequest, claim: Claim, ear: Ear): Promise<{ close: () => void }> {
    const { session_id: sessionId } = claim
    const isResuming = ear.lastEventId !== undefined
    await store.lease(sessionId, claim.participant_id, app.config.api.rtc_lease_ms)
    const changed = await store.change(sessionId, (room) => {
      const member = speakerOf(room, claim, request)
      if (!isOpen(room)) throw noSession(sessionId)
      expire(room, member)
      const before = member.generation
      Object.assign(member, { generation: before + 1, heard: { instance: cluster.id, transport: ear.transport }, isAway: undefined, queue: [], seenAt: Date.now() } satisfies Partial<Member>)
      if (before === 0) room.version++
      else {
        room.stats.resumes++
        note(room, { type: isResuming ? 'participant_resumed' : 'participant_restarted', participant_id: member.id }, { generation: member.generation, showsRoster: true })
        // Its connections are gone with what it was: candidates of theirs are of no use.
        if (!isResuming) for (const [key, pair] of Object.entries(room.pairs)) if (key.split(' ').includes(member.id)) Object.assign(pair, { negotiation: undefined, early: [], step: undefined, failed: undefined, states: {} })
      }
      return { member, before }
    }).catch(async (error: unknown) => {
      if (error instanceof ApiError && error.code === 'not_found') await store.release(sessionId, claim.participant_id).catch(() => {})
      throw error
    })
    if (changed === undefined) throw noSession(sessionId)
    const { room, result: { member, before } } = changed
    if (before > 0) measures.returns.inc({ kind: isResuming ? 'resumed' : 'restarted' })
    let here = live.get(sessionId)
    if (here === undefined) {
      const made: LiveRoom = new LiveRoom(room, { app, store, journal, onReaped: () => { measures.reaped.inc() }, onDelivered: (ms) => { measures.delivery.observe(ms / 1_000) }, onEmpty: () => { if (live.get(sessionId) === made) live.delete(sessionId) } })
      live.set(sessionId, here = made)
    }
    here.see(room)
    await here.read()
    // Another has come meanwhile, or the room ended while it was read.
    if (live.get(sessionId) !== here) return await listen(request, claim, ear)
    const hall = here
    const listener = hall.add(ear, member)
    const end = () => {
      listening.delete(end)
      if (hall.delete(listener)) away(sessionId, listener.member, listener.generation).catch((error: unknown) => { app.log.debug({ err: error }, 'a participant could not be marked as away') })
    }
    listening.add(end)
    return { close: end }
  }

  /** It was heard and is not now: the others are told, and it has its time to come back. */
  async function away (sessionId: string, memberId: string, generation: number): Promise<void> {
    await store.lease(sessionId, memberId, graceMs())
    await store.change(sessionId, (room) => {
      const member = room.members.find(({ id }) => id === memberId)
      if (member?.generation !== generation || member.isAway === true) return
      Object.assign(member, { heard: undefined, isAway: true, seenAt: Date.now() } satisfies Partial<Member>)
      note(room, { type: 'participant_reconnecting', participant_id: memberId }, { showsRoster: true })
    })
  }

  function enter (room: Room, request: FastifyRequest, userId: string | undefined, token: string, since: string, id = `prt_${randomBytes(9).toString('base64url')}`): Member {
    const now = Date.now()
    const member: Member = { id, userId: request.userId(userId), owner: request.caller.keyDigest, token: digestOf(token), order: room.nextOrder++, generation: 0, joinedAt: now, seenAt: now, since, queue: [], expired: [] }
    room.members.push(member)
    note(room, { type: 'participant_joined', participant_id: member.id }, { showsRoster: true })
    measures.joins.inc()
    return member
  }

  function joined (room: Room, { id }: Member, token: string): RtcJoined {
    return { ...viewOf(room), participant_id: id, participant_token: token, ice_servers: iceServersFor(app, id) }
  }

  /** What time has done to a room that nobody listens in. */
  async function reap (room: Room): Promise<void> {
    const reaped = tend(room, { lapsed: await store.lapsed(room.id, room.members) })
    if (reaped > 0) measures.reaped.inc(reaped)
  }

  async function shown (room: Room) {
    await reap(room)
    const { candidates = 0 } = await cluster.sums([countsOf(room.id)])
    return viewOf({ ...room, stats: { ...room.stats, candidates } })
  }

  addStream(app)
  app.addHook('preClose', async () => { for (const end of [...listening]) end() })
  app.addHook('onClose', async () => { for (const room of [...live.values()]) room.end('shutdown') })
}, { name: 'signaling', dependencies: ['auth', 'cluster', 'connections', 'telemetry'] })

const countsOf = (id: string): string => `rtc:${id}:counts`

function newToken (): string {
  return randomBytes(32).toString('base64url')
}

function isAdmin ({ caller: { access } }: FastifyRequest): boolean {
  return rank[access] >= rank.admin
}

/** To who does not belong there is no such session. */
function mayRead (room: Room, request: FastifyRequest, token: string | undefined): boolean {
  return isAdmin(request) || [...room.members.map((member) => member.token), ...room.gone].some((digest) => isToken(digest, token))
}

/** The participant that a token speaks for, and who is bound to a user speaks for no other. */
function speakerOf (room: Room, { participant_id: id, token }: Claim, { caller: { sub } }: FastifyRequest): Member {
  const member = room.members.find((one) => one.id === id)
  if (!isOpen(room) || member === undefined || !isToken(member.token, token) || (sub !== undefined && sub !== member.userId)) throw noSession(room.id)
  return member
}

function isSilent ({ heard }: Member, instances: string[]): boolean {
  return heard === undefined || !instances.includes(heard.instance)
}

/** The version is the part of an ETag before the dot (RFC 9110, section 13.1.1). */
function checkVersion ({ version }: Room, ifMatch: string | undefined): void {
  if (ifMatch === undefined || ifMatch.trim() === '*') return
  const versions = [...ifMatch.matchAll(/"([^".]+)(?:\.[^"]*)?"/g)].map(([, text]) => text)
  if (!versions.includes(String(version))) throw new ApiError('precondition_failed', 'the session was changed in the meantime: read it again and use the tag of that answer', { details: { version } })
}

function costOf (signal: Parameters<Signaling['send']>[2]): { bytes: number, data: number } {
  if (signal.type === 'data') return { bytes: 0, data: signal.data.length }
  if (signal.type === 'candidate') return { bytes: 256 * (signal.candidates?.length ?? 1), data: 0 }
  return { bytes: 'description' in signal ? signal.description.sdp.length : 0, data: 0 }
}

function noSession (id: string): ApiError {
  return new ApiError('not_found', `no session ${id}, or none of yours: a participant sends its X-Participant-Token`)
}
