import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { docsWebrtcGet } from '../schemas/discovery.ts'

const docsWebrtc: FastifyPluginAsyncTypebox = async (app) => {
  const { docs, rtc } = app.config.api
  if (!docs || !rtc) return

  app.get('/docs/webrtc', { schema: { ...docsWebrtcGet, hide: true }, config: { access: 'public' } }, async (request, reply) => reply.demo())
}

export default docsWebrtc
