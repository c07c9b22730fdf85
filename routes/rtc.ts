import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ApiError } from '../errors.ts'
import { rtcAnswerSend, rtcCandidateSend, rtcDataSend, rtcEventStream, rtcOfferSend, rtcParticipantCreate, rtcParticipantDelete, rtcSessionCreate, rtcSessionDelete, rtcSessionGet, rtcSessionList, rtcStateSend } from '../schemas/rtc-operations.ts'
import type { Receipt } from '../schemas/rtc.ts'

interface Reply { code: (status: 202) => { header: (name: 'etag', value: string) => unknown } }

const config = { access: 'user' } as const

const rtc: FastifyPluginAsyncTypebox = async (app) => {
  if (!app.config.api.rtc) return
  const { signaling } = app

  app.post('/api/v1/rtc/sessions', { schema: rtcSessionCreate, config }, async (request, reply) => await reply.code(201).send(await signaling.create(request, request.body)))

  app.get('/api/v1/rtc/sessions', { schema: rtcSessionList, config: { access: 'admin' } }, async ({ query }, reply) => {
    const { items: sessions, pagination } = reply.page((await signaling.list()).filter(({ status }) => query.status === undefined || status === query.status), query)
    return { sessions, pagination }
  })

  app.get('/api/v1/rtc/sessions/:session_id', { schema: rtcSessionGet, config: { ...config, cacheable: true } }, async (request, reply) => {
    const session = await signaling.get(request, request.params.session_id, request.headers['x-participant-token'])
    reply.version = session.version
    return session
  })

  app.delete('/api/v1/rtc/sessions/:session_id', { schema: rtcSessionDelete, config }, async (request) => {
    const { session_id: id } = request.params
    await signaling.close(request, id, request.headers['x-participant-token'])
    return { status: 'closed' as const, session_id: id }
  })

  app.post('/api/v1/rtc/sessions/:session_id/participants', { schema: rtcParticipantCreate, config }, async (request, reply) =>
    await reply.code(201).send(await signaling.join(request, request.params.session_id, request.body.user_id)))

  app.delete('/api/v1/rtc/sessions/:session_id/participants/:participant_id', { schema: rtcParticipantDelete, config }, async (request) => {
    await signaling.leave(request, { ...request.params, token: request.headers['x-participant-token'] })
    return { status: 'left' as const, ...request.params }
  })

  app.get('/api/v1/rtc/sessions/:session_id/events', { schema: rtcEventStream, config: { ...config, ticket: true }, exposeHeadRoute: false }, async (request, reply) => {
    const { params: { session_id: id }, query, headers } = request
    const given = headers['last-event-id'] ?? query.last_event_id
    return await reply.rtcEvents({ session_id: id, participant_id: query.participant_id, token: headers['x-participant-token'] }, given === undefined ? undefined : String(given))
  })

  app.post('/api/v1/rtc/offer', { schema: rtcOfferSend, config }, async (request, reply) => {
    const { body, headers } = request
    if (body.ice_restart === true && headers['if-match'] === undefined) throw new ApiError('precondition_required', 'an ICE restart is sent with If-Match: the ETag of rtc_session_get, or *')
    return told(reply, await signaling.send(request, headers['x-participant-token'], { type: 'offer', ...body }, headers['if-match']))
  })

  app.post('/api/v1/rtc/answer', { schema: rtcAnswerSend, config }, async (request, reply) =>
    told(reply, await signaling.send(request, request.headers['x-participant-token'], { type: 'answer', ...request.body }, request.headers['if-match'])))

  app.post('/api/v1/rtc/ice-candidate', { schema: rtcCandidateSend, config }, async (request, reply) =>
    told(reply, await signaling.send(request, request.headers['x-participant-token'], { type: 'candidate', ...request.body }, request.headers['if-match'])))

  app.post('/api/v1/rtc/state', { schema: rtcStateSend, config }, async (request, reply) =>
    told(reply, await signaling.send(request, request.headers['x-participant-token'], { type: 'state', ...request.body })))

  app.post('/api/v1/rtc/data', { schema: rtcDataSend, config }, async (request, reply) =>
    told(reply, await signaling.send(request, request.headers['x-participant-token'], { type: 'data', ...request.body })))
}

/** The tag names the state of the session, as that of rtc_session_get does before its dot. */
function told (reply: Reply, receipt: Receipt): Receipt {
  reply.code(202).header('etag', `"${receipt.version}"`)
  return receipt
}

export default rtc
