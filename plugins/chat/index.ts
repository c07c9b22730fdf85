import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import { Departure } from '../../core/departure.ts'
import { ApiError } from '../../errors.ts'
import type { ChatInput } from '../../schemas/chat.ts'
import { begin, introductions, newId, type Chat, type Start } from './begin.ts'
import { answerMs, ChatRecords, type NumberedEvent } from './record.ts'

type Claim = NonNullable<FastifyRequest['claim']>

declare module 'fastify' {
  interface FastifyInstance {
    /** Makes a user known to the Core, once. */
    introduce: (request: FastifyRequest, userId: string) => Promise<void>
  }
  interface FastifyRequest {
    /** Sends a message to one agent, or to the one that the overlord picks; resolves when the Core has begun to answer. */
    chat: (input: ChatInput, agentId?: string) => Promise<Chat>
  }
}

/** The one way to talk to an agent, for every protocol. */
export default fp(async (app) => {
  const records = new ChatRecords(app)
  app.decorate('introduce', introductions())

  app.decorateRequest('chat', async function (this: FastifyRequest, input, agentId) {
    const { claim, headers: { 'last-event-id': lastEventId }, routeOptions: { config: { ownRecord } } } = this
    if (ownRecord !== true) return await begin(this, { id: newId(), input, agentId, signal: this.departure })
    if (lastEventId !== undefined) return streamOf(await resumed(this, String(lastEventId)))
    if (claim !== undefined) return streamOf(await once(this, claim, { input, agentId }))
    return await begin(this, { id: newId(), input, agentId, signal: this.departure })
  })

  /** The first call with a key runs whoever reads; the others read what it made. */
  async function once (request: FastifyRequest, { place, fingerprint, replayed }: Claim, what: Pick<Start, 'input' | 'agentId'>): Promise<AsyncIterable<NumberedEvent>> {
    const { cluster, seal } = app
    const id = newId()
    const mine = seal.close(JSON.stringify({ fingerprint, id }), place)
    if (await cluster.set(place, mine, answerMs, { value: undefined })) {
      const departure = new Departure()
      try {
        const { events } = await begin(request, { ...what, id, signal: departure })
        await cluster.set(`chat:${id}:owner`, request.caller.digest, answerMs)
        records.keep(id, events, { requestId: request.id, stop: () => { departure.leave() } })
          .then(async () => { await cluster.keep(place, mine, answerMs) })
          .catch((error: unknown) => { request.log.error({ err: error }, 'the answer of a chat could not be kept') })
      } catch (error) {
        await cluster.delete(place, { value: mine })
        throw error
      }
      return records.follow(id, 0)
    }
    const found = seal.open(await cluster.get(place) ?? '', place)
    const first = found === undefined ? undefined : JSON.parse(found || 'null') as { fingerprint: string, id: string } | null
    if (first != null && first.fingerprint !== fingerprint) throw new ApiError('unprocessable', 'this Idempotency-Key was used with another request')
    const events = first == null ? undefined : await records.read(first.id, 0) ?? await records.answer(first.id)
    if (events === undefined) throw new ApiError('conflict', 'the first call with this Idempotency-Key has not begun to answer', { retryAfter: 1 })
    replayed()
    return events
  }

  /** What came after the last event that the caller has, of a chat of its own. */
  async function resumed ({ caller }: FastifyRequest, lastEventId: string): Promise<AsyncIterable<NumberedEvent>> {
    const [, id, number] = /^(msg_[\w-]{1,64}):(\d{1,9})$/.exec(lastEventId) ?? []
    const own = id !== undefined && await app.cluster.get(`chat:${id}:owner`) === caller.digest
    const events = own ? await records.read(id, Number(number) + 1) : undefined
    if (events === undefined) throw new ApiError('not_found', 'no stream to resume after that Last-Event-ID: only a chat with an Idempotency-Key is kept, until a minute after its end')
    return events
  }
}, { name: 'chat', dependencies: ['auth', 'cluster', 'core', 'idempotency', 'usage'] })

/** A chat that is read as a stream alone. */
function streamOf (events: AsyncIterable<NumberedEvent>): Chat {
  return { events, answer: async () => { throw new Error('this chat is kept as a stream') } }
}
